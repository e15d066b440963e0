// Package heap lets the garbage collector of a program rest while there is little to collect.
//
// It is part of the program, in its layer, and of what measures it; libraries leave the collector
// to those who use them. It imports only the standard library. On a row's path it stands beside
// all steps.
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Least is what the heap of the project's programs may grow to, in bytes, before it is collected
// for the first time. Go's own is 4 MiB, of which a sync that reads rows page by page is
// through a hundred times a second.
const Least = 8 << 20

// Rest has the heap collected only when it has grown to least bytes, and from then on when it
// has grown by half: Go lets it double, which takes more memory than time is worth where both
// are counted. It is for main, once, and does nothing where the user has chosen with GOGC.
func Rest(least uint64) {
	if os.Getenv("GOGC") == "" {
		adjust(state{least: least})
	}
}

// ownLeast is what Go lets the heap grow to, times the percentage that is set.
const ownLeast = 4 << 20

// state goes from one collection to the next.
type state struct {
	least   uint64
	percent int // that is set; 0 before the first
}

// adjust sets the percentage by which what is in use may grow, and again after each collection.
func adjust(s state) {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if p := percent(s.least, sample[0].Value.Uint64()); p != s.percent {
		s.percent = p
		debug.SetGCPercent(p) // stops the world for a moment
	}
	runtime.AddCleanup(new([64]byte), adjust, s) // that is collected next time
}

// growth is by how many percent a heap grows that has more than the least.
const growth = 25

// percent is at which percentage the heap is collected when it has least bytes, or by a quarter more
// than what was live after the last collection.
func percent(least, live uint64) int {
	least = max(least, ownLeast)
	grow := least * 100 / ownLeast
	if live > 0 {
		grow = min(grow, max(least*100/live, 100)-100)
	}
	return int(max(grow, growth))
}
