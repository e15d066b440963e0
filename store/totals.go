package store

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/db"
)

// Total counts the records of one model.
type Total struct {
	Records int64 // without deleted ones
	Deleted int64
	Waiting int64 // not yet applied to the application's tables
}

// Totals counts the profile's records by model name.
func Totals(ctx context.Context, tx *db.Tx, profile string) (map[string]Total, error) {
	rows, err := tx.Query(ctx, `SELECT model_name, COUNT(CASE WHEN NOT deleted AND NOT hard_deleted THEN 1 END),
			COUNT(CASE WHEN deleted OR hard_deleted THEN 1 END), COUNT(CASE WHEN dirty_bit THEN 1 END)
		FROM morango_store WHERE profile = $1 GROUP BY model_name`, profile)
	if err != nil {
		return nil, fmt.Errorf("count the records of profile %s: %w", profile, err)
	}
	defer rows.Close()
	totals := map[string]Total{}
	for rows.Next() {
		var name string
		var t Total
		if err := rows.Scan(&name, &t.Records, &t.Deleted, &t.Waiting); err != nil {
			return nil, fmt.Errorf("count the records of profile %s: %w", profile, err)
		}
		totals[name] = t
	}
	return totals, rows.Err()
}
