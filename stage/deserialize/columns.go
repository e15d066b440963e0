package deserialize

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
)

// GainColumns brings into the application's tables what the store already holds for
// columns that the profile has gained, so that the next serialize does not put their
// defaults over what other peers know. The tables must have the columns already, and
// nothing may be serialized before it is done. It is for the lean layout.
//
// Settled records that carry such a column become dirty and are deserialized. A row
// that the application has changed is not overwritten: it gets the values of the new
// columns alone, where it holds no more than their defaults. Only when all this is
// done are the columns remembered, so that after an interruption it is done again.
func GainColumns(ctx context.Context, env stage.Env) error {
	var fresh map[string][]string
	var stored bool
	err := env.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if fresh, err = app.NewColumns(ctx, tx, env.Profile); err != nil {
			return err
		}
		const any = `SELECT EXISTS (SELECT 1 FROM morango_store WHERE profile = $1)`
		return tx.QueryRow(ctx, any, env.Profile.Name).Scan(&stored)
	})
	if err == nil && len(fresh) > 0 && stored {
		err = bringIn(ctx, env, fresh)
	}
	if err == nil && len(fresh) > 0 {
		err = env.DB.Write(ctx, func(tx *db.Tx) error { return app.RememberColumns(ctx, tx, env.Profile) })
	}
	if err != nil {
		return fmt.Errorf("bring in the columns that profile %s has gained: %w", env.Profile.Name, err)
	}
	return nil
}

func bringIn(ctx context.Context, env stage.Env, fresh map[string][]string) error {
	for _, m := range env.Profile.Models {
		if len(fresh[m.Name]) == 0 {
			continue
		}
		if err := markCarriers(ctx, env, m, fresh[m.Name]); err != nil {
			return fmt.Errorf("model %s: %w", m.Name, err)
		}
	}
	if _, err := Run(ctx, env, partition.Filter{}, Options{}, nil); err != nil {
		return err
	}
	// Last, for the application may change rows while the others are written.
	for _, m := range env.Profile.Models {
		if len(fresh[m.Name]) == 0 {
			continue
		}
		if err := fillEdited(ctx, env, m, fresh[m.Name]); err != nil {
			return fmt.Errorf("model %s: %w", m.Name, err)
		}
	}
	return nil
}

// settledRows reads records that were applied, or came from here.
const settledRows = `SELECT id, serialized FROM morango_store
	WHERE id %s $1 AND profile = $2 AND model_name = $3 AND NOT dirty_bit AND NOT deleted ORDER BY id LIMIT $4`

// markCarriers makes the model's settled records dirty that carry one of the columns.
func markCarriers(ctx context.Context, env stage.Env, m *model.Model, columns []string) error {
	after, comes := ident.Lowest, ">=" // PostgreSQL takes no empty id
	for {
		var carriers []string
		var last string
		seen := 0
		err := env.DB.Read(ctx, func(tx *db.Tx) error {
			rows, err := tx.Query(ctx, fmt.Sprintf(settledRows, comes), after, env.Profile.Name, m.Name, usual.batch)
			if err != nil {
				return err
			}
			carriers, seen = nil, 0
			_, err = scan(rows, func(rows *sql.Rows) (struct{}, error) {
				var id db.ID
				var text string
				err := rows.Scan(&id, &text)
				if last, seen = string(id), seen+1; record.Carries(text, columns) {
					carriers = append(carriers, last)
				}
				return struct{}{}, err
			})
			return err
		})
		if err != nil {
			return fmt.Errorf("read settled records: %w", err)
		}
		if len(carriers) > 0 {
			err := env.DB.Write(ctx, func(tx *db.Tx) error { return mark(ctx, tx, m, carriers) })
			if err != nil {
				return fmt.Errorf("mark records: %w", err)
			}
		}
		if seen < usual.batch {
			return nil
		}
		after, comes = last, ">"
	}
}

// mark makes records dirty. It leaves those that the application has changed or
// deleted: dirty on both sides would look like a conflict of two peers.
func mark(ctx context.Context, tx *db.Tx, m *model.Model, ids []string) error {
	if err := tx.Lock(ctx, partition.Filter{}, false); err != nil {
		return err
	}
	edited, err := app.Edited(ctx, tx, m, ids)
	if err != nil {
		return err
	}
	deleted, err := app.PendingDeletions(ctx, tx, ids)
	if err != nil {
		return err
	}
	var clean []string
	for _, id := range ids {
		if !edited[id] && !deleted[id] {
			clean = append(clean, id)
		}
	}
	_, err = tx.Exec(ctx, "UPDATE morango_store SET dirty_bit = TRUE WHERE NOT deleted AND id IN "+tx.IDs(1), db.JSONList(clean))
	return err
}

// fillEdited gives the model's changed rows the values that the store has for the
// columns, where the rows hold what nobody wrote.
func fillEdited(ctx context.Context, env stage.Env, m *model.Model, columns []string) error {
	f := filling{env: env, model: m, columns: columns}
	for i, c := range m.Columns {
		// A value that is taken would fail the others; and an id is never changed.
		if !c.Local && !c.Unique && c.Name != model.ColumnID && slices.Contains(columns, c.Name) {
			f.places = append(f.places, i)
		}
	}
	for after, more := "", len(f.places) > 0; more; {
		err := env.DB.Write(ctx, func(tx *db.Tx) error {
			if err := tx.Lock(ctx, partition.Filter{}, false); err != nil {
				return err
			}
			rows, err := app.DirtyPage(ctx, tx, m, partition.Filter{}, after, usual.page)
			if err != nil || len(rows) == 0 {
				more = false
				return err
			}
			if err := f.page(ctx, tx, rows); err != nil {
				return err
			}
			f.last, more = rows[len(rows)-1].ID, len(rows) == usual.page
			return nil
		})
		if err != nil {
			return fmt.Errorf("fill in changed rows: %w", err)
		}
		after = f.last
	}
	return nil
}
