package session

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/morango-go/morango/db"
)

// extra reads the members of a sync session's extra_fields, where we keep what the
// reference's tables have no column for. Never nil; empty where nobody could read them.
func extra(text string) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &fields) != nil || fields == nil {
		return map[string]json.RawMessage{}
	}
	return fields
}

// setExtra writes the members back. Those that somebody else keeps there are among them.
func setExtra(ctx context.Context, tx *db.Tx, syncID, text string) error {
	n, err := tx.Exec(ctx, `UPDATE morango_syncsession SET extra_fields = $2 WHERE id = $1`, syncID, text)
	return affected(n, err, ErrNotFound, "sync session", syncID)
}

// byTransfer reads what extra_fields keep under a key for each transfer session, and all of
// the fields. Never nil; empty where nobody could read it.
func byTransfer[T any](text, key string) (all map[string]T, fields map[string]json.RawMessage) {
	fields = extra(text)
	if json.Unmarshal(fields[key], &all) != nil || all == nil {
		all = map[string]T{}
	}
	return all, fields
}

// changeByTransfer changes that in the extra_fields with which a transfer session was read, when
// change says that it changed it. Write stores it.
func changeByTransfer[T any](t *Transfer, key string, change func(map[string]T) (bool, error)) error {
	all, fields := byTransfer[T](t.Within.ExtraFields, key)
	if changed, err := change(all); err != nil || !changed {
		return err
	}
	text, err := json.Marshal(all)
	if fields[key] = text; len(all) == 0 {
		delete(fields, key)
	}
	if err == nil {
		text, err = json.Marshal(fields)
	}
	if err != nil {
		return fmt.Errorf("note something of the transfers of sync session %s: %w", t.SyncSessionID, err)
	}
	t.Within.ExtraFields = string(text)
	return nil
}

// forget removes a transfer session from what is kept under a key.
func forget[T any](t *Transfer, key string) error {
	return changeByTransfer(t, key, func(all map[string]T) (bool, error) {
		_, known := all[t.ID]
		delete(all, t.ID)
		return known, nil
	})
}

// changeExtra stores what change makes of the extra_fields of a transfer session's sync session, as they
// are in the transaction, and nothing else of it. ErrNotFound.
func changeExtra(ctx context.Context, tx *db.Tx, t Transfer, change func(*Transfer) error) error {
	s, err := GetSync(ctx, tx, t.SyncSessionID)
	if err != nil {
		return err
	}
	t.Within = s.Within()
	if err := change(&t); err != nil || t.Within.ExtraFields == s.ExtraFields {
		return err
	}
	return setExtra(ctx, tx, s.ID, t.Within.ExtraFields)
}
