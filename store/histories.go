package store

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/db"
)

// HistoriesOf is the query of Histories, whose $1 is the list of ids: the stages' tests hold
// its plan.
func HistoriesOf(tx *db.Tx) string {
	return `SELECT store_model_id, instance_id, counter FROM morango_recordmaxcounter WHERE ` + tx.AmongIDs("store_model_id", 1)
}

// Histories calls each with every record max counter of these records, in no order.
func Histories(ctx context.Context, tx *db.Tx, ids []string, each func(id, instance string, n int64)) error {
	rows, err := tx.Query(ctx, HistoriesOf(tx), db.JSONList(ids))
	if err != nil {
		return fmt.Errorf("read the histories of %d records: %w", len(ids), err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, instance db.ID
		var n int64
		if err := rows.Scan(&id, &instance, &n); err != nil {
			return fmt.Errorf("read the histories of %d records: %w", len(ids), err)
		}
		each(string(id), string(instance), n)
	}
	return rows.Err()
}
