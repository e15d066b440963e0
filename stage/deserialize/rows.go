package deserialize

import (
	"context"
	"errors"
	"fmt"
	"strings"

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
	clashes int64
	gone    gone            // recorded as deleted
	remove  gone            // to be recorded as deleted when their application rows are removed
	doomed  map[string]bool // those of remove: as good as gone
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
		err := r.env.DB.Write(ctx, func(tx *db.Tx) error {
			o = &outcome{settled: map[string]verdict{}, doomed: map[string]bool{}, rowByRow: rowByRow}
			return r.apply(ctx, tx, m, items, o)
		})
		switch {
		case isRefusal(err) && !rowByRow:
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
			return r.refuseOne(ctx, items[0].id, err)
		case err != nil:
			return err
		}
		r.take(o)
		if err := r.removeGone(ctx, m, o.remove); err != nil {
			return err
		}
		items = items[o.handled:]
	}
	return nil
}

// take adds what a committed transaction did to the run's own state.
func (r *run) take(o *outcome) {
	r.applied += int64(len(o.applied))
	r.deleted += int64(len(o.gone.soft) + len(o.gone.hard))
	r.clashes += o.clashes
	for id, v := range o.settled {
		r.settled[keyOf(id)] = v
		switch v {
		case refused, blocked:
			r.writing.errors++
		case waiting:
			r.writing.waiting++
		case released: // counted when its turn comes
		}
	}
	r.progress(o.handled)
}

// refuseOne notes that a row cannot be committed.
func (r *run) refuseOne(ctx context.Context, id string, why error) error {
	err := r.env.DB.Write(ctx, func(tx *db.Tx) error {
		return r.refuse(ctx, tx, []reason{{id: id, text: reasonText(why)}})
	})
	if err != nil {
		return err
	}
	r.settled[keyOf(id)] = refused
	r.writing.errors++
	r.clashes++
	r.progress(1)
	return nil
}

// apply writes items of rising depth, until the transaction has read its share.
func (r *run) apply(ctx context.Context, tx *db.Tx, m *model.Model, items []item, o *outcome) error {
	if err := tx.Lock(ctx, r.filter, false); err != nil {
		return err
	}
	if err := tx.Capture(ctx, false); err != nil {
		return err
	}
	for levels := 0; o.handled < len(items) && o.handled+levels*r.limits.level <= r.limits.batch && o.text < r.limits.text; levels++ {
		level := items[o.handled:]
		n := 1
		for n < len(level) && n < r.limits.page && level[n].depth == level[0].depth {
			n++
		}
		if err := r.level(ctx, tx, m, level[:n], o); err != nil {
			return err
		}
	}
	if err := r.refuse(ctx, tx, o.refused); err != nil {
		return err
	}
	if err := r.record(ctx, tx, m, o.gone); err != nil {
		return err
	}
	return r.settle(ctx, tx, m, o.applied)
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
		if _, err := app.RecordDeletions(ctx, tx, part.ids, part.hard, false); err != nil {
			return err
		}
		if err := r.settle(ctx, tx, m, part.ids); err != nil {
			return err
		}
	}
	return nil
}

// level writes rows of one depth, in id order, and counts those it has handled.
func (r *run) level(ctx context.Context, tx *db.Tx, m *model.Model, items []item, o *outcome) error {
	ids := make([]string, len(items))
	byID := make(map[string]item, len(items))
	for i, it := range items {
		ids[i] = it.id
		byID[it.id] = it
	}
	rows, complete, err := r.load(ctx, tx, m, ids, r.limits.text-o.text)
	if err != nil {
		return err
	}
	handled := len(items)
	if !complete {
		last := rows[len(rows)-1].id
		for handled = 1; ids[handled-1] != last; handled++ {
		}
	}
	o.handled += handled
	p := &page{run: r, tx: tx, model: m, outcome: o}
	for _, w := range rows {
		o.text += len(w.serialized)
		it := byID[w.id]
		switch {
		case !w.due: // somebody else has applied it
		case it.reason != "":
			p.refuse(w, blocked, it.reason)
		case it.parent != "" && r.stuck(it.parent, o):
			p.refuse(w, blocked, parentWaits(it.parent))
		case w.deleted:
			o.settled[w.id] = released
		default:
			p.decode(w)
		}
	}
	return p.write(ctx)
}

func parentWaits(parent string) string {
	return fmt.Sprintf("its parent %s could not be applied yet", parent)
}

// stuck reports whether this run has failed to apply a row.
func (r *run) stuck(id string, o *outcome) bool {
	v, tried := o.settled[id]
	if !tried {
		v = r.settled[keyOf(id)]
	}
	return v == refused || v == blocked
}

