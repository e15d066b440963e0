package session

import (
	"context"
	"database/sql"
	"time"

	"github.com/morango-go/morango/db"
)

const syncColumns = `id, start_timestamp, last_activity_timestamp, active, is_server,
	client_certificate_id, server_certificate_id, profile, connection_kind, connection_path,
	client_ip, server_ip, client_instance_id, client_instance_json,
	server_instance_id, server_instance_json, extra_fields, process_id`

func scanSync(row scanner) (Sync, error) {
	var s Sync
	var start, last db.Time
	var process sql.NullInt64
	err := row.Scan((*db.ID)(&s.ID), &start, &last, &s.Active, &s.IsServer,
		(*db.ID)(&s.ClientCertificateID), (*db.ID)(&s.ServerCertificateID),
		&s.Profile, &s.ConnectionKind, &s.ConnectionPath,
		&s.ClientIP, &s.ServerIP, (*db.ID)(&s.ClientInstanceID), &s.ClientInstanceJSON,
		(*db.ID)(&s.ServerInstanceID), &s.ServerInstanceJSON, &s.ExtraFields, &process)
	s.StartTime, s.LastTime, s.ProcessID = start.Time, last.Time, int(process.Int64)
	return s, err
}

const insertSync = `INSERT INTO morango_syncsession (` + syncColumns + `)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
	ON CONFLICT (id) DO NOTHING`

// CreateSync stores a new sync session. Empty JSON fields become "{}".
// ErrExists when the id is taken.
func CreateSync(ctx context.Context, tx *db.Tx, s Sync) error {
	var process any
	if s.ProcessID != 0 {
		process = s.ProcessID
	}
	n, err := tx.Exec(ctx, insertSync, s.ID, tx.Time(s.StartTime), tx.Time(s.LastTime), s.Active, s.IsServer,
		null(s.ClientCertificateID), null(s.ServerCertificateID), s.Profile, s.ConnectionKind, s.ConnectionPath,
		s.ClientIP, s.ServerIP, null(s.ClientInstanceID), orObject(s.ClientInstanceJSON),
		null(s.ServerInstanceID), orObject(s.ServerInstanceJSON), orObject(s.ExtraFields), process)
	return affected(n, err, ErrExists, "sync session", s.ID)
}

// GetSync reads a sync session, active or not; ErrNotFound.
func GetSync(ctx context.Context, tx *db.Tx, id string) (Sync, error) {
	row := tx.QueryRow(ctx, `SELECT `+syncColumns+` FROM morango_syncsession WHERE id = $1`, id)
	return one(row, "sync session", id, scanSync)
}

// ActiveSync reads a sync session that is still active; ErrNotFound.
func ActiveSync(ctx context.Context, tx *db.Tx, id string) (Sync, error) {
	row := tx.QueryRow(ctx, `SELECT `+syncColumns+` FROM morango_syncsession WHERE id = $1 AND active`, id)
	return one(row, "active sync session", id, scanSync)
}

const resumableSync = `SELECT ` + syncColumns + ` FROM morango_syncsession
	WHERE active AND NOT is_server AND profile = $1 AND ($2 = '' OR connection_path = $2)
	ORDER BY last_activity_timestamp DESC, id LIMIT 1`

// ResumableSync finds the client's most recent active sync session with a server
// (connection path) for a profile; "" matches any path. ErrNotFound when none.
func ResumableSync(ctx context.Context, tx *db.Tx, profile, path string) (Sync, error) {
	return one(tx.QueryRow(ctx, resumableSync, profile, path), "active sync session with", path, scanSync)
}

const listSyncs = `SELECT ` + syncColumns + ` FROM morango_syncsession
	WHERE profile <> '' AND (active OR NOT $1) ORDER BY start_timestamp DESC, id LIMIT $2`

// ListSyncs lists the most recent sync sessions, newest first, at most limit.
func ListSyncs(ctx context.Context, tx *db.Tx, activeOnly bool, limit int) ([]Sync, error) {
	rows, err := tx.Query(ctx, listSyncs, activeOnly, limit)
	return all(rows, err, "sync sessions", scanSync)
}

// SetProcess notes the process that drives the session; 0 clears it.
func SetProcess(ctx context.Context, tx *db.Tx, id string, process int) error {
	n, err := tx.Exec(ctx, `UPDATE morango_syncsession SET process_id = NULLIF($2, 0) WHERE id = $1`, id, process)
	return affected(n, err, ErrNotFound, "sync session", id)
}

const closeSync = `UPDATE morango_syncsession SET active = FALSE, last_activity_timestamp = $2 WHERE id = $1`

// CloseSync marks a sync session as no longer active. Its transfer sessions stay
// as they are. Closing twice is no error.
func CloseSync(ctx context.Context, tx *db.Tx, id string, now time.Time) error {
	n, err := tx.Exec(ctx, closeSync, id, tx.Time(now))
	return affected(n, err, ErrNotFound, "sync session", id)
}
