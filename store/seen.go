package store

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
)

// Seen reports whether the store has each of these versions, by record id, or one that
// had seen it.
func Seen(ctx context.Context, tx *db.Tx, versions map[string]counter.Version) (bool, error) {
	ids := make([]string, 0, len(versions))
	for id := range versions {
		ids = append(ids, id)
	}
	rows, err := tx.Query(ctx, `SELECT store_model_id, instance_id, counter FROM morango_recordmaxcounter
		WHERE store_model_id IN `+tx.IDs(1), db.JSONList(ids))
	if err != nil {
		return false, fmt.Errorf("read the histories of %d records: %w", len(ids), err)
	}
	defer rows.Close()
	seen := 0
	for rows.Next() {
		var id, instance db.ID
		var n int64
		if err := rows.Scan(&id, &instance, &n); err != nil {
			return false, fmt.Errorf("read the histories of %d records: %w", len(ids), err)
		}
		if v := versions[string(id)]; v.Instance == string(instance) && n >= v.Counter {
			seen++
		}
	}
	return seen == len(versions), rows.Err()
}
