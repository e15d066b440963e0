package buffer

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/db"
)

// Remove takes records out of the session's buffer, with their histories.
func Remove(ctx context.Context, tx *db.Tx, transferSessionID string, ids []string) error {
	for _, table := range []string{"morango_recordmaxcounterbuffer", "morango_buffer"} {
		query := "DELETE FROM " + table + " WHERE transfer_session_id = $1 AND model_uuid IN " + tx.IDs(2)
		if _, err := tx.Exec(ctx, query, transferSessionID, db.JSONList(ids)); err != nil {
			return fmt.Errorf("take %d records out of the buffer of transfer session %s: %w", len(ids), transferSessionID, err)
		}
	}
	return nil
}
