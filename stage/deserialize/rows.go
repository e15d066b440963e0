package deserialize

import (
	"context"
	"time"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/record"
)

// item is a row to write. In a tree it comes after the rows of lesser depth.
type item struct {
	id     string
	parent string // in a tree; "" when it has none, or none that this run has to wait for
	reason string // why it cannot be tried; "" when it can
	depth  int
}

// reason is why a row stays dirty.
type reason struct {
	id, text, before string
}

// outcome is what one transaction did. It counts only when that commits.
type outcome struct {
	handled int // items looked at
	text    int // bytes of JSON read

	rowByRow bool // a refused row is left out, not the transaction given up

	applied []string
	refused []reason
	settled map[string]verdict
	lacks   map[string]key // see run
	clashed []string
	gone    gone            // recorded as deleted
	remove  gone            // to be recorded as deleted when their application rows are removed
	doomed  map[string]bool // those of gone and of remove: as good as deleted, and whether hard
	mark    string          // see known
}

// gone are rows whose target was deleted, and so are deleted themselves.
type gone struct{ soft, hard []string }

func (g *gone) add(id string, hard bool) {
	if hard {
		g.hard = append(g.hard, id)
	} else {
		g.soft = append(g.soft, id)
	}
}

// batch writes rows, in one transaction if nothing is in the way. If the database
// refuses something, it tries again row by row; and if it refuses at the end, for
// foreign keys that are only checked then, it looks for the row by halves.
func (r *run) batch(ctx context.Context, m *model.Model, items []item) error {
	return r.batchWith(ctx, m, items, false)
}

func (r *run) batchWith(ctx context.Context, m *model.Model, items []item, rowByRow bool) error {
	for len(items) > 0 {
		var o *outcome
		err := r.env.DB.WritePart(ctx, r.job, func(tx *db.Tx) error {
			o = &outcome{settled: map[string]verdict{}, lacks: map[string]key{}, doomed: map[string]bool{}, rowByRow: rowByRow}
			return r.apply(ctx, tx, m, items, o)
		})
		switch {
		case isRefusal(err) && !rowByRow:
			r.careful[m.Name] = true
			n := min(len(items), o.handled)
			if err := r.batchWith(ctx, m, items[:n], true); err != nil {
				return err
			}
			items = items[n:]
			continue
		case isRefusal(err) && len(items) > 1:
			half := len(items) / 2
			if err := r.batchWith(ctx, m, items[:half], true); err != nil {
				return err
			}
			items = items[half:]
			continue
		case isRefusal(err):
			return r.refuseOne(ctx, m, items[0].id, err)
		case err != nil:
			return err
		}
		r.take(m, o)
		if err := r.removeGone(ctx, m, o.remove); err != nil {
			return err
		}
		items = items[o.handled:]
	}
	return nil
}

// take adds what a committed transaction did to the run's own state.
func (r *run) take(m *model.Model, o *outcome) {
	r.known.mark = o.mark
	r.applied += int64(len(o.applied))
	r.deleted += int64(len(o.gone.soft) + len(o.gone.hard))
	for _, id := range o.clashed {
		r.clash(m, id)
	}
	for _, done := range [][]string{o.applied, o.gone.soft, o.gone.hard, o.remove.soft, o.remove.hard} {
		for _, id := range done {
			r.forget(id)
		}
	}
	for id, hard := range o.doomed {
		r.dead[keyOf(id)] = hard
	}
	for id, v := range o.settled {
		r.leave(id, v, o.lacks[id])
	}
	r.progress(o.handled)
}

// leave notes how a row was left, in place of what was noted before.
func (r *run) leave(id string, v verdict, lacks key) {
	r.forget(id)
	k := keyOf(id)
	r.settled[k] = v
	if lacks != (key{}) {
		r.lacks[k] = lacks
	}
	switch v {
	case refused, blocked:
		r.writing.errors++
	case waiting:
		r.writing.waiting++
	case released, stayed: // counted when its turn comes
	}
}

// forget takes back what was noted of a row that was tried before.
func (r *run) forget(id string) {
	k := keyOf(id)
	switch r.settled[k] {
	case refused, blocked:
		r.writing.errors--
	case waiting:
		r.writing.waiting--
	case stayed:
		r.removing.errors--
	case released:
	}
	delete(r.settled, k)
	delete(r.lacks, k)
}

// clash remembers a row that a constraint refused, in bounds.
func (r *run) clash(m *model.Model, id string) {
	if r.clashes.rows < r.limits.list {
		r.clashes.add(m.Name, choice{id: id})
	}
}

// refuseOne notes that a row cannot be committed.
func (r *run) refuseOne(ctx context.Context, m *model.Model, id string, why error) error {
	err := r.env.DB.Write(ctx, func(tx *db.Tx) error {
		return r.refuse(ctx, tx, []reason{{id: id, text: reasonText(why)}})
	})
	if err != nil {
		return err
	}
	r.leave(id, refused, key{})
	r.clash(m, id)
	r.progress(1)
	return nil
}

// apply writes items of rising depth, until the transaction has read its share, or taken
// its time.
func (r *run) apply(ctx context.Context, tx *db.Tx, m *model.Model, items []item, o *outcome) error {
	if err := tx.Lock(ctx, r.filter, false); err != nil {
		return err
	}
	if err := r.known.begin(ctx, tx); err != nil {
		return err
	}
	if err := tx.Capture(ctx, false); err != nil {
		return err
	}
	var start, last time.Time // of the transaction, and of its last page
	if len(items) > r.limits.page {
		start = r.env.Now()
	}
	last = start
	decoder := record.NewDecoder(m)
	for o.handled < len(items) {
		if o.handled > 0 {
			now := r.env.Now()
			if next := now.Add(now.Sub(last)); o.text >= r.limits.text || next.Sub(start) >= tx.PartTime() {
				break // for the next page there is no time
			}
			last = now
		}
		p := &page{run: r, tx: tx, model: m, outcome: o, decoder: decoder}
		n, err := p.read(ctx, items[o.handled:])
		if err != nil {
			return err
		}
		o.handled += n
		if err := p.write(ctx); err != nil {
			return err
		}
	}
	if err := r.refuse(ctx, tx, o.refused); err != nil {
		return err
	}
	if err := r.record(ctx, tx, m, o.gone); err != nil {
		return err
	}
	if err := r.settle(ctx, tx, m, o.applied); err != nil {
		return err
	}
	if r.wanted[m.Table] {
		for _, id := range o.applied {
			r.known.add(m.Table, keyOf(id))
		}
	}
	var err error
	o.mark, err = tx.Mark(ctx)
	return err
}

// record notes rows as deleted by this peer, and their store rows as applied.
func (r *run) record(ctx context.Context, tx *db.Tx, m *model.Model, g gone) error {
	for _, part := range []struct {
		ids  []string
		hard bool
	}{{g.soft, false}, {g.hard, true}} {
		if len(part.ids) == 0 {
			continue
		}
		if _, err := app.RecordDeletions(ctx, tx, r.env.Profile.Name, part.ids, part.hard, false); err != nil {
			return err
		}
		if err := r.settle(ctx, tx, m, part.ids); err != nil {
			return err
		}
	}
	return nil
}

// stuck reports whether this run has failed to apply a row.
func (r *run) stuck(id string, o *outcome) bool {
	v, tried := o.settled[id]
	if !tried {
		v = r.settled[keyOf(id)]
	}
	return v == refused || v == blocked || v == stayed
}
