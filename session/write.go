package session

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/morango-go/morango/db"
)

// activity is how exactly a sync session's last activity is known while its transfer sessions
// work: sessions are idle for hours before anybody minds.
const activity = time.Second

// Write stores what differs between a transfer session as it was read in this transaction and as it
// is to be, and notes activity on it: in one statement, and in one more what its sync session keeps
// of it, if that differs, or was last active a while ago. ErrNotFound.
func Write(ctx context.Context, tx *db.Tx, before Transfer, t *Transfer, now time.Time) error {
	w := written{args: []any{t.ID}}
	set(&w, "active", before.Active, t.Active)
	set(&w, "records_transferred", before.RecordsTransferred, t.RecordsTransferred)
	if t.RecordsTotal != nil && (before.RecordsTotal == nil || *before.RecordsTotal != *t.RecordsTotal) {
		w.add("records_total", *t.RecordsTotal)
	}
	set(&w, "bytes_sent", before.BytesSent, t.BytesSent)
	set(&w, "bytes_received", before.BytesReceived, t.BytesReceived)
	set(&w, "client_fsic", before.ClientFSIC, t.ClientFSIC)
	set(&w, "server_fsic", before.ServerFSIC, t.ServerFSIC)
	set(&w, "transfer_stage", before.Stage, t.Stage)
	set(&w, "transfer_stage_status", before.Status, t.Status)
	w.add("last_activity_timestamp", tx.Time(now))
	if err := update(ctx, tx, w.String(), t.ID, w.args[1:]...); err != nil {
		return err
	}
	t.LastTime = now
	return t.writeWithin(ctx, tx, before.Within, now)
}

// writeWithin is Write of the sync session.
func (t *Transfer) writeWithin(ctx context.Context, tx *db.Tx, before Within, now time.Time) error {
	w := written{args: []any{t.SyncSessionID}}
	set(&w, "extra_fields", before.ExtraFields, t.Within.ExtraFields)
	age := now.Sub(before.LastTime)
	if len(w.sets) == 0 && (age >= 0 && age < activity || before.LastTime.IsZero()) {
		return nil // it has just been noted, or there is none to note it in
	}
	w.add("last_activity_timestamp", tx.Time(now))
	n, err := tx.Exec(ctx, `UPDATE morango_syncsession SET `+w.String()+` WHERE id = $1`, w.args...)
	if err = affected(n, err, ErrNotFound, "sync session", t.SyncSessionID); err != nil {
		return fmt.Errorf("transfer session %s: %w", t.ID, err)
	}
	t.Within.LastTime = now
	return nil
}

// written collects what an UPDATE sets. The row's id is $1.
type written struct {
	sets []string
	args []any
}

func (w *written) add(column string, value any) {
	w.args = append(w.args, value)
	w.sets = append(w.sets, fmt.Sprintf("%s = $%d", column, len(w.args)))
}

// set adds a column that differs.
func set[T comparable](w *written, column string, before, now T) {
	if before != now {
		w.add(column, now)
	}
}

func (w *written) String() string { return strings.Join(w.sets, ", ") }
