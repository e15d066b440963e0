package session

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/morango-go/morango/db"
)

// extra reads the members of a sync session's extra_fields, where we keep what the
// reference's tables have no column for. Never nil; empty where nobody could read them.
func (s Sync) extra() map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(s.ExtraFields), &fields) != nil || fields == nil {
		return map[string]json.RawMessage{}
	}
	return fields
}

// setExtra writes the members back. Those that somebody else keeps there are among them.
func (s Sync) setExtra(ctx context.Context, tx *db.Tx, fields map[string]json.RawMessage) error {
	text, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("note something in sync session %s: %w", s.ID, err)
	}
	n, err := tx.Exec(ctx, `UPDATE morango_syncsession SET extra_fields = $2 WHERE id = $1`, s.ID, string(text))
	return affected(n, err, ErrNotFound, "sync session", s.ID)
}
