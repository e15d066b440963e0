package deserialize

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// errCircle says that a removal came back to where it began, but not in the same
// transaction, in which all rows of the circle would have to go.
var errCircle = errors.New("cannot be removed: the rows that refer to it form a long circle")

// errEdited says that the application has changed a row that would go with those to be removed.
var errEdited = errors.New("a row that refers to it is not serialized yet")

// removal is a number of rows of one model to remove from the application.
type removal struct {
	model  *model.Model
	ids    []string
	hard   bool
	record bool // the rows are deleted by this peer, for want of their target
}

// removeDeleted removes the application rows of deleted store rows.
func (r *run) removeDeleted(ctx context.Context, m *model.Model, ids []string) error {
	for page := range slices.Chunk(ids, r.limits.page) {
		soft, hard, err := r.toRemove(ctx, page)
		if err != nil {
			return err
		}
		if err := r.remove(ctx, removal{model: m, ids: soft}); err != nil {
			return err
		}
		if err := r.remove(ctx, removal{model: m, ids: hard, hard: true}); err != nil {
			return err
		}
		r.progress(len(page))
	}
	return nil
}

// toRemove sorts deleted rows by whether they are hard-deleted, without those that
// wait for their parent.
func (r *run) toRemove(ctx context.Context, ids []string) (soft, hard []string, err error) {
	free := make([]string, 0, len(ids))
	for _, id := range ids {
		if v := r.settled[keyOf(id)]; v != refused && v != blocked && v != stayed {
			free = append(free, id)
		}
	}
	err = r.env.DB.Read(ctx, func(tx *db.Tx) (err error) {
		query := "SELECT id FROM morango_store WHERE hard_deleted AND id IN " + tx.IDs(1)
		rows, err := tx.Query(ctx, query, db.JSONList(free))
		if err != nil {
			return err
		}
		hard, err = scan(rows, scanID)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read deleted rows: %w", err)
	}
	isHard := make(map[string]bool, len(hard))
	for _, id := range hard {
		isHard[id] = true
	}
	soft = slices.DeleteFunc(free, func(id string) bool { return isHard[id] })
	return soft, hard, nil
}

// removeGone removes rows whose target was deleted, and records them as deleted.
func (r *run) removeGone(ctx context.Context, m *model.Model, g gone) error {
	if err := r.remove(ctx, removal{model: m, ids: g.soft, record: true}); err != nil {
		return err
	}
	return r.remove(ctx, removal{model: m, ids: g.hard, hard: true, record: true})
}

// remove removes rows and what refers to them, in as many transactions as it
// takes. A row that cannot be removed is found by halves, and keeps its reason.
func (r *run) remove(ctx context.Context, what removal) error {
	if len(what.ids) == 0 {
		return nil
	}
	var below []branch
	for {
		var t *taking
		err := r.env.DB.Write(ctx, func(tx *db.Tx) error {
			t = &taking{run: r, tx: tx, hard: what.hard, budget: r.limits.batch, path: map[string]bool{}, below: below}
			return t.take(ctx, what)
		})
		switch {
		case (isRefusal(err) || errors.Is(err, errEdited)) && len(what.ids) > 1:
			return r.removeHalves(ctx, what)
		case errors.Is(err, errEdited):
			r.removing.waiting++
			return nil
		case isRefusal(err):
			return r.refuseRemoval(ctx, what.ids[0], reasonText(err))
		case err != nil:
			return err
		}
		below = t.below
		r.deleted += t.removed
		if t.done {
			r.removing.waiting += t.waiting
			return nil
		}
	}
}

func (r *run) removeHalves(ctx context.Context, what removal) error {
	all := what.ids
	what.ids = all[:len(all)/2]
	if err := r.remove(ctx, what); err != nil {
		return err
	}
	what.ids = all[len(all)/2:]
	return r.remove(ctx, what)
}

func (r *run) refuseRemoval(ctx context.Context, id, why string) error {
	err := r.env.DB.Write(ctx, func(tx *db.Tx) error {
		return r.refuse(ctx, tx, []reason{{id: id, text: why}})
	})
	if err != nil {
		return err
	}
	r.forget(id)
	r.settled[keyOf(id)] = stayed
	r.removing.errors++
	return nil
}

// branch are rows far down in a tree, whose descendants are removed in transactions
// of their own before what is above them.
type branch struct {
	model *model.Model
	ids   []string
}

// taking is one transaction of a removal.
type taking struct {
	*run
	tx     *db.Tx
	hard   bool
	budget int             // rows that may still be removed
	path   map[string]bool // rows whose children are being removed
	above  map[string]bool // rows far above those of path
	depth  int
	circle bool // some refer to each other in a circle

	below            []branch // from where to go on, the last first; then the rows themselves
	done             bool
	removed, waiting int64
}

// take removes what is still to be removed, as far as one transaction may.
func (t *taking) take(ctx context.Context, what removal) error {
	if err := t.tx.Lock(ctx, t.filter, false); err != nil {
		return err
	}
	if err := t.tx.Capture(ctx, false); err != nil {
		return err
	}
	if last := len(t.below) - 1; last >= 0 {
		t.ancestors(what.ids)
		for _, b := range t.below[:last] {
			t.ancestors(b.ids)
		}
		all, err := t.clear(ctx, t.below[last].model, t.below[last].ids, true)
		if all {
			t.below = t.below[:last]
		}
		return err
	}
	ids, err := t.due(ctx, what)
	if err != nil {
		return err
	}
	all, err := t.clear(ctx, what.model, ids, false)
	if err != nil || !all {
		return err
	}
	t.done = true
	t.removed += int64(len(ids))
	if what.record {
		if _, err := app.RecordDeletions(ctx, t.tx, t.env.Profile.Name, ids, what.hard, false); err != nil {
			return err
		}
	}
	return t.settle(ctx, t.tx, what.model, ids)
}

// ancestors notes rows below which the removal has gone on in this transaction.
func (t *taking) ancestors(ids []string) {
	if t.above == nil {
		t.above = map[string]bool{}
	}
	for _, id := range ids {
		t.above[id] = true
	}
}

// due returns those of the rows that are still to be removed, and counts those
// that the application has changed in between.
func (t *taking) due(ctx context.Context, what removal) ([]string, error) {
	query := "SELECT id FROM morango_store WHERE dirty_bit AND deleted = $2 AND id IN " + t.tx.IDs(1) + " ORDER BY id"
	rows, err := t.tx.Query(ctx, query, db.JSONList(what.ids), !what.record)
	if err != nil {
		return nil, fmt.Errorf("read deleted rows: %w", err)
	}
	ids, err := scan(rows, scanID)
	if err != nil {
		return nil, fmt.Errorf("read deleted rows: %w", err)
	}
	edited, err := app.Edited(ctx, t.tx, what.model, ids)
	if err != nil {
		return nil, err
	}
	t.waiting = int64(len(edited))
	return slices.DeleteFunc(ids, func(id string) bool { return edited[id] }), nil
}

// clear removes rows, after the rows that refer to them. It reports whether all
// are gone; what is gone by then stays gone, and is noted as deleted.
func (t *taking) clear(ctx context.Context, m *model.Model, ids []string, cascaded bool) (bool, error) {
	if t.depth == t.limits.depth {
		t.below = append(slices.Clip(t.below), branch{m, ids})
		return false, nil
	}
	t.depth++
	for _, id := range ids {
		t.path[id] = true
	}
	for _, child := range t.env.Profile.Models {
		for _, c := range child.References() {
			if c.References.Table != m.Table {
				continue
			}
			if all, err := t.clearChildren(ctx, child, c.Name, ids); err != nil || !all {
				return false, err
			}
		}
	}
	for _, id := range ids {
		delete(t.path, id)
	}
	t.depth--
	if err := app.Delete(ctx, t.tx, m, ids); err != nil {
		return false, err
	}
	t.budget -= len(ids)
	if !cascaded {
		return true, nil
	}
	noted, err := app.RecordDeletions(ctx, t.tx, t.env.Profile.Name, ids, t.hard, true)
	t.removed += noted
	return err == nil, err
}

// clearChildren removes the rows whose column refers to one of ids.
func (t *taking) clearChildren(ctx context.Context, m *model.Model, column string, ids []string) (bool, error) {
	var circle []string
	for {
		if t.budget <= 0 && !t.circle {
			return false, nil
		}
		children, err := app.Children(ctx, t.tx, m, column, ids, circle, t.limits.cascade)
		if err != nil {
			return false, err
		}
		last := len(children) < t.limits.cascade
		if slices.ContainsFunc(children, func(id string) bool { return t.above[id] }) {
			return false, errCircle
		}
		// Rows that are their own ancestors go when it is their turn, and all in
		// this transaction: none can go without the others.
		children = slices.DeleteFunc(children, func(id string) bool {
			if t.path[id] {
				circle, t.circle = append(circle, id), true
			}
			return t.path[id]
		})
		if err := t.spare(ctx, m, children); err != nil {
			return false, err
		}
		if len(children) > 0 {
			if all, err := t.clear(ctx, m, children, true); err != nil || !all {
				return false, err
			}
		}
		if last {
			return true, nil
		}
	}
}

// spare is errEdited when the application has changed one of the rows since they were
// serialized: it would go before anybody has its last version. It lies outside of what the
// caller has serialized, or was changed after that; once it is in the store, it may go. A run
// that tries everything takes it along, as the reference does.
func (t *taking) spare(ctx context.Context, m *model.Model, ids []string) error {
	if !t.options.Sparing || len(ids) == 0 {
		return nil
	}
	edited, err := app.Edited(ctx, t.tx, m, ids)
	if err == nil && len(edited) > 0 {
		err = errEdited
	}
	return err
}
