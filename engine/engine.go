// Package engine is one peer's side of the transfer sessions: it knows what this
// side does at each stage, as client or server, as producer or receiver, and runs it.
//
// It stands above the stages layer, whose packages do not know each other, and below
// client and server, which both drive it. On a row's path it hands the row from one
// stage to the next.
package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/dequeue"
	"github.com/morango-go/morango/stage/deserialize"
	"github.com/morango-go/morango/stage/serialize"
)

// Errors on which a caller decides.
var (
	// ErrBadClaim says that a peer's filter max counters cannot be used; nothing was changed.
	ErrBadClaim = errors.New("unusable filter max counters")
	// ErrBadCount says that a peer gave an impossible number of records.
	ErrBadCount = errors.New("impossible number of records")
	// ErrWrongDirection says that records came for a session that does not receive.
	ErrWrongDirection = errors.New("this transfer session does not receive records here")
	// ErrNotReady says that a session has not come to the stage that is needed.
	ErrNotReady = errors.New("the transfer session is not at the stage for this")
	// ErrClosed says that the engine is shutting down; the session resumes after a restart.
	ErrClosed = errors.New("the engine is shutting down")
)

// Terms is what the two peers agreed on for a transfer session.
type Terms struct {
	V2    bool // the filter max counters go in the v2 form
	Async bool // the client asks for each stage by itself
	// Stream says that the records travel as a stream, without buffers.
	Stream bool
	// Settled says that the client wants no more of a stream that it pulls: it ends with what has
	// been sent.
	Settled bool
}

// Report sums up what the stages of one transfer session did on this side.
type Report struct {
	Serialized   serialize.Report
	Queued       int64
	Dequeued     dequeue.Report
	Deserialized deserialize.Report
}

// Engine runs transfer sessions on this side. Make it with New; it is safe for
// concurrent use.
type Engine struct {
	env    stage.Env
	ctx    context.Context // ends when the engine closes: background stages stop at it
	cancel context.CancelFunc
	work   sync.WaitGroup
	beat   time.Duration // of KeepAlive

	mu      sync.Mutex
	running map[string]*task
	alive   map[string]int // transfer sessions that KeepAlive keeps, how many times
	reports map[string]Report
	resting resting // of the transfer session whose stream had a part that ended last
	// Refused records, by client and content: see warned.
	warnings map[[32]byte]bool
	// When this database took new ids because of what peers claimed.
	renewals []time.Time
}

// New returns an engine for the peer that env describes. Close it.
func New(env stage.Env) *Engine {
	ctx, cancel := context.WithCancel(context.Background())
	return &Engine{env: env, ctx: ctx, cancel: cancel,
		beat: beat, alive: map[string]int{}, running: map[string]*task{}, reports: map[string]Report{}}
}

// Env returns what the engine was made with.
func (e *Engine) Env() stage.Env { return e.env }

// Close stops stages that run in the background and waits for them. What they had
// not finished goes on when the session is resumed.
func (e *Engine) Close() {
	e.mu.Lock()
	e.cancel()
	e.mu.Unlock()
	e.work.Wait()
}

// Transfer returns a transfer session's row.
func (e *Engine) Transfer(ctx context.Context, id string) (t session.Transfer, err error) {
	err = e.env.DB.Read(ctx, func(tx *db.Tx) error {
		t, err = session.GetTransfer(ctx, tx, id)
		return err
	})
	return t, err
}

// Report returns what the stages of a session did so far in this process. It is kept
// for sessions in which this side is the client, until Forget.
func (e *Engine) Report(id string) Report {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.reports[id]
}

// Forget drops the session's report.
func (e *Engine) Forget(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.reports, id)
}

func (e *Engine) note(id string, s side, change func(*Report)) {
	if s.server {
		return // nobody asks, and nobody would forget
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.reports[id]
	change(&r)
	e.reports[id] = r
}

// side is this peer's part in one transfer session.
type side struct {
	server   bool
	producer bool
}

// sideOf finds this peer's part: the client produces in a push, the server in a pull.
func sideOf(t session.Transfer) side {
	return side{server: t.Within.IsServer, producer: t.Push != t.Within.IsServer}
}

// peerClaim returns what the peer advertised, expanded to the session's filter.
func (s side) peerClaim(t session.Transfer) (counter.ByPartition, error) {
	text := t.ServerFSIC
	if s.server {
		text = t.ClientFSIC
	}
	return readClaim(text, partition.Parse(t.Filter))
}

// ownClaim returns what this side advertised, expanded to the session's filter.
func (s side) ownClaim(t session.Transfer) (counter.ByPartition, error) {
	return side{server: !s.server}.peerClaim(t)
}

// claimText is what this side advertised, as it travels.
func (s side) claimText(t session.Transfer) string {
	if s.server {
		return t.ServerFSIC
	}
	return t.ClientFSIC
}

// legacyClaim reports whether the peer's filter max counters have the legacy form, as
// those have that were never told.
func (s side) legacyClaim(t session.Transfer) bool {
	text := t.ServerFSIC
	if s.server {
		text = t.ClientFSIC
	}
	f, err := counter.Parse([]byte(text))
	return err == nil && f.IsLegacy()
}

// readClaim understands filter max counters as they came over the wire.
func readClaim(text string, filter partition.Filter) (counter.ByPartition, error) {
	f, err := counter.Parse([]byte(text))
	if err == nil {
		err = f.Check(filter)
	}
	if err != nil {
		return nil, errors.Join(ErrBadClaim, err)
	}
	return f.Expand(filter), nil
}
