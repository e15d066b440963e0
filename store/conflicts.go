package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
)

// ErrNoRecord says that the store does not have a record.
var ErrNoRecord = errors.New("the store has no such record")

// Conflict is a record with copies that lost a conflict.
type Conflict struct {
	ID, Model, Partition, SourceID string
	Serialized, Conflicting        string // as in record.Record
	SelfRef                        string
	Deleted                        bool
	Waiting                        bool // not applied to the application's table yet
	Version                        counter.Version
	TransferSession                string // that changed it last; "" when it was saved here since
}

const conflictColumns = `SELECT id, model_name, partition, source_id, serialized, conflicting_serialized_data, _self_ref_fk,
	deleted, dirty_bit, last_saved_instance, last_saved_counter, last_transfer_session_id FROM morango_store WHERE profile = $1`

// Conflicts lists records of the profile that have copies which lost a conflict, with
// ids greater than after, in id order: up to limit, or fewer once their texts have size
// bytes. An empty after starts at the beginning. more is false at the end.
func Conflicts(ctx context.Context, tx *db.Tx, profile, after string, limit, size int) (page []Conflict, more bool, err error) {
	query, args := conflictColumns+` AND conflicting_serialized_data <> ''`, []any{profile}
	if after != "" {
		query, args = query+` AND id > $2`, append(args, after)
	}
	rows, err := tx.Query(ctx, fmt.Sprintf("%s ORDER BY id LIMIT %d", query, limit), args...)
	if err != nil {
		return nil, false, fmt.Errorf("list conflicts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scanConflict(rows)
		if err != nil {
			return nil, false, fmt.Errorf("list conflicts: %w", err)
		}
		page = append(page, c)
		if size -= len(c.Serialized) + len(c.Conflicting); size < 0 {
			return page, true, nil
		}
	}
	return page, len(page) == limit, rows.Err()
}

// GetConflict reads a record of the profile, whether it has such copies or not. An
// error is ErrNoRecord when there is none.
func GetConflict(ctx context.Context, tx *db.Tx, profile, id string) (Conflict, error) {
	c, err := scanConflict(tx.QueryRow(ctx, conflictColumns+` AND id = $2`, profile, id))
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoRecord
	}
	if err != nil {
		return Conflict{}, fmt.Errorf("record %s: %w", id, err)
	}
	return c, nil
}

func scanConflict(row interface{ Scan(into ...any) error }) (c Conflict, err error) {
	err = row.Scan((*db.ID)(&c.ID), &c.Model, &c.Partition, &c.SourceID, &c.Serialized, &c.Conflicting, &c.SelfRef,
		&c.Deleted, &c.Waiting, (*db.ID)(&c.Version.Instance), &c.Version.Counter, (*db.ID)(&c.TransferSession))
	return c, err
}

// Applied reports whether a record is applied to the application's table, and why not
// where that is known.
func Applied(ctx context.Context, tx *db.Tx, id string) (applied bool, reason string, err error) {
	err = tx.QueryRow(ctx, `SELECT NOT dirty_bit, deserialization_error FROM morango_store WHERE id = $1`, id).Scan(&applied, &reason)
	if err != nil {
		return false, "", fmt.Errorf("record %s: %w", id, err)
	}
	if applied {
		reason = "" // that of an earlier try
	}
	return applied, reason, nil
}
