package deserialize

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
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
	for o.handled < len(items) && o.text < r.limits.text {
		p := &page{run: r, tx: tx, model: m, outcome: o}
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
		if _, err := app.RecordDeletions(ctx, tx, r.env.Profile.Name, part.ids, part.hard, false); err != nil {
			return err
		}
		if err := r.settle(ctx, tx, m, part.ids); err != nil {
			return err
		}
	}
	return nil
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
