package morango_test

import (
	"math"
	"runtime"
	"testing"
)

// A sync with nothing to do, pull and push, allocates no more bytes than this on both peers and between
// them: a buffer of a megabyte for what turns out to be empty is soon made.
const mostAllocated = 2_000_000

// TestNothingToDoAllocatesLittle holds that of some syncs one allocates little: what else goes on in the
// process can only add to it.
func TestNothingToDoAllocatesLittle(t *testing.T) {
	hub, tablet := newPeer(t, "hub"), newPeer(t, "tablet")
	root, err := hub.CreateRoot(t.Context(), "world", nil)
	must(t, err)
	url := hub.serve()
	tablet.join(url, "world", nil, root.ID)
	tablet.item("item", tablet.folder("top", nil), "owner")
	for range 3 {
		tablet.sync(url)
	}
	least := uint64(math.MaxUint64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		tablet.sync(url)
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	if t.Log(least, "bytes"); least > mostAllocated {
		t.Errorf("a sync allocates %d bytes, not up to %d", least, uint64(mostAllocated))
	}
}
