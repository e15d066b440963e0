package store

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/db"
)

// Touched is a record that a transfer session changed in the store.
type Touched struct {
	ID          string
	Deleted     bool // deleted by it, or before
	HardDeleted bool
	Waiting     bool // not applied to the application's table yet
}

// TouchedPage returns up to limit records of a model that a transfer session changed
// last, with ids greater than after, in id order. An empty after starts at the beginning.
func TouchedPage(ctx context.Context, tx *db.Tx, profile, model, transferSession, after string, limit int) ([]Touched, error) {
	query := `SELECT id, deleted, hard_deleted, dirty_bit FROM morango_store
		WHERE last_transfer_session_id = $1 AND profile = $2 AND model_name = $3`
	args := []any{transferSession, profile, model}
	if after != "" {
		query, args = query+` AND id > $4`, append(args, after)
	}
	rows, err := tx.Query(ctx, fmt.Sprintf("%s ORDER BY id LIMIT %d", query, limit), args...)
	if err != nil {
		return nil, fmt.Errorf("read the records of model %s that transfer session %s changed: %w", model, transferSession, err)
	}
	defer rows.Close()
	var page []Touched
	for rows.Next() {
		var t Touched
		if err := rows.Scan((*db.ID)(&t.ID), &t.Deleted, &t.HardDeleted, &t.Waiting); err != nil {
			return nil, fmt.Errorf("read the records that transfer session %s changed: %w", transferSession, err)
		}
		page = append(page, t)
	}
	return page, rows.Err()
}

// anyDirty asks for each kind of row apart: there is an index for each.
const anyDirty = `SELECT EXISTS (SELECT 1 FROM morango_store WHERE profile = $1 AND dirty_bit AND deserialization_error = '')
	OR EXISTS (SELECT 1 FROM morango_store WHERE profile = $1 AND dirty_bit AND deserialization_error <> '')`

// AnyDirty reports whether some record of a profile is to be deserialized.
func AnyDirty(ctx context.Context, tx *db.Tx, profile string) (found bool, err error) {
	if err := tx.QueryRow(ctx, anyDirty, profile).Scan(&found); err != nil {
		return false, fmt.Errorf("look for records to be deserialized: %w", err)
	}
	return found, nil
}
