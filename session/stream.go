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

// Cursor returns the sender's cursor up to which the records of the transfer session have come
// here, "" at its beginning, and whether it travels as a stream at all.
func (t Transfer) Cursor() (cursor string, streams bool) {
	cursors, _ := byTransfer[string](t.Within.ExtraFields, streamKey)
	cursor, streams = cursors[t.ID]
	return cursor, streams
}

// SetCursor notes up to which cursor the records of the transfer session have come. Write stores
// it, in the transaction that keeps them.
func (t *Transfer) SetCursor(cursor string) error {
	return changeByTransfer(t, streamKey, func(cursors map[string]string) (bool, error) {
		before, known := cursors[t.ID]
		cursors[t.ID] = cursor
		return !known || before != cursor, nil
	})
}

// MarkStream notes that the transfer session travels as a stream, where that is not noted. Write
// stores it.
func (t *Transfer) MarkStream() error {
	cursor, _ := t.Cursor()
	return t.SetCursor(cursor)
}

// SetCursor is Transfer.SetCursor, and stores it.
func SetCursor(ctx context.Context, tx *db.Tx, t Transfer, cursor string) error {
	return changeExtra(ctx, tx, t, func(t *Transfer) error { return t.SetCursor(cursor) })
}

// MarkStream is Transfer.MarkStream, and stores it.
func MarkStream(ctx context.Context, tx *db.Tx, t Transfer) error {
	return changeExtra(ctx, tx, t, func(t *Transfer) error { return t.MarkStream() })
}

// Close marks the transfer session as no longer active, and forgets how far it came. Write stores it.
func (t *Transfer) Close() error {
	t.Active = false
	if err := errors.Join(forget[string](t, streamKey), forget[Queued](t, queuedKey)); err != nil || !t.Push {
		return err
	}
	return forget[Ahead](t, aheadKey)
}
