package deserialize

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// key is an id in its short form.
type key [16]byte

func keyOf(id string) (k key) {
	_, _ = hex.Decode(k[:], []byte(id)[:min(len(id), 2*len(k))]) // ids are checked where they are read
	return k
}

// verdict says how this run left a row that is still dirty.
type verdict byte

const (
	refused  verdict = iota + 1 // it has an error of its own
	blocked                     // its parent could not be applied
	waiting                     // the application changed it in between
	released                    // it is deleted, and its turn comes after the writing
)

// row is a dirty store row.
type row struct {
	id, sourceID, partition string
	serialized              string
	deleted                 bool
	reason                  string // its deserialization_error
}

// scope is the condition that a store row is the run's business, besides its
// model and dirty bit; its parameters start at $first.
func (r *run) scope(tx *db.Tx, first int) (cond string, args []any) {
	prefixes, args := tx.PrefixCond("partition", r.filter, first+1)
	cond = fmt.Sprintf("profile = $%d AND %s", first, prefixes)
	if r.options.SkipErroring {
		cond += " AND deserialization_error = ''"
	}
	return cond, append([]any{r.env.Profile.Name}, args...)
}

// list calls handle with the ids of the model's dirty rows for which cond holds, a
// bounded number at a time and in id order.
func (r *run) list(ctx context.Context, m *model.Model, cond string, handle func(context.Context, *model.Model, []string) error) error {
	const lowest = "00000000000000000000000000000000" // PostgreSQL takes no empty id
	for after, beyond := lowest, ">="; ; beyond = ">" {
		var page []string
		err := r.env.DB.Read(ctx, func(tx *db.Tx) error {
			scope, args := r.scope(tx, 4)
			query := "SELECT id FROM morango_store WHERE dirty_bit AND model_name = $1 AND id " + beyond + " $2 AND " + scope + " AND " + cond +
				" ORDER BY id LIMIT $3"
			rows, err := tx.Query(ctx, query, append([]any{m.Name, after, r.limits.list}, args...)...)
			if err != nil {
				return err
			}
			page, err = scan(rows, scanID)
			return err
		})
		if err != nil {
			return fmt.Errorf("list the dirty rows: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		if err := handle(ctx, m, page); err != nil {
			return err
		}
		if len(page) < r.limits.list {
			return nil
		}
		after = page[len(page)-1]
		if len(r.settled) > 10*r.limits.list {
			clear(r.settled) // forgetting costs a second try, not the result
		}
	}
}

// loadRows has no condition but the ids: with more, SQLite would walk the index of
// all dirty rows for every page.
const loadRows = `
	SELECT id, source_id, partition, serialized, deleted, deserialization_error,
		dirty_bit, profile, model_name FROM morango_store WHERE id IN %s`

// load reads those of the rows that are still dirty, and the model's. It stops
// after so many bytes of JSON, and reports whether it came to the end.
func (r *run) load(ctx context.Context, tx *db.Tx, m *model.Model, ids []string, budget int) (page map[string]row, complete bool, err error) {
	rows, err := tx.Query(ctx, fmt.Sprintf(loadRows, tx.IDs(1)), db.JSONList(ids))
	if err != nil {
		return nil, false, fmt.Errorf("read store rows: %w", err)
	}
	page, complete = make(map[string]row, len(ids)), true
	_, err = scan(rows, func(rows *sql.Rows) (id string, err error) {
		var w row
		var dirty bool
		var profile, name string
		err = rows.Scan((*db.ID)(&w.id), &w.sourceID, &w.partition, &w.serialized, &w.deleted, &w.reason, &dirty, &profile, &name)
		if dirty && profile == r.env.Profile.Name && name == m.Name {
			page[w.id] = w
		}
		if budget -= len(w.serialized); budget < 0 {
			complete = false
			err = errors.Join(err, rows.Close())
		}
		return w.id, err
	})
	if err != nil {
		return nil, false, fmt.Errorf("read store rows: %w", err)
	}
	return page, complete, nil
}

// settle marks rows as applied. Rows of a tree lose the error of an earlier run,
// others keep it, as the reference does.
func (r *run) settle(ctx context.Context, tx *db.Tx, m *model.Model, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	query := "UPDATE morango_store SET dirty_bit = FALSE WHERE id IN " + tx.IDs(1)
	if m.SelfReference() != nil {
		query = "UPDATE morango_store SET dirty_bit = FALSE, deserialization_error = '' WHERE id IN " + tx.IDs(1)
	}
	if _, err := tx.Exec(ctx, query, db.JSONList(ids)); err != nil {
		return fmt.Errorf("mark store rows as applied: %w", err)
	}
	return nil
}

const reasonLength = 1000 // bytes of an error that are worth keeping

// refuse writes the reasons for which rows stay dirty, where they are new.
func (r *run) refuse(ctx context.Context, tx *db.Tx, reasons []reason) error {
	var statement *sql.Stmt
	for _, why := range reasons {
		if why.text == why.before {
			continue
		}
		if statement == nil {
			var err error
			statement, err = tx.Prepare(ctx, "UPDATE morango_store SET deserialization_error = $1 WHERE id = $2 AND dirty_bit")
			if err != nil {
				return fmt.Errorf("note an error: %w", err)
			}
			defer statement.Close()
		}
		if _, err := statement.ExecContext(ctx, why.text, why.id); err != nil {
			return fmt.Errorf("note the error of record %s: %w", why.id, err)
		}
	}
	return nil
}

// scan reads all rows and closes them.
func scan[T any](rows *sql.Rows, one func(*sql.Rows) (T, error)) ([]T, error) {
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := one(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

func scanID(rows *sql.Rows) (id string, err error) {
	err = rows.Scan((*db.ID)(&id))
	return id, err
}
