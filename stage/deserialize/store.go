package deserialize

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
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
	stayed                      // it is deleted, and its application row could not be removed
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
	args = append([]any{r.env.Profile.Name}, args...)
	if len(r.options.Except) > 0 {
		args = append(args, db.JSONList(r.options.Except))
		cond += fmt.Sprintf(" AND (last_transfer_session_id IS NULL OR last_transfer_session_id NOT IN %s)", tx.IDs(first+len(args)-1))
	}
	return cond, args
}

// which picks rows by their deleted flag.
type which string

const (
	livingRows  which = "NOT deleted"
	deletedRows which = "deleted"
	allRows     which = "TRUE"
)

// The two kinds of dirty rows. The lean layout has an index for each, so that the
// fresh ones are found without reading past those that were refused before.
const (
	freshRows   = "deserialization_error = ''"
	refusedRows = "deserialization_error <> ''"
)

// list calls handle with the ids of those of the model's dirty rows that the run has
// to try, a bounded number at a time and in id order.
func (r *run) list(ctx context.Context, m *model.Model, w which, handle func(context.Context, *model.Model, []string) error) error {
	if r.chosen != nil {
		if ids := r.chosen.of(m.Name, w); len(ids) > 0 {
			return handle(ctx, m, ids)
		}
		return nil
	}
	for after, beyond := ident.Lowest, ">="; ; beyond = ">" {
		ids, err := r.listPage(ctx, m, w, "id "+beyond+" $2", after)
		if err != nil {
			return fmt.Errorf("list the dirty rows: %w", err)
		}
		if len(ids) == 0 {
			return nil
		}
		if err := handle(ctx, m, ids); err != nil {
			return err
		}
		if len(ids) < r.limits.list {
			return nil
		}
		after = ids[len(ids)-1]
		if len(r.settled)+len(r.dead) > 10*r.limits.list {
			r.forgetAll() // forgetting costs a second try, not the result
			clear(r.dead)
		}
	}
}

// listPage reads one page of ids.
func (r *run) listPage(ctx context.Context, m *model.Model, w which, beyond, after string) (ids []string, err error) {
	kinds := []string{freshRows, refusedRows}
	if r.options.Sparing || r.options.SkipErroring {
		kinds = kinds[:1]
	}
	err = r.env.DB.Read(ctx, func(tx *db.Tx) error {
		ids = nil
		scope, args := r.scope(tx, 4)
		args = append([]any{m.Name, after, r.limits.list}, args...)
		for _, kind := range kinds {
			rows, err := tx.Query(ctx, fmt.Sprintf(`SELECT id FROM morango_store WHERE dirty_bit AND %s
				AND model_name = $1 AND %s AND %s AND %s ORDER BY id LIMIT $3`, kind, beyond, scope, w), args...)
			if err != nil {
				return err
			}
			found, err := scan(rows, scanID)
			if err != nil {
				return err
			}
			ids = append(ids, found...)
		}
		return nil
	})
	slices.Sort(ids)
	return ids[:min(len(ids), r.limits.list)], err
}

// loadRows has no condition but the ids: with more, SQLite would walk the index of
// all dirty rows for every page.
const loadRows = `
	SELECT id, source_id, partition, serialized, deleted, deserialization_error,
		dirty_bit AND profile = $2 AND model_name = $3 FROM morango_store WHERE %s`

// load reads those of the rows that are still dirty, and the model's, each into the place
// of its id; the others stay empty. It stops after so many bytes of JSON, and reports
// whether it came to the end.
func (r *run) load(ctx context.Context, tx *db.Tx, m *model.Model, ids []string, budget int) (page []row, complete bool, err error) {
	rows, err := tx.Query(ctx, fmt.Sprintf(loadRows, tx.AmongIDs("id", 1)), db.JSONList(ids), r.env.Profile.Name, m.Name)
	if err != nil {
		return nil, false, fmt.Errorf("read store rows: %w", err)
	}
	places := make(map[string]int, len(ids))
	for i, id := range ids {
		places[id] = i
	}
	page, complete = make([]row, len(ids)), true
	var w row // here, for what is scanned into moves to the heap
	var wanted bool
	_, err = scan(rows, func(rows *sql.Rows) (none struct{}, err error) {
		err = rows.Scan((*db.ID)(&w.id), &w.sourceID, &w.partition, &w.serialized, &w.deleted, &w.reason, &wanted)
		if place, asked := places[w.id]; asked && wanted && err == nil {
			page[place] = w
		}
		if budget -= len(w.serialized); budget < 0 {
			complete = false
			err = errors.Join(err, rows.Close())
		}
		return none, err
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
	query := "morango_store SET dirty_bit = FALSE"
	if m.SelfReference() != nil {
		query += ", deserialization_error = ''"
	}
	verb := "UPDATE "
	if tx.Kind() == db.SQLite {
		verb = "UPDATE OR FAIL " // the transaction ends then: no page is copied first, to take this back
	}
	query = verb + query + " WHERE " + tx.AmongIDs("id", 1)
	if _, err := tx.Exec(ctx, query, db.JSONList(ids)); err != nil {
		return fmt.Errorf("mark store rows as applied: %w", err)
	}
	return nil
}

// refuse writes the reasons for which rows stay dirty, where they are new. Rows that
// miss the same have the same reason, and share a statement.
func (r *run) refuse(ctx context.Context, tx *db.Tx, reasons []reason) error {
	same := map[string][]string{}
	for _, why := range reasons {
		if why.text != why.before {
			same[why.text] = append(same[why.text], why.id)
		}
	}
	query := "UPDATE morango_store SET deserialization_error = $2 WHERE dirty_bit AND id IN " + tx.IDs(1)
	for text, ids := range same {
		if _, err := tx.Exec(ctx, query, db.JSONList(ids), text); err != nil {
			return fmt.Errorf("note the error of record %s: %w", ids[0], err)
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
