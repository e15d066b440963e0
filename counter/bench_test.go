package counter_test

import (
	"fmt"
	"testing"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/partition"
)

// district is what a hub of 50 schools with 40 devices each may claim.
func district() counter.FSIC {
	f := counter.FSIC{Super: counter.ByPartition{}, Sub: counter.ByPartition{}}
	for school := range 50 {
		counters := counter.Counters{}
		for device := range 40 {
			counters[fmt.Sprintf("%016d%016d", school, device)] = int64(device * school)
		}
		f.Sub[fmt.Sprintf("%032d", school)] = counters
	}
	return f
}

func BenchmarkParse(b *testing.B) {
	text := []byte(district().String())
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := counter.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkString(b *testing.B) {
	f := district()
	b.SetBytes(int64(len(f.String())))
	for b.Loop() {
		_ = f.String()
	}
}

func BenchmarkExpand(b *testing.B) {
	f := district()
	for b.Loop() {
		_ = f.Expand(partition.All())
	}
}

func BenchmarkDiff(b *testing.B) {
	sender := district().Sub
	receiver := counter.ByPartition{"": {}}
	for b.Loop() {
		_ = counter.Diff(sender, receiver)
	}
}

func BenchmarkCovers(b *testing.B) {
	claims := district().Sub
	v := counter.Version{Instance: fmt.Sprintf("%016d%016d", 49, 39), Counter: 1911}
	at := fmt.Sprintf("%032d", 49) + ":user-rw:7b63ed317d9f658870876ae8aa07631c"
	for b.Loop() {
		if !claims.Covers(at, v) {
			b.Fatal("not covered")
		}
	}
}
