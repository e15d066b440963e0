package deserialize

import (
	"context"
	"fmt"
	"slices"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/record"
)

// page is a number of rows on their way into one table: asked after at once,
// judged one after the other, written at once.
type page struct {
	*run
	tx      *db.Tx
	model   *model.Model
	outcome *outcome

	decoder *record.Decoder
	rows    []candidate        // what was read, in the order of the items
	tables  map[string]targets // what the rows refer to, by table
	depth   int                // of the row that is being judged
	fresh   []string           // rows of that depth that are as good as written
	ready   []app.Row          // to be written at the end, whether the application has them or not
	absent  []app.Row          // likewise, new to the application
	present []app.Row          // likewise, in place of what it has
}

// candidate is a row that is to be judged.
type candidate struct {
	row
	item
	values        []any
	broken        error // why there are no values
	present, busy bool  // the application has the row; it is about to serialize it
}

// read reads what there is to know of the first items, and returns how many these
// are: fewer than a page when their texts are long.
func (p *page) read(ctx context.Context, items []item) (int, error) {
	n := min(len(items), p.limits.page)
	var rows []row
	for {
		ids := make([]string, n)
		for i, it := range items[:n] {
			ids[i] = it.id
		}
		var complete bool
		var err error
		if rows, complete, err = p.load(ctx, p.tx, p.model, ids, p.limits.text); err != nil {
			return 0, err
		}
		if complete || n == 1 {
			break
		}
		n /= 2
	}
	p.rows = make([]candidate, 0, n)
	for i, it := range items[:n] {
		w := rows[i]
		if w.id == "" { // somebody else has applied it
			continue
		}
		c := candidate{row: w, item: it}
		p.outcome.text += len(w.serialized)
		if !w.deleted && it.reason == "" {
			c.values, c.broken = p.decode(w)
		}
		p.rows = append(p.rows, c)
	}
	if len(p.rows) == 0 {
		return n, nil
	}
	if err := p.lookAtOwn(ctx); err != nil {
		return 0, err
	}
	return n, p.lookUp(ctx)
}

// decode turns a row's text into values.
func (p *page) decode(w row) ([]any, error) {
	var broken error
	random := func() string {
		id, err := p.env.NewID()
		if err != nil {
			broken = err
		}
		return id
	}
	values, err := p.decoder.Decode(w.id, w.sourceID, w.partition, w.serialized, p.env.Now(), random)
	if err == nil {
		err = broken
	}
	if err == nil {
		err = discriminator(p.model, values)
	}
	return values, err
}

// discriminator checks that a row of a shared table is the model's own.
func discriminator(m *model.Model, values []any) error {
	for _, where := range m.Where {
		for i, c := range m.Columns {
			if c.Name == where.Column && fmt.Sprint(values[i]) != where.Value {
				return &record.FieldError{Column: c.Name, Reason: fmt.Sprintf("is not %q, as every %s has it", where.Value, m.Name)}
			}
		}
	}
	return nil
}

// lookAtOwn finds out which of the rows the application has, and which it has
// changed since they were serialized, or deleted: what it did must reach the store
// before it is overwritten.
func (p *page) lookAtOwn(ctx context.Context) error {
	ids := make([]string, len(p.rows))
	for i, c := range p.rows {
		ids[i] = c.row.id
	}
	// Mostly all rows are new to it, and come in the order of their ids.
	some, err := app.Between(ctx, p.tx, p.model.Table, slices.Min(ids), slices.Max(ids))
	if err != nil {
		return err
	}
	var edited map[string]bool
	if some {
		if edited, err = app.Targets(ctx, p.tx, p.model.Table, ids); err != nil {
			return err
		}
	}
	deleted, err := app.PendingDeletions(ctx, p.tx, ids)
	if err != nil {
		return err
	}
	for i := range p.rows {
		c := &p.rows[i]
		changed, present := edited[c.row.id]
		c.present, c.busy = present, changed || deleted[c.row.id]
	}
	return nil
}

