// Package buffer keeps the buffers of transfer sessions: the snapshot of records,
// with their histories, that one session sends or has received.
//
// It belongs to the tables layer. It imports the words layer and db. On a row's
// path it is filled by queue on one side, carried over by transfer, and emptied by
// dequeue on the other.
package buffer

import (
	"context"
	"errors"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/record"
)

// ErrDifferentContent says that a record arrived again in the same session with
// other content than is buffered.
var ErrDifferentContent = errors.New("record is already buffered with other content")

// Count returns the number of records in the session's buffer.
func Count(ctx context.Context, tx *db.Tx, transferSessionID string) (int64, error) {
	panic("not written")
}

// Page returns up to limit records of the session with ids greater than afterID,
// in id order, with their histories. An empty afterID starts at the beginning.
func Page(ctx context.Context, tx *db.Tx, transferSessionID, afterID string, limit int) ([]record.Record, error) {
	panic("not written")
}

// PageOffset is Page for a peer that asks by offset. It costs time in proportion to
// the offset; use Page where the key is known.
func PageOffset(ctx context.Context, tx *db.Tx, transferSessionID string, offset, limit int) ([]record.Record, error) {
	panic("not written")
}

// Put adds records to the session's buffer. A record that is already there with the
// same content and history counts as repeated; with other content the error is
// ErrDifferentContent, and the caller must let the transaction fail.
func Put(ctx context.Context, tx *db.Tx, transferSessionID string, records []record.Record) (added, repeated int, err error) {
	panic("not written")
}

// Drop removes the session's buffer.
func Drop(ctx context.Context, tx *db.Tx, transferSessionID string) error {
	panic("not written")
}
