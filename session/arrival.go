package session

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/morango-go/morango/db"
)

// Started returns when transfer sessions began, of those ids that are known here; "" is
// nobody's.
func Started(ctx context.Context, tx *db.Tx, ids []string) (map[string]time.Time, error) {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == "" })
	if len(ids) == 0 {
		return map[string]time.Time{}, nil
	}
	rows, err := tx.Query(ctx, `SELECT id, start_timestamp FROM morango_transfersession WHERE id IN `+tx.IDs(1), db.JSONList(ids))
	if err != nil {
		return nil, fmt.Errorf("read when transfer sessions began: %w", err)
	}
	defer rows.Close()
	at := map[string]time.Time{}
	for rows.Next() {
		var id db.ID
		var start db.Time
		if err := rows.Scan(&id, &start); err != nil {
			return nil, fmt.Errorf("read when transfer sessions began: %w", err)
		}
		at[string(id)] = start.Time
	}
	return at, rows.Err()
}
