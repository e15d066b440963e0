package stream

import "testing"

// Each mistake doubles how many chunks of new records it takes.
func TestPresumption(t *testing.T) {
	var p presumption
	until := func() (n int) {
		for ; !p.holds(); n++ {
			p.came(10, 10)
		}
		return n
	}
	for i, want := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1025, 1025} {
		if got := until(); got != want {
			t.Errorf("after %d mistakes it holds after %d chunks, want %d", i, got, want)
		}
		p.failed()
	}
	p = presumption{}
	until()
	if p.came(10, 9); p.holds() {
		t.Error("it holds after a chunk that had a record of the store's")
	}
}
