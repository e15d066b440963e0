package deserialize

import (
	"context"
	"encoding/binary"
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
	slots  []slot   // each row has some, next to each other; who comes later takes one of them
	used   int
	mark   string // of the database after the transaction that knew them; "" within one
}

// slot is a row, by its table's number from 1 on; that of an empty one is 0.
type slot struct {
	id    key
	table uint8
}

const (
	fewSlots   = 1 << 10
	mostSlots  = 1 << 17 // 2 MiB
	choices    = 4       // slots that a row has
	manyTables = 255
)

// place is the slots that a row has, and which of them it takes when there is no other.
func (k *known) place(s slot) (slots []slot, taken int) {
	const spread = 0x9e3779b97f4a7c15 // ids need not be random: they may count
	mixed := binary.LittleEndian.Uint64(s.id[:8]) ^ binary.BigEndian.Uint64(s.id[8:]) + uint64(s.table)<<56
	mixed *= spread
	at := int(mixed>>(64-bits.TrailingZeros(uint(len(k.slots))))) / choices * choices
	return k.slots[at : at+choices], int(mixed % choices)
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
	slots, _ := k.place(s)
	return slices.Contains(slots, s)
}

// add makes a row known.
func (k *known) add(table string, id key) {
	s := slot{id, k.number(table)}
	if s.table == 0 {
		return
	}
	if k.used >= len(k.slots)/2 && len(k.slots) < mostSlots {
		old := k.slots
		k.slots, k.used = make([]slot, max(2*len(old), fewSlots)), 0
		for _, s := range old {
			if s.table != 0 {
				k.put(s)
			}
		}
	}
	k.put(s)
}

func (k *known) put(s slot) {
	slots, at := k.place(s)
	if slices.Contains(slots, s) {
		return
	}
	if free := slices.IndexFunc(slots, func(s slot) bool { return s.table == 0 }); free >= 0 {
		k.used++
		at = free
	}
	slots[at] = s
}

// drop makes a row unknown.
func (k *known) drop(s slot) {
	if len(k.slots) == 0 {
		return
	}
	slots, _ := k.place(s)
	if at := slices.Index(slots, s); at >= 0 {
		slots[at] = slot{}
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
