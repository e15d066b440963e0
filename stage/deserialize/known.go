package deserialize

import (
	"context"
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/morango-go/morango/db"
)

// Most rows refer to what many others refer to, or to what this run has written a moment
// ago. So a run remembers which targets it has found without fault, for as long as nobody
// but itself writes into the database.

// known are rows of the application's tables that are there, unchanged since they were
// applied, and not deleted. The zero value is none.
type known struct {
	tables []string // by number
	seed   maphash.Seed
	slots  []stamp // each row has some, next to each other; who comes later takes one of them
	used   int
	mark   string // of the database after the transaction that knew them; "" within one
}

// stamp stands for a row, and 0 for none. A row that nobody knows is taken for one that is known once in 10^13 times,
// and whoever sends ids cannot choose which: 8 bytes a row are enough, and an id with its table has 17.
type stamp uint64

// slot is a row, by its table's number from 1 on.
type slot struct {
	id    key
	table uint8
}

const (
	fewSlots   = 1 << 10
	mostSlots  = 1 << 19 // 4 MiB
	choices    = 4       // slots that a row has
	manyTables = 255
)

// stamp is that of a row.
func (k *known) stamp(s slot) stamp { return stamp(maphash.Comparable(k.seed, s) | 1) }

// place is the slots that a row has, and which of them it takes when there is no other.
func (k *known) place(p stamp) (slots []stamp, taken int) {
	at := int(uint64(p)>>(64-bits.TrailingZeros(uint(len(k.slots))))) / choices * choices
	return k.slots[at : at+choices], int(p >> 1 % choices)
}

// number is that of a table, 0 when it cannot have one.
func (k *known) number(table string) uint8 {
	for i, name := range k.tables {
		if name == table {
			return uint8(i + 1)
		}
	}
	if len(k.tables) == manyTables {
		return 0
	}
	k.tables = append(k.tables, table)
	return uint8(len(k.tables))
}

// has reports whether a row is known.
func (k *known) has(table string, id key) bool {
	s := slot{id, k.number(table)}
	if s.table == 0 || len(k.slots) == 0 {
		return false
	}
	p := k.stamp(s)
	slots, _ := k.place(p)
	return slices.Contains(slots, p)
}

// add makes a row known.
func (k *known) add(table string, id key) {
	s := slot{id, k.number(table)}
	if s.table == 0 {
		return
	}
	if k.used >= len(k.slots)/2 && len(k.slots) < mostSlots {
		old := k.slots
		if old == nil {
			k.seed = maphash.MakeSeed()
		}
		k.slots, k.used = make([]stamp, max(2*len(old), fewSlots)), 0
		for _, p := range old {
			if p != 0 {
				k.put(p)
			}
		}
	}
	k.put(k.stamp(s))
}

func (k *known) put(p stamp) {
	slots, at := k.place(p)
	if slices.Contains(slots, p) {
		return
	}
	if free := slices.Index(slots, 0); free >= 0 {
		k.used++
		at = free
	}
	slots[at] = p
}

// drop makes a row unknown.
func (k *known) drop(s slot) {
	if len(k.slots) == 0 {
		return
	}
	p := k.stamp(s)
	slots, _ := k.place(p)
	if at := slices.Index(slots, p); at >= 0 {
		slots[at] = 0
		k.used--
	}
}

// begin forgets everything, unless nobody has written since the transaction before.
func (k *known) begin(ctx context.Context, tx *db.Tx) error {
	same, err := tx.Unchanged(ctx, k.mark)
	if err != nil {
		return err
	}
	if !same {
		clear(k.slots)
		k.used = 0
	}
	k.mark = "" // what is added now counts only when the transaction is committed
	return nil
}
