package session

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/morango-go/morango/db"
)

const transferColumns = `id, sync_session_id, filter, push, active,
	records_transferred, records_total, bytes_sent, bytes_received,
	start_timestamp, last_activity_timestamp, client_fsic, server_fsic,
	transfer_stage, transfer_stage_status`

const withinColumns = `s.active, s.is_server, s.last_activity_timestamp, s.client_certificate_id, s.server_certificate_id, s.extra_fields`

// selectTransfers reads transfer sessions t with their sync sessions s. It ends before WHERE.
const selectTransfers = `SELECT t.id, t.sync_session_id, t.filter, t.push, t.active,
		t.records_transferred, t.records_total, t.bytes_sent, t.bytes_received,
		t.start_timestamp, t.last_activity_timestamp, t.client_fsic, t.server_fsic,
		t.transfer_stage, t.transfer_stage_status, ` + withinColumns + `
	FROM morango_transfersession t LEFT JOIN morango_syncsession s ON s.id = t.sync_session_id `

func scanTransfer(row scanner) (Transfer, error) {
	var t Transfer
	var total, sent, received sql.NullInt64
	var start, last db.Time
	var within scannedWithin
	err := row.Scan(append([]any{(*db.ID)(&t.ID), (*db.ID)(&t.SyncSessionID), &t.Filter, &t.Push, &t.Active,
		&t.RecordsTransferred, &total, &sent, &received,
		&start, &last, &t.ClientFSIC, &t.ServerFSIC,
		scannedText{&t.Stage}, scannedText{&t.Status}}, within.columns()...)...)
	if total.Valid {
		t.RecordsTotal = &total.Int64
	}
	t.BytesSent, t.BytesReceived = sent.Int64, received.Int64
	t.StartTime, t.LastTime, t.Within = start.Time, last.Time, within.value()
	return t, err
}

// scannedWithin scans withinColumns, which are null where there is no sync session.
type scannedWithin struct {
	within           Within
	active, isServer sql.NullBool
	last             sql.Null[db.Time]
}

func (w *scannedWithin) columns() []any {
	return []any{&w.active, &w.isServer, &w.last, (*db.ID)(&w.within.ClientCertificateID), (*db.ID)(&w.within.ServerCertificateID),
		scannedText{&w.within.ExtraFields}}
}

func (w *scannedWithin) value() Within {
	w.within.Active, w.within.IsServer, w.within.LastTime = w.active.Bool, w.isServer.Bool, w.last.V.Time
	return w.within
}

const insertTransfer = `INSERT INTO morango_transfersession (` + transferColumns + `)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
	ON CONFLICT (id) DO NOTHING`

// CreateTransfer stores a new transfer session. Empty FSICs become "{}".
// ErrExists when the id is taken.
func CreateTransfer(ctx context.Context, tx *db.Tx, t Transfer) error {
	var total any
	if t.RecordsTotal != nil {
		total = *t.RecordsTotal
	}
	n, err := tx.Exec(ctx, insertTransfer, t.ID, t.SyncSessionID, t.Filter, t.Push, t.Active,
		t.RecordsTransferred, total, t.BytesSent, t.BytesReceived,
		tx.Time(t.StartTime), tx.Time(t.LastTime), orObject(t.ClientFSIC), orObject(t.ServerFSIC),
		null(t.Stage), null(t.Status))
	return affected(n, err, ErrExists, "transfer session", t.ID)
}

// GetTransfer reads a transfer session, active or not; ErrNotFound.
func GetTransfer(ctx context.Context, tx *db.Tx, id string) (Transfer, error) {
	row := tx.QueryRow(ctx, selectTransfers+`WHERE t.id = $1`, id)
	return one(row, "transfer session", id, scanTransfer)
}

// ActiveTransfer reads a transfer session that is still active; ErrNotFound.
func ActiveTransfer(ctx context.Context, tx *db.Tx, id string) (Transfer, error) {
	row := tx.QueryRow(ctx, selectTransfers+`WHERE t.id = $1 AND t.active`, id)
	return one(row, "active transfer session", id, scanTransfer)
}

const activeOfSync = selectTransfers + `WHERE t.sync_session_id = $1 AND t.push = $2 AND t.active
	ORDER BY t.last_activity_timestamp DESC, t.id`

// ActiveOfSync lists the active transfer sessions of a sync session in one
// direction, most recent first: the first is the one to resume.
func ActiveOfSync(ctx context.Context, tx *db.Tx, syncID string, push bool) ([]Transfer, error) {
	rows, err := tx.Query(ctx, activeOfSync, syncID, push)
	return all(rows, err, "active transfer sessions", scanTransfer)
}

