package session

import (
	"context"
	"time"

	"github.com/morango-go/morango/db"
)

// CreateSync stores a new sync session. Empty JSON fields become "{}".
// ErrExists when the id is taken.
func CreateSync(ctx context.Context, tx *db.Tx, s Sync) error { panic("not written") }

// GetSync reads a sync session, active or not; ErrNotFound.
func GetSync(ctx context.Context, tx *db.Tx, id string) (Sync, error) { panic("not written") }

// ActiveSync reads a sync session that is still active; ErrNotFound.
func ActiveSync(ctx context.Context, tx *db.Tx, id string) (Sync, error) { panic("not written") }

// ResumableSync finds the client's most recent active sync session with a server
// (connection path) for a profile; "" matches any path. ErrNotFound when none.
func ResumableSync(ctx context.Context, tx *db.Tx, profile, path string) (Sync, error) {
	panic("not written")
}

// ListSyncs lists the most recent sync sessions, newest first, at most limit.
func ListSyncs(ctx context.Context, tx *db.Tx, activeOnly bool, limit int) ([]Sync, error) {
	panic("not written")
}

// TouchSync notes activity on a sync session.
func TouchSync(ctx context.Context, tx *db.Tx, id string, now time.Time) error { panic("not written") }

// SetProcess notes the process that drives the session; 0 clears it.
func SetProcess(ctx context.Context, tx *db.Tx, id string, process int) error { panic("not written") }

// CloseSync marks a sync session as no longer active. Its transfer sessions stay
// as they are. Closing twice is no error.
func CloseSync(ctx context.Context, tx *db.Tx, id string, now time.Time) error { panic("not written") }

// IdleSyncs lists active sync sessions without activity since before and without
// an active transfer session, for cleanup: at most limit.
func IdleSyncs(ctx context.Context, tx *db.Tx, before time.Time, limit int) ([]string, error) {
	panic("not written")
}
