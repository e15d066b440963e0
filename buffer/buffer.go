// Package buffer keeps the buffers of transfer sessions: the snapshot of records,
// with their histories, that one session sends or has received.
//
// It belongs to the tables layer. It imports the words layer and db. On a row's
// path it is filled by queue on one side, carried over by transfer, and emptied by
// dequeue on the other.
package buffer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
)

// Count returns the number of records in the session's buffer.
func Count(ctx context.Context, tx *db.Tx, transferSessionID string) (int64, error) {
	var n int64
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM morango_buffer WHERE transfer_session_id = $1`, transferSessionID).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the buffer of transfer session %s: %w", transferSessionID, err)
	}
	return n, nil
}

// Drop removes the session's buffer.
func Drop(ctx context.Context, tx *db.Tx, transferSessionID string) error {
	for _, query := range []string{
		`DELETE FROM morango_recordmaxcounterbuffer WHERE transfer_session_id = $1`,
		`DELETE FROM morango_buffer WHERE transfer_session_id = $1`,
	} {
		if _, err := tx.Exec(ctx, query, transferSessionID); err != nil {
			return fmt.Errorf("drop the buffer of transfer session %s: %w", transferSessionID, err)
		}
	}
	return nil
}

// dropRows is how many records leave a buffer in one transaction.
const dropRows = 2000

// DropInParts removes the session's buffer, in transactions of bounded length. What is left when it is
// interrupted can be dropped by the next.
func DropInParts(ctx context.Context, d *db.DB, transferSessionID string) error {
	if err := Shorten(ctx, d, transferSessionID); err != nil {
		return err
	}
	return d.WritePart(ctx, transferSessionID, func(tx *db.Tx) error { return Drop(ctx, tx, transferSessionID) })
}

// endOfPart is where the first so many records of a buffer end.
const endOfPart = `SELECT model_uuid FROM morango_buffer WHERE transfer_session_id = $1 AND model_uuid >= $2
	ORDER BY model_uuid LIMIT 1 OFFSET $3`

// Long says whether the session's buffer is one that takes several transactions to remove, see Shorten.
func Long(ctx context.Context, tx *db.Tx, transferSessionID string) (bool, error) {
	end, err := firstPart(ctx, tx, transferSessionID)
	return end != "", err
}

// firstPart is where the first part of a long buffer ends; "" for a short one.
func firstPart(ctx context.Context, tx *db.Tx, transferSessionID string) (string, error) {
	var end db.ID
	err := tx.QueryRow(ctx, endOfPart, transferSessionID, ident.Lowest, dropRows).Scan(&end)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look how long the buffer of transfer session %s is: %w", transferSessionID, err)
	}
	return string(end), nil
}

// Shorten removes most of a long buffer, in transactions of bounded length: what is left is little
// enough for Drop. It does not touch a short one.
func Shorten(ctx context.Context, d *db.DB, transferSessionID string) error {
	for {
		var end string
		err := d.Read(ctx, func(tx *db.Tx) (err error) {
			end, err = firstPart(ctx, tx, transferSessionID)
			return err
		})
		if err == nil && end == "" {
			return nil
		}
		if err == nil {
			err = d.WritePart(ctx, transferSessionID, func(tx *db.Tx) error { return dropBefore(ctx, tx, transferSessionID, end) })
		}
		if err != nil {
			return fmt.Errorf("shorten the buffer of transfer session %s: %w", transferSessionID, err)
		}
	}
}

// dropBefore removes the records with ids before one, with their counters, and counters that have no record.
func dropBefore(ctx context.Context, tx *db.Tx, transferSessionID, id string) error {
	for _, table := range []string{"morango_recordmaxcounterbuffer", "morango_buffer"} {
		query := "DELETE FROM " + table + " WHERE transfer_session_id = $1 AND model_uuid < $2"
		if _, err := tx.Exec(ctx, query, transferSessionID, id); err != nil {
			return err
		}
	}
	return nil
}

const empty = `SELECT NOT EXISTS (SELECT 1 FROM morango_buffer WHERE transfer_session_id = $1)
	AND NOT EXISTS (SELECT 1 FROM morango_recordmaxcounterbuffer WHERE transfer_session_id = $1)`

// Empty reports whether nothing is in the buffer of a transfer session.
func Empty(ctx context.Context, tx *db.Tx, transferSessionID string) (nothing bool, err error) {
	if err := tx.QueryRow(ctx, empty, transferSessionID).Scan(&nothing); err != nil {
		return false, fmt.Errorf("look into the buffer of transfer session %s: %w", transferSessionID, err)
	}
	return nothing, nil
}

// Next returns the least id after a given one, "" at the beginning, of a transfer
// session that has something in a buffer; "" when there is none. It does not read
// through the buffers.
func Next(ctx context.Context, tx *db.Tx, after string) (string, error) {
	if after == "" {
		after = ident.Lowest
	}
	next := ""
	for _, table := range []string{"morango_buffer", "morango_recordmaxcounterbuffer"} {
		var id db.ID
		err := tx.QueryRow(ctx, `SELECT transfer_session_id FROM `+table+`
			WHERE transfer_session_id > $1 ORDER BY transfer_session_id LIMIT 1`, after).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("look for buffers: %w", err)
		}
		if next == "" || string(id) < next {
			next = string(id)
		}
	}
	return next, nil
}