// write judges the rows, parents before children, and writes those that can be.
func (p *page) write(ctx context.Context) error {
	for _, c := range p.rows {
		if c.depth > p.depth {
			p.arrive()
			p.depth = c.depth
		}
		if err := p.judge(ctx, c); err != nil {
			return err
		}
	}
	// Without a savepoint: SQLite keeps a journal for one, which makes every
	// further statement slower.
	if len(p.absent) > 0 {
		if err := app.Insert(ctx, p.tx, p.model, p.absent); err != nil {
			return err
		}
	}
	if err := app.Overwrite(ctx, p.tx, p.model, p.present); err != nil {
		return err
	}
	return app.Upsert(ctx, p.tx, p.model, p.ready)
}

// arrive lets rows of greater depth see those that are as good as written.
func (p *page) arrive() {
	own := p.tables[p.model.Table]
	for _, id := range p.fresh {
		if t, asked := own[id]; asked {
			t.present = true
			own[id] = t
		}
	}
	p.fresh = p.fresh[:0]
}

// judge decides on a row. A row whose target is missing has to wait for it, and a
// row whose target is deleted is deleted itself.
func (p *page) judge(ctx context.Context, c candidate) error {
	o, id := p.outcome, c.row.id
	switch {
	case c.item.reason != "":
		p.leave(c.row, blocked, c.item.reason)
		return nil
	case c.parent != "" && p.stuck(c.parent, o):
		p.leave(c.row, blocked, p.waitsFor(c.parent, theParent))
		return nil
	case c.deleted:
		o.settled[id] = released
		return nil
	case c.broken != nil:
		p.leave(c.row, refused, reasonText(c.broken))
		return nil //nolint:nilerr // the row's error, not the run's
	case c.busy:
		o.settled[id] = waiting
		return nil
	}
	missing, doomed, hard := p.verdictOn(c)
	switch {
	case doomed && c.present: // what refers to it has to go first, in transactions of its own
		o.remove.add(id, hard)
		o.doomed[id] = hard
		return nil
	case doomed:
		o.gone.add(id, hard)
		o.doomed[id] = hard
		return nil
	case missing != "":
		p.leave(c.row, refused, missing)
		return nil
	}
	return p.put(ctx, c)
}

// leave keeps a row dirty, with the reason.
func (p *page) leave(w row, v verdict, text string) {
	p.outcome.refused = append(p.outcome.refused, reason{id: w.id, text: text, before: w.reason})
	p.outcome.settled[w.id] = v
	if missing, ok := Lacks(text); ok {
		p.outcome.lacks[w.id] = keyOf(missing)
	}
}

// put writes a row, at once or with the others.
func (p *page) put(ctx context.Context, c candidate) error {
	r := app.Row{ID: c.row.id, Values: c.values}
	switch {
	case !p.outcome.rowByRow && p.careful[p.model.Name]:
		p.ready = append(p.ready, r)
	case !p.outcome.rowByRow && c.present:
		p.present = append(p.present, r)
	case !p.outcome.rowByRow:
		p.absent = append(p.absent, r)
	default:
		if err := p.guarded(ctx, r); isRefusal(err) {
			p.leave(c.row, refused, reasonText(err))
			p.outcome.clashed = append(p.outcome.clashed, c.row.id)
			return nil
		} else if err != nil {
			return err
		}
	}
	p.fresh = append(p.fresh, r.ID)
	p.outcome.applied = append(p.outcome.applied, r.ID)
	return nil
}

// guarded writes one row so that the transaction can go on if it is refused.
func (p *page) guarded(ctx context.Context, r app.Row) error {
	if _, err := p.tx.Exec(ctx, "SAVEPOINT one_row"); err != nil {
		return err
	}
	failed := app.Upsert(ctx, p.tx, p.model, []app.Row{r})
	if isRefusal(failed) {
		if _, err := p.tx.Exec(ctx, "ROLLBACK TO SAVEPOINT one_row"); err != nil {
			return err
		}
	} else if failed != nil {
		return failed
	}
	if _, err := p.tx.Exec(ctx, "RELEASE SAVEPOINT one_row"); err != nil {
		return err
	}
	return failed
}
