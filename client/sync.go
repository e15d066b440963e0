package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/morango-go/morango/engine"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/verify"
)

// DefaultChunkSize is the number of records in one request when nothing else is said.
const DefaultChunkSize = 500

// DefaultRetries is how often a broken connection is tried again when nothing else is
// said: for about a minute in all.
const DefaultRetries = 6

// Options say what a sync does. The zero value pulls, then pushes, all that both
// certificates allow, and goes on with an interrupted sync where there is one.
type Options struct {
	Pull, Push    bool             // neither means both
	Filter        partition.Filter // zero: all that the certificates allow
	ChunkSize     int              // records a request; 0 is DefaultChunkSize, or a stream of any length
	Fresh         bool             // leave an interrupted sync with this peer aside
	CertificateID string           // own certificate to use; "" finds one
	// Retries is how often a connection that breaks during the sync is tried again, with
	// growing pauses, or a busy peer after the pause that it wishes; 0 is DefaultRetries,
	// less than 0 is never.
	Retries int

	bound int64 // of records in one stream; 0 for none
}

// Result tells what a sync did. It is filled as far as the sync came, also when it
// failed.
type Result struct {
	SyncSession    string
	Resumed        bool // an interrupted sync session went on
	ServerInstance string
	Transfers      []Transfer
	// Compared is what comparing some records with the peer found after the transfers;
	// nil where that was not done.
	Compared *verify.Comparison
}

// Transfer is one direction of a sync, of one filter.
type Transfer struct {
	Session   session.Transfer // as it ended here
	Completed bool
	Report    engine.Report   // what the stages did on this side
	LeftOut   session.LeftOut // what did not travel
}

// add notes a transfer, in place of what was noted of it before it was interrupted.
func (r *Result) add(t Transfer) {
	for i := range r.Transfers {
		if r.Transfers[i].Session.ID == t.Session.ID {
			r.Transfers[i] = t
			return
		}
	}
	r.Transfers = append(r.Transfers, t)
}

// Syncer syncs one node with one peer. Engine and Peer are needed.
type Syncer struct {
	Engine  *engine.Engine
	Peer    *Peer
	Process int // id of this process, noted in the sync session
	// Wait passes the time until it is to ask or to try again, or returns the context's
	// error. Nil waits for real.
	Wait func(ctx context.Context, d time.Duration) error
}

// Sync runs one sync with the peer. What an interruption leaves unfinished is gone
// on with by the next Sync.
func (s Syncer) Sync(ctx context.Context, o Options) (Result, error) {
	if o.bound = int64(o.ChunkSize); o.ChunkSize <= 0 {
		o.ChunkSize, o.bound = DefaultChunkSize, 0
	}
	if !o.Pull && !o.Push {
		o.Pull, o.Push = true, true
	}
	if o.Retries == 0 {
		o.Retries = DefaultRetries
	}
	var r Result
	restarted := false
	for tries := 0; ; tries++ {
		err := s.converse(ctx, o, &r)
		switch {
		case errors.Is(err, errGone) && !restarted:
			// The peer has lost what was left of an interrupted sync: start that over.
			o.Fresh, restarted = true, true
		case tries < o.Retries && passes(err, r.SyncSession != "") && ctx.Err() == nil:
			o.Fresh = o.Fresh && r.SyncSession == ""
			s.Engine.Env().Emit(stage.Event{SyncSession: r.SyncSession, Err: err})
			if waitErr := s.wait(ctx, s.pause(tries, err)); waitErr != nil {
				return r, errors.Join(err, waitErr)
			}
		default:
			return r, err
		}
	}
}

// passes says whether what went wrong may be over in a while: a connection that broke, but
// not one that never came about, for then the address may be wrong; or a peer that asks
// to come again.
func passes(err error, connected bool) bool {
	return errors.Is(err, ErrBusy) || errors.Is(err, ErrUnreachable) && connected
}

// pause grows from a quarter of a second to half a minute, or begins where the peer asked
// for it; and it differs from client to client, so that those whom one server lost do not
// all come back at once.
func (s Syncer) pause(tries int, err error) time.Duration {
	longest := min(500*time.Millisecond<<min(tries, 10), 30*time.Second)
	var status *StatusError
	if errors.As(err, &status) && status.RetryAfter > 0 {
		return status.RetryAfter + s.chance(longest)
	}
	return s.chance(longest)
}

// chance is between half of the time and all of it.
func (s Syncer) chance(longest time.Duration) time.Duration {
	var b [2]byte
	if _, err := io.ReadFull(s.Engine.Env().Rand, b[:]); err != nil {
		return longest // without chance it is longer
	}
	return longest/2 + longest/2*time.Duration(binary.LittleEndian.Uint16(b[:]))>>16
}

func (s Syncer) wait(ctx context.Context, d time.Duration) error {
	if s.Wait != nil {
		return s.Wait(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// converse goes through one sync session with the peer.
func (s Syncer) converse(ctx context.Context, o Options, r *Result) error {
	c, err := s.connect(ctx, o, r)
	if err != nil {
		return err
	}
	for _, push := range []bool{false, true} {
		if push && !o.Push || !push && !o.Pull {
			continue
		}
		if err := c.direction(ctx, push, o, r); errors.Is(err, errGone) {
			return errors.Join(err, c.forget(ctx, c.sync.ID))
		} else if err != nil {
			return err
		}
	}
	return c.closeCompared(ctx, o, r)
}

// direction runs all transfers of one direction: one, or one a prefix for a peer that
// knows only v1 claims, where several prefixes in one claim would lose precision.
func (c *conversation) direction(ctx context.Context, push bool, o Options, r *Result) error {
	filter, err := c.filter(push, o.Filter)
	if err != nil {
		return err
	}
	parts := []partition.Filter{filter}
	if !c.terms.V2 {
		parts = parts[:0]
		for _, prefix := range filter.Prefixes() {
			parts = append(parts, partition.Of(prefix))
		}
	}
	for _, part := range parts {
		t, err := c.transfer(ctx, push, part, o.ChunkSize)
		if !errors.Is(err, errGone) {
			r.add(t)
		}
		if err != nil {
			return fmt.Errorf("%s with %s: %w", directionName(push), c.peer.BaseURL, err)
		}
	}
	if push || len(parts) == 1 {
		return nil
	}
	return c.applyRest(ctx, filter, r)
}

// applyRest tries again what a pull of one prefix left waiting for rows of another.
func (c *conversation) applyRest(ctx context.Context, filter partition.Filter, r *Result) error {
	var last *engine.Report
	waiting := false
	for i := range r.Transfers {
		if t := &r.Transfers[i]; !t.Session.Push {
			last = &t.Report
			waiting = waiting || last.Deserialized.Errors > 0
		}
	}
	if !waiting {
		return nil
	}
	report, err := c.Engine.Apply(ctx, filter, *last)
	if err != nil {
		return fmt.Errorf("apply what waits after pulling from %s: %w", c.peer.BaseURL, err)
	}
	for i := range r.Transfers {
		if t := &r.Transfers[i]; !t.Session.Push {
			t.Report.Deserialized.Errors, t.Report.Deserialized.Waiting = 0, 0
		}
	}
	*last = report
	return nil
}

func directionName(push bool) string {
	if push {
		return "push"
	}
	return "pull"
}
