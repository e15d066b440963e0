package heap

import (
	"runtime/debug"
	"testing"
)

func TestPercent(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		least, live uint64
		want        int
	}{
		{10 * mb, 0, 250}, // of Go's own least
		{10 * mb, 1 * mb, 250},
		{10 * mb, 4 * mb, 150},
		{10 * mb, 5 * mb, 100},
		{10 * mb, 8 * mb, 25},
		{10 * mb, 500 * mb, 25},
		{0, 0, 100},
	} {
		if got := percent(c.least, c.live); got != c.want {
			t.Errorf("%d MB live, at least %d: %d %%, want %d", c.live/mb, c.least/mb, got, c.want)
		}
	}
}

func TestTheUserWins(t *testing.T) {
	before := debug.SetGCPercent(77)
	defer debug.SetGCPercent(before)
	t.Setenv("GOGC", "77")
	Rest(1 << 40)
	if got := debug.SetGCPercent(77); got != 77 {
		t.Errorf("the collector is set to %d %%, the user wants 77", got)
	}
	t.Setenv("GOGC", "")
	Rest(Least)
	if got := debug.SetGCPercent(77); got < 25 || got > 250 {
		t.Errorf("the collector is set to %d %%", got)
	}
}
