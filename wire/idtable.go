package wire

import (
	"hash/maphash"

	"github.com/morango-go/morango/ident"
)

// rawID is an id as its 16 bytes.
type rawID [ident.Length / 2]byte

// parseID reads an id in the one form that ident.Valid knows.
func parseID[T string | []byte](text T) (id rawID, ok bool) {
	if len(text) != ident.Length {
		return id, false
	}
	wrong := byte(0)
	for i := range id {
		high, low := digit(text[2*i]), digit(text[2*i+1])
		wrong |= (hexDigits[high] ^ text[2*i]) | (hexDigits[low] ^ text[2*i+1])
		id[i] = high<<4 | low
	}
	return id, wrong == 0
}

const hexDigits = "0123456789abcdef"

// digit is the value of a hex digit, and something less than 16 for what is none. It has no branches: which
// digit comes next nobody can guess.
func digit(c byte) byte { return (c&0xf + c>>6*9) & 0xf }

// idTable numbers ids on the sender's side. There can be very many, so they lie in it one
// after the other: 24 to 36 bytes each, and nothing for the garbage collector to look at.
type idTable struct {
	most  int
	order []rawID
	slots []uint32 // numbers, in the place that an id's hash says, or after; 0 is free
	seed  maphash.Seed
}

func newIDTable(most int) idTable { return idTable{most: most, seed: maphash.MakeSeed()} }

// number finds an id's number. If it has none it is fresh, and gets the next.
func (t *idTable) number(id rawID) (n uint64, fresh bool) {
	if len(t.slots) == 0 || 2*len(t.order) > len(t.slots) {
		t.grow()
	}
	at := t.place(id)
	if n := t.slots[at]; n > 0 {
		return uint64(n), false
	}
	n = uint64(len(t.order)) + 1
	if len(t.order) < t.most {
		t.order = append(t.order, id)
		t.slots[at] = uint32(n)
	}
	return n, true
}

// add gives an id the next number. If it has one already, number goes on finding that.
func (t *idTable) add(id rawID) {
	if len(t.slots) == 0 || 2*len(t.order) > len(t.slots) {
		t.grow()
	}
	if len(t.order) == t.most {
		return
	}
	at := t.place(id)
	t.order = append(t.order, id)
	if t.slots[at] == 0 {
		t.slots[at] = uint32(len(t.order))
	}
}

// place finds an id's slot, or the free one in which it belongs. About half are free.
func (t *idTable) place(id rawID) int {
	last := len(t.slots) - 1 // a power of two, less one
	for at := int(maphash.Bytes(t.seed, id[:])) & last; ; at = (at + 1) & last {
		if n := t.slots[at]; n == 0 || t.order[n-1] == id {
			return at
		}
	}
}

func (t *idTable) grow() {
	t.slots = make([]uint32, max(64, 2*len(t.slots)))
	for i, id := range t.order {
		if at := t.place(id); t.slots[at] == 0 {
			t.slots[at] = uint32(i + 1)
		}
	}
}

// clear forgets all ids.
func (t *idTable) clear() {
	t.order = t.order[:0]
	clear(t.slots)
}

// reset forgets all ids but the first. The last comes first: no other id had to go past
// its slot.
func (t *idTable) reset(first int) {
	for i := len(t.order) - 1; i >= first; i-- {
		if at := t.place(t.order[i]); t.slots[at] == uint32(i+1) {
			t.slots[at] = 0
		}
		t.order = t.order[:i]
	}
}
