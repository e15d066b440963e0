package deserialize

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
)

// Rows that were refused stay, and there may be many: a run that tried them all would
// take as long at every sync. So a sparing run looks only at what is fresh, and then at
// refused rows that have a reason to be tried again, and at a bounded share of the rest.

// chosen are rows to try, by model, in place of all that are dirty.
type chosen struct {
	byModel map[string][]choice
	rows    int
}

type choice struct {
	id      string
	deleted bool
}

func (c *chosen) add(model string, row choice) {
	if c.byModel == nil {
		c.byModel = map[string][]choice{}
	}
	c.byModel[model] = append(c.byModel[model], row)
	c.rows++
}

// drop takes rows out.
func (c *chosen) drop(out func(choice) bool) {
	c.rows = 0
	for model, rows := range c.byModel {
		c.byModel[model] = slices.DeleteFunc(rows, out)
		c.rows += len(c.byModel[model])
	}
}

// of returns the ids of a model's rows, in order.
func (c *chosen) of(model string, w which) []string {
	var ids []string
	for _, row := range c.byModel[model] {
		if w == allRows || row.deleted == (w == deletedRows) {
			ids = append(ids, row.id)
		}
	}
	slices.Sort(ids)
	return ids
}

// only does something with the chosen rows alone.
func (r *run) only(ctx context.Context, rows *chosen, do func(context.Context) error) error {
	if rows.rows == 0 {
		return nil
	}
	for _, list := range rows.byModel {
		for _, row := range list {
			r.forget(row.id)
		}
	}
	r.chosen = rows
	defer func() { r.chosen = nil }()
	return do(ctx)
}

// sparing applies what is fresh, then a share of what was refused before, and then
// whatever refused rows miss that is here now, until that changes nothing any more.
func (r *run) sparing(ctx context.Context) error {
	if err := r.all(ctx); err != nil {
		return err
	}
	some, found, err := r.sample(ctx)
	if err != nil {
		return fmt.Errorf("choose rows to try again: %w", err)
	}
	if err := r.only(ctx, &some, r.all); err != nil {
		return err
	}
	if !found || !r.options.Changed && r.applied+r.deleted == 0 {
		return nil
	}
	for before := int64(-1); before < r.applied+r.deleted; {
		before = r.applied + r.deleted
		if err := r.released(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sample chooses refused rows from a random id on, without those that this run has
// tried: so each has its turn, also when the reason for which it was refused has gone
// without a trace. It reports whether there are any refused rows at all.
func (r *run) sample(ctx context.Context) (some chosen, found bool, err error) {
	start, err := r.env.NewID()
	if err != nil {
		return some, false, err
	}
	err = r.env.DB.Read(ctx, func(tx *db.Tx) error {
		some = chosen{}
		for _, part := range []string{"id >= $1", "id < $1"} {
			scope, args := r.scope(tx, 3)
			args = append([]any{start, r.limits.again - some.rows}, args...)
			query := refusedOf + scope + " AND " + part + " ORDER BY id LIMIT $2"
			if _, err := some.read(ctx, tx, query, args...); err != nil {
				return err
			}
		}
		return nil
	})
	found = some.rows > 0
	some.drop(func(row choice) bool { return r.settled[keyOf(row.id)] != 0 })
	return some, found, err
}

const refusedOf = `SELECT id, model_name, deleted FROM morango_store WHERE dirty_bit AND ` + refusedRows + ` AND `

// read adds the rows that a query finds, and returns the id of the last.
func (c *chosen) read(ctx context.Context, tx *db.Tx, query string, args ...any) (last string, err error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return "", err
	}
	_, err = scan(rows, func(rows *sql.Rows) (struct{}, error) {
		var row choice
		var model string
		err := rows.Scan((*db.ID)(&row.id), &model, &row.deleted)
		c.add(model, row)
		last = row.id
		return struct{}{}, err
	})
	return last, err
}

// released tries the rows again that miss something which is here now.
func (r *run) released(ctx context.Context) error {
	for after, more := "", true; more; {
		var come []string
		var err error
		if come, after, more, err = r.come(ctx, after); err != nil {
			return fmt.Errorf("look for what refused rows miss: %w", err)
		}
		for lowest, beyond := ident.Lowest, ">="; len(come) > 0; beyond = ">" {
			var rows chosen
			if rows, lowest, err = r.waitingFor(ctx, come, beyond, lowest); err != nil {
				return fmt.Errorf("choose rows to try again: %w", err)
			}
			if err := r.only(ctx, &rows, r.all); err != nil {
				return err
			}
			if rows.rows < r.limits.list {
				break
			}
		}
	}
	return nil
}

// missedRows finds the ids that reasons begin with, in the words of the lean layout's
// index.
const missedRows = `SELECT DISTINCT substr(deserialization_error, 1, 32) AS missed FROM morango_store
	WHERE dirty_bit AND ` + refusedRows + ` AND profile = $1 AND substr(deserialization_error, 1, 32) > $2
	ORDER BY missed LIMIT $3`

// come looks at a page of the rows that refused rows miss, in order of ids, and
// returns those that the store has and that are applied.
func (r *run) come(ctx context.Context, after string) (come []string, last string, more bool, err error) {
	err = r.env.DB.Read(ctx, func(tx *db.Tx) error {
		come = nil
		rows, err := tx.Query(ctx, missedRows, r.env.Profile.Name, after, r.limits.list)
		if err != nil {
			return err
		}
		missed, err := scan(rows, func(rows *sql.Rows) (id string, err error) {
			err = rows.Scan(&id)
			return id, err
		})
		if err != nil || len(missed) == 0 {
			return err
		}
		more, last = len(missed) == r.limits.list, missed[len(missed)-1]
		missed = slices.DeleteFunc(missed, func(text string) bool { return !ident.Valid(text) })
		for page := range slices.Chunk(missed, r.limits.page) {
			rows, err := tx.Query(ctx, "SELECT id FROM morango_store WHERE NOT dirty_bit AND id IN "+tx.IDs(1), db.JSONList(page))
			if err != nil {
				return err
			}
			here, err := scan(rows, scanID)
			if err != nil {
				return err
			}
			come = append(come, here...)
		}
		return nil
	})
	return come, last, more && err == nil, err
}

// waitingFor chooses a page of rows whose reasons name one of the ids.
func (r *run) waitingFor(ctx context.Context, come []string, beyond, after string) (rows chosen, last string, err error) {
	err = r.env.DB.Read(ctx, func(tx *db.Tx) error {
		rows = chosen{}
		scope, args := r.scope(tx, 4)
		query := refusedOf + "substr(deserialization_error, 1, 32) IN " + tx.Texts(1) +
			" AND id " + beyond + " $2 AND " + scope + " ORDER BY id LIMIT $3"
		last, err = rows.read(ctx, tx, query, append([]any{db.JSONList(come), after, r.limits.list}, args...)...)
		return err
	})
	return rows, last, err
}