// AnyTransfer reports whether this database knows of any transfer session, open or
// closed.
func AnyTransfer(ctx context.Context, tx *db.Tx) (found bool, err error) {
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM morango_transfersession)`).Scan(&found)
	if err != nil {
		return false, fmt.Errorf("look for transfer sessions: %w", err)
	}
	return found, nil
}

// update runs an UPDATE of one transfer session, whose id is $1.
func update(ctx context.Context, tx *db.Tx, set, id string, args ...any) error {
	n, err := tx.Exec(ctx, `UPDATE morango_transfersession SET `+set+` WHERE id = $1`, append([]any{id}, args...)...)
	return affected(n, err, ErrNotFound, "transfer session", id)
}

const touchSyncOf = `UPDATE morango_syncsession SET last_activity_timestamp = $2
	WHERE id = (SELECT sync_session_id FROM morango_transfersession WHERE id = $1)`

// touchSyncOfTransfer notes activity on a transfer session's sync session.
func touchSyncOfTransfer(ctx context.Context, tx *db.Tx, id string, now time.Time) error {
	if _, err := tx.Exec(ctx, touchSyncOf, id, tx.Time(now)); err != nil {
		return fmt.Errorf("writing the sync session of transfer session %s: %w", id, err)
	}
	return nil
}

// SetStage stores how far a transfer session has come, and notes activity on it
// and on its sync session.
func SetStage(ctx context.Context, tx *db.Tx, id, stage, status string, now time.Time) error {
	err := update(ctx, tx, `transfer_stage = $2, transfer_stage_status = $3, last_activity_timestamp = $4`, id, stage, status, tx.Time(now))
	if err != nil {
		return err
	}
	return touchSyncOfTransfer(ctx, tx, id, now)
}

// SetClientFSIC stores the client's filter max counters (JSON text).
func SetClientFSIC(ctx context.Context, tx *db.Tx, id, fsic string) error {
	return update(ctx, tx, `client_fsic = $2`, id, orObject(fsic))
}

// SetServerFSIC stores the server's filter max counters (JSON text).
func SetServerFSIC(ctx context.Context, tx *db.Tx, id, fsic string) error {
	return update(ctx, tx, `server_fsic = $2`, id, orObject(fsic))
}

// Progress is how much of a transfer session has gone over the wire: totals, not
// increments.
type Progress struct{ RecordsTransferred, BytesSent, BytesReceived int64 }

// SetProgress stores the progress and notes activity on the transfer session and
// on its sync session.
func SetProgress(ctx context.Context, tx *db.Tx, id string, p Progress, now time.Time) error {
	err := update(ctx, tx,
		`records_transferred = $2, bytes_sent = $3, bytes_received = $4, last_activity_timestamp = $5`,
		id, p.RecordsTransferred, p.BytesSent, p.BytesReceived, tx.Time(now))
	if err != nil {
		return err
	}
	return touchSyncOfTransfer(ctx, tx, id, now)
}

// CloseTransfer marks a transfer session as no longer active. Its buffers are the
// buffer package's to drop. Closing twice is no error.
func CloseTransfer(ctx context.Context, tx *db.Tx, id string, now time.Time) error {
	t, err := GetTransfer(ctx, tx, id)
	if err != nil {
		return err
	}
	before := t
	if err := t.Close(); err != nil {
		return err
	}
	return Write(ctx, tx, before, &t, now)
}

// ExpireTransfer is CloseTransfer for one that nobody went on with: it does not count
// as activity of the sync session, which may be idle for as long.
func ExpireTransfer(ctx context.Context, tx *db.Tx, id string, now time.Time) error {
	t, err := GetTransfer(ctx, tx, id)
	if err != nil {
		return err
	}
	before := t.Within.ExtraFields
	if err = t.Close(); err == nil && t.Within.ExtraFields != before {
		err = setExtra(ctx, tx, t.SyncSessionID, t.Within.ExtraFields)
	}
	if err != nil {
		return err
	}
	return update(ctx, tx, `active = FALSE, last_activity_timestamp = $2`, id, tx.Time(now))
}

// DeleteTransfer deletes a transfer session whose sync session is gone.
func DeleteTransfer(ctx context.Context, tx *db.Tx, id string) error {
	_, err := tx.Exec(ctx, `DELETE FROM morango_transfersession WHERE id = $1`, id)
	if err != nil {
		return fmt.Errorf("delete transfer session %s: %w", id, err)
	}
	return nil
}
