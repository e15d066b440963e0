package session

import (
	"context"
	"time"

	"github.com/morango-go/morango/db"
)

// CreateTransfer stores a new transfer session. Empty FSICs become "{}".
// ErrExists when the id is taken.
func CreateTransfer(ctx context.Context, tx *db.Tx, t Transfer) error { panic("not written") }

// GetTransfer reads a transfer session, active or not; ErrNotFound.
func GetTransfer(ctx context.Context, tx *db.Tx, id string) (Transfer, error) { panic("not written") }

// ActiveTransfer reads a transfer session that is still active; ErrNotFound.
func ActiveTransfer(ctx context.Context, tx *db.Tx, id string) (Transfer, error) {
	panic("not written")
}

// Transfers lists all transfer sessions of a sync session, oldest first.
func Transfers(ctx context.Context, tx *db.Tx, syncID string) ([]Transfer, error) {
	panic("not written")
}

// ActiveOfSync lists the active transfer sessions of a sync session in one
// direction, most recent first: the first is the one to resume.
func ActiveOfSync(ctx context.Context, tx *db.Tx, syncID string, push bool) ([]Transfer, error) {
	panic("not written")
}

// IdleTransfers lists active transfer sessions without activity since before, for
// cleanup: at most limit. syncID restricts them to one sync session, "" does not.
func IdleTransfers(ctx context.Context, tx *db.Tx, syncID string, before time.Time, limit int) ([]string, error) {
	panic("not written")
}

// SetStage stores how far a transfer session has come, and notes activity on it
// and on its sync session.
func SetStage(ctx context.Context, tx *db.Tx, id, stage, status string, now time.Time) error {
	panic("not written")
}

// SetClientFSIC stores the client's filter max counters (JSON text).
func SetClientFSIC(ctx context.Context, tx *db.Tx, id, fsic string) error { panic("not written") }

// SetServerFSIC stores the server's filter max counters (JSON text).
func SetServerFSIC(ctx context.Context, tx *db.Tx, id, fsic string) error { panic("not written") }

// SetTotal stores the number of records of the transfer; it is known when
// queuing is complete.
func SetTotal(ctx context.Context, tx *db.Tx, id string, total int64) error { panic("not written") }

// Progress is how much of a transfer session has gone over the wire: totals, not
// increments.
type Progress struct{ RecordsTransferred, BytesSent, BytesReceived int64 }

// SetProgress stores the progress and notes activity on the transfer session and
// on its sync session.
func SetProgress(ctx context.Context, tx *db.Tx, id string, p Progress, now time.Time) error {
	panic("not written")
}

// CloseTransfer marks a transfer session as no longer active. Its buffers are the
// buffer package's to drop. Closing twice is no error.
func CloseTransfer(ctx context.Context, tx *db.Tx, id string, now time.Time) error {
	panic("not written")
}
