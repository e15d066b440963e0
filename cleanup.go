package morango

import (
	"context"
	"time"

	"github.com/morango-go/morango/engine"
	"github.com/morango-go/morango/session"
)

// CleanupOptions say which sessions Cleanup closes, and what it deletes. The zero value
// closes every session that is not live and deletes no session.
type CleanupOptions struct {
	// Idle is how long a session must have been without activity to be closed. Less
	// than two minutes counts as two minutes: until then it may be live.
	Idle time.Duration
	// Keep is how long the rows of sessions that ended are kept; 0 is for ever.
	Keep time.Duration
	// What follows narrows down what is closed; a zero value does not.
	SyncSessions   []string // only these
	ClientInstance string   // only sync sessions of this client
	ServerInstance string   // only sync sessions of this server
	FilterPrefix   string   // only transfer sessions whose filter begins so
	Push, Pull     bool     // only transfer sessions in this direction
}

// CleanupReport says what Cleanup did.
type CleanupReport struct {
	SyncSessions     int   `json:"sync_sessions"` // closed, as the next
	TransferSessions int   `json:"transfer_sessions"`
	Buffers          int   `json:"buffers"`   // dropped beside those of the sessions closed now
	Compacted        int   `json:"compacted"` // sync sessions deleted
	Nonces           int64 `json:"nonces"`    // expired ones deleted
}

// Cleanup closes sessions that were idle for long and drops their buffers, and so the
// buffers of any session that ended some other way. It deletes sessions that ended long
// ago, and expired nonces. A live session is never closed: one with recent activity, or
// with a stage running in this or another process on the database.
func (n *Node) Cleanup(ctx context.Context, o CleanupOptions) (CleanupReport, error) {
	r, err := n.engine.Sweep(ctx, engine.SweepOptions{
		Idle: o.Idle, Keep: o.Keep,
		Pick: session.Pick{SyncIDs: o.SyncSessions, ClientInstance: o.ClientInstance, ServerInstance: o.ServerInstance,
			FilterPrefix: o.FilterPrefix, Push: o.Push, Pull: o.Pull},
	})
	return CleanupReport{SyncSessions: r.Syncs, TransferSessions: r.Transfers, Buffers: r.Buffers,
		Compacted: r.Compacted, Nonces: r.Nonces}, err
}
