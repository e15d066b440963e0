package deserialize

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
)

// filling puts what the store has for new columns into rows that the application has
// changed.
type filling struct {
	env     stage.Env
	model   *model.Model
	columns []string
	places  []int  // of those of the columns that are filled in, among the model's
	last    string // id
}

// page fills in the rows of one page. Values that a record cannot have by the
// profile's rules, or whose target is missing, are left out.
func (f *filling) page(ctx context.Context, tx *db.Tx, rows []app.Row) error {
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	stored, err := f.stored(ctx, tx, ids)
	if err != nil {
		return err
	}
	var filled []app.Row
	for _, row := range rows {
		from, ok := stored[row.ID]
		if row.Fault != nil || !ok {
			continue
		}
		changed := false
		for _, i := range f.places {
			if v, ok := from[i]; ok && unwritten(f.model.Columns[i], row.Values[i]) {
				row.Values[i], changed = v, true
			}
		}
		if changed {
			filled = append(filled, row)
		}
	}
	return app.Fill(ctx, tx, f.model, f.places, filled)
}

// unwritten reports whether a column holds what it has when nobody wrote it.
func unwritten(c model.Column, v any) bool {
	return v == nil || c.Default != nil && c.Default.Value != nil && fmt.Sprint(v) == fmt.Sprint(c.Default.Value)
}

// stored reads what the store has for the columns, by id and place.
func (f *filling) stored(ctx context.Context, tx *db.Tx, ids []string) (map[string]map[int]any, error) {
	const texts = `SELECT id, source_id, partition, serialized FROM morango_store
		WHERE profile = $2 AND model_name = $3 AND NOT deleted AND id IN `
	rows, err := tx.Query(ctx, texts+tx.IDs(1), db.JSONList(ids), f.env.Profile.Name, f.model.Name)
	if err != nil {
		return nil, fmt.Errorf("read store rows: %w", err)
	}
	found := map[string]map[int]any{}
	_, err = scan(rows, func(rows *sql.Rows) (id string, err error) {
		var w row
		if err := rows.Scan((*db.ID)(&w.id), &w.sourceID, &w.partition, &w.serialized); err != nil {
			return "", err
		}
		values, err := f.values(w)
		if len(values) > 0 {
			found[w.id] = values
		}
		return w.id, err
	})
	if err != nil {
		return nil, fmt.Errorf("read store rows: %w", err)
	}
	return found, f.dropMissing(ctx, tx, found)
}

// values decodes what a record carries for the columns; nothing when it is not sound.
func (f *filling) values(w row) (map[int]any, error) {
	if !record.Carries(w.serialized, f.columns) {
		return nil, nil
	}
	var failed error
	random := func() string {
		id, err := f.env.NewID()
		failed = err
		return id
	}
	all, err := record.Decode(f.model, w.id, w.sourceID, w.partition, w.serialized, f.env.Now(), random)
	if err != nil || failed != nil {
		return nil, failed
	}
	values := map[int]any{}
	for _, i := range f.places {
		if record.Carries(w.serialized, []string{f.model.Columns[i].Name}) {
			values[i] = all[i]
		}
	}
	return values, nil
}

// dropMissing takes out foreign keys whose target the application does not have.
func (f *filling) dropMissing(ctx context.Context, tx *db.Tx, found map[string]map[int]any) error {
	for _, i := range f.places {
		c := f.model.Columns[i]
		if c.References == nil {
			continue
		}
		var ids []string
		for _, values := range found {
			if id, ok := values[i].(string); ok {
				ids = append(ids, id)
			}
		}
		targets, err := app.Targets(ctx, tx, c.References.Table, ids)
		if err != nil {
			return err
		}
		for _, values := range found {
			if id, ok := values[i].(string); ok {
				if _, there := targets[id]; !there {
					delete(values, i)
				}
			}
		}
	}
	return nil
}
