package deserialize

import (
	"iter"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/record"
)

// early is records that are decoded while the database is still asked after them.
type early struct {
	done   chan struct{} // is closed at the end; what follows is valid then
	rows   map[string]decoded
	broken any // with which decoding panicked
}

// decoded is what became of a record's text.
type decoded struct {
	row    row
	values []any
	err    error
}

// Decode begins to decode records that are about to be applied, which stay as they are until then.
// They need not be all of those, nor be applied at all. The caller calls end before it goes on to
// other records. It does nothing on SQLite, where nobody waits for a server, where nothing new comes,
// and where all is to follow from a seed (see stage.Env.SerializeRows).
func (a *Arrivals) Decode(records iter.Seq[*record.Record]) (end func()) {
	if a.run.env.DB.Kind() == db.SQLite || a.run.env.SerializeRows != 0 || a.stale {
		return func() {}
	}
	e := &early{done: make(chan struct{}), rows: map[string]decoded{}}
	a.early = e
	pages := map[string]*page{}
	for _, m := range a.run.env.Profile.Models {
		if a.refusals[m] >= patience {
			continue
		}
		pages[m.Name] = &page{run: a.run, model: m, decoder: a.decoders[m]}
	}
	go func() {
		defer close(e.done)
		defer func() { e.broken = recover() }() // nobody would catch it here
		for r := range records {
			if p := pages[r.Model]; p != nil && !r.Deleted && !r.HardDeleted {
				d := decoded{row: rowOf(r)}
				d.values, d.err = p.decode(d.row)
				e.rows[r.ID] = d
			}
		}
	}()
	return func() {
		<-e.done
		a.early = nil
	}
}

// rowOf is a record as a row of the store.
func rowOf(r *record.Record) row {
	return row{id: r.ID, sourceID: r.SourceID, partition: r.Partition, serialized: r.Serialized}
}

// decoded waits for what is being decoded.
func (a *Arrivals) decoded() map[string]decoded {
	if a.early == nil {
		return nil
	}
	<-a.early.done
	if a.early.broken != nil {
		panic(a.early.broken)
	}
	return a.early.rows
}
