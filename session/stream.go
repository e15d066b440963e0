package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/morango-go/morango/db"
)

// How far the records of a transfer session have come that travels as a stream is kept in
// the sync session's extra_fields, by transfer session: the transfer session has no
// column for it.
const streamKey = "morango_streams"

// cursors reads the cursors of a sync session's transfers, and all of its fields.
func (s Sync) cursors() (cursors map[string]string, fields map[string]json.RawMessage) {
	fields = s.extra()
	if json.Unmarshal(fields[streamKey], &cursors) != nil || cursors == nil {
		cursors = map[string]string{}
	}
	return cursors, fields
}

// Cursor returns the sender's cursor up to which the records of a transfer session have come
// here, "" at its beginning, and whether it travels as a stream at all.
func (s Sync) Cursor(transferID string) (cursor string, streams bool) {
	cursors, _ := s.cursors()
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
		err = dropAhead(ctx, tx, t)
	}
	if err != nil {
		return err
	}
	return changeCursors(ctx, tx, t, func(cursors map[string]string) bool {
		_, known := cursors[id]
		delete(cursors, id)
		return known
	})
}

// changeCursors writes a sync session's cursors when change says that it changed them.
func changeCursors(ctx context.Context, tx *db.Tx, t Transfer, change func(map[string]string) bool) error {
	s, err := GetSync(ctx, tx, t.SyncSessionID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	cursors, fields := s.cursors()
	if !change(cursors) {
		return nil
	}
	if fields[streamKey], err = json.Marshal(cursors); err != nil {
		return fmt.Errorf("note how far transfer session %s has come: %w", t.ID, err)
	}
	if len(cursors) == 0 {
		delete(fields, streamKey)
	}
	return s.setExtra(ctx, tx, fields)
}
