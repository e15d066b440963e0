package session

import (
	"context"
	"encoding/json"
	"errors"
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

// byTransfer reads what extra_fields keep under a key for each transfer session, and all of
// the fields. Never nil; empty where nobody could read it.
func byTransfer[T any](s Sync, key string) (all map[string]T, fields map[string]json.RawMessage) {
	fields = s.extra()
	if json.Unmarshal(fields[key], &all) != nil || all == nil {
		all = map[string]T{}
	}
	return all, fields
}

// changeByTransfer writes what change makes of that, when it says that it changed it. A sync
// session that is not there is ErrNotFound.
func changeByTransfer[T any](ctx context.Context, tx *db.Tx, syncID, key string, change func(map[string]T) (bool, error)) error {
	s, err := GetSync(ctx, tx, syncID)
	if err != nil {
		return err
	}
	all, fields := byTransfer[T](s, key)
	if changed, err := change(all); err != nil || !changed {
		return err
	}
	if fields[key], err = json.Marshal(all); err != nil {
		return fmt.Errorf("note something of the transfers of sync session %s: %w", syncID, err)
	}
	if len(all) == 0 {
		delete(fields, key)
	}
	return s.setExtra(ctx, tx, fields)
}

// forget removes a transfer session from what is kept under a key.
func forget[T any](ctx context.Context, tx *db.Tx, t Transfer, key string) error {
	err := changeByTransfer(ctx, tx, t.SyncSessionID, key, func(all map[string]T) (bool, error) {
		_, known := all[t.ID]
		delete(all, t.ID)
		return known, nil
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
