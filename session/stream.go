package session

import (
	"context"
	"errors"

	"github.com/morango-go/morango/db"
)

// How far the records of a transfer session have come that travels as a stream is kept in
// the sync session's extra_fields, by transfer session: the transfer session has no
// column for it.
const streamKey = "morango_streams"

// Cursor returns the sender's cursor up to which the records of a transfer session have come
// here, "" at its beginning, and whether it travels as a stream at all.
func (s Sync) Cursor(transferID string) (cursor string, streams bool) {
	cursors, _ := byTransfer[string](s, streamKey)
	cursor, streams = cursors[transferID]
	return cursor, streams
}

// SetCursor notes up to which cursor the records of a transfer session have come. It
// belongs into the transaction that keeps them.
func SetCursor(ctx context.Context, tx *db.Tx, t Transfer, cursor string) error {
	return changeCursors(ctx, tx, t, func(cursors map[string]string) bool {
		before, known := cursors[t.ID]
		cursors[t.ID] = cursor
		return !known || before != cursor
	})
}

// MarkStream notes that a transfer session travels as a stream, where that is not noted.
func MarkStream(ctx context.Context, tx *db.Tx, t Transfer) error {
	return changeCursors(ctx, tx, t, func(cursors map[string]string) bool {
		before, known := cursors[t.ID]
		cursors[t.ID] = before
		return !known
	})
}

// dropCursor forgets how far a transfer session came that has ended.
func dropCursor(ctx context.Context, tx *db.Tx, id string) error {
	t, err := GetTransfer(ctx, tx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil && t.Push {
		err = forget[Ahead](ctx, tx, t, aheadKey)
	}
	if err != nil {
		return err
	}
	return forget[string](ctx, tx, t, streamKey)
}

// changeCursors writes a sync session's cursors when change says that it changed them.
func changeCursors(ctx context.Context, tx *db.Tx, t Transfer, change func(map[string]string) bool) error {
	err := changeByTransfer(ctx, tx, t.SyncSessionID, streamKey, func(cursors map[string]string) (bool, error) { return change(cursors), nil })
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
