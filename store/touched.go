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