// page is a number of rows on their way into one table.
type page struct {
	*run
	tx      *db.Tx
	model   *model.Model
	outcome *outcome
	rows    []candidate
}

// candidate is a row whose text is in order.
type candidate struct {
	row
	values []any
}

func (p *page) refuse(w row, v verdict, text string) {
	p.outcome.refused = append(p.outcome.refused, reason{id: w.id, text: text, before: w.reason})
	p.outcome.settled[w.id] = v
}

// decode turns a row's text into values.
func (p *page) decode(w row) {
	var broken error
	random := func() string {
		id, err := p.env.NewID()
		if err != nil {
			broken = err
		}
		return id
	}
	values, err := record.Decode(p.model, w.id, w.sourceID, w.partition, w.serialized, p.env.Now(), random)
	if err == nil {
		err = broken
	}
	if err == nil {
		err = discriminator(p.model, values)
	}
	if err != nil {
		p.refuse(w, refused, reasonText(err))
		return
	}
	p.rows = append(p.rows, candidate{w, values})
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

// write brings the page's rows into the application's table, except those that
// must wait, and those whose targets are missing or deleted.
func (p *page) write(ctx context.Context) error {
	if err := p.spare(ctx); err != nil {
		return err
	}
	if err := p.judge(ctx); err != nil {
		return err
	}
	if len(p.rows) == 0 {
		return nil
	}
	rows := make([]app.Row, len(p.rows))
	for i, w := range p.rows {
		rows[i] = app.Row{ID: w.id, Values: w.values}
	}
	if p.outcome.rowByRow {
		return p.oneByOne(ctx, rows)
	}
	// Without a savepoint: SQLite keeps a journal for one, which makes every
	// further statement slower.
	if err := app.Upsert(ctx, p.tx, p.model, rows); err != nil {
		return err
	}
	for _, w := range p.rows {
		p.outcome.applied = append(p.outcome.applied, w.id)
	}
	return nil
}

// spare leaves out rows that the application has changed since they were
// serialized, or deleted: what it did must reach the store before it is overwritten.
func (p *page) spare(ctx context.Context) error {
	if len(p.rows) == 0 {
		return nil
	}
	ids := make([]string, len(p.rows))
	for i, w := range p.rows {
		ids[i] = w.id
	}
	edited, err := app.Edited(ctx, p.tx, p.model, ids)
	if err != nil {
		return err
	}
	deleted, err := app.PendingDeletions(ctx, p.tx, ids)
	if err != nil {
		return err
	}
	kept := p.rows[:0]
	for _, w := range p.rows {
		if edited[w.id] || deleted[w.id] {
			p.outcome.settled[w.id] = waiting
		} else {
			kept = append(kept, w)
		}
	}
	p.rows = kept
	return nil
}

// oneByOne writes rows, and leaves out those that the table does not take.
func (p *page) oneByOne(ctx context.Context, rows []app.Row) error {
	for i := range rows {
		err := p.guarded(ctx, rows[i:i+1])
		switch {
		case err == nil:
			p.outcome.applied = append(p.outcome.applied, rows[i].ID)
		case isRefusal(err):
			p.refuse(p.rows[i].row, refused, reasonText(err))
			p.outcome.clashes++
		default:
			return err
		}
	}
	return nil
}

// guarded writes rows, all or none of them, so that the transaction can go on.
func (p *page) guarded(ctx context.Context, rows []app.Row) error {
	if _, err := p.tx.Exec(ctx, "SAVEPOINT rows"); err != nil {
		return err
	}
	failed := app.Upsert(ctx, p.tx, p.model, rows)
	if isRefusal(failed) {
		if _, err := p.tx.Exec(ctx, "ROLLBACK TO SAVEPOINT rows"); err != nil {
			return err
		}
	} else if failed != nil {
		return failed
	}
	if _, err := p.tx.Exec(ctx, "RELEASE SAVEPOINT rows"); err != nil {
		return err
	}
	return failed
}

// isRefusal reports whether an error is about a row, not about the database.
func isRefusal(err error) bool {
	return db.IsConstraint(err) || errors.Is(err, app.ErrOtherModel) || errors.Is(err, errCircle)
}

// reasonText is an error as it goes into the store.
func reasonText(err error) string {
	text := strings.ToValidUTF8(err.Error(), "?")
	text = strings.ReplaceAll(text, "\x00", "")
	if len(text) > reasonLength {
		text = strings.ToValidUTF8(text[:reasonLength], "")
	}
	if text == "" {
		text = "could not be applied"
	}
	return text
}
