package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/morango-go/morango/db"
)

// Deletions that the store does not know of yet wait here for the next serialize.
const (
	deletedTable     = "morango_deletedmodels"
	hardDeletedTable = "morango_harddeletedmodels"
)

// PendingDeletions returns those of the ids whose deletion by the application
// waits to be serialized.
func PendingDeletions(ctx context.Context, tx *db.Tx, of []string) (map[string]bool, error) {
	if len(of) == 0 {
		return nil, nil
	}
	if some, err := Between(ctx, tx, deletedTable, slices.Min(of), slices.Max(of)); !some || err != nil {
		return nil, err // mostly there are none
	}
	return set(ids(ctx, tx, deletedTable,
		"SELECT id FROM "+deletedTable+" WHERE "+tx.AmongIDs("id", 1), db.JSONList(of)))
}

// RecordDeletions notes that the rows of these ids are deleted, hard or not, so
// that the next serialize stamps and propagates it. Only records of the profile
// that the store holds are noted; with onlySettled, only those that it holds
// neither as deleted nor as still to be applied. It returns how many were noted
// that had not been before.
func RecordDeletions(ctx context.Context, tx *db.Tx, profile string, of []string, hard, onlySettled bool) (noted int64, err error) {
	cond := ""
	if onlySettled {
		cond = " AND NOT deleted AND NOT dirty_bit"
	}
	note := func(table string) (int64, error) {
		query := fmt.Sprintf("INSERT INTO %s (id, profile) SELECT id, profile FROM morango_store WHERE id IN %s AND profile = $2%s "+
			"ON CONFLICT (id) DO NOTHING", table, tx.IDs(1), cond)
		n, err := tx.Exec(ctx, query, db.JSONList(of), profile)
		if err != nil {
			return 0, fmt.Errorf("note deletions in %s: %w", table, err)
		}
		return n, nil
	}
	if hard {
		if _, err := note(hardDeletedTable); err != nil {
			return 0, err
		}
	}
	return note(deletedTable)
}
