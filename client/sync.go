package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/morango-go/morango/engine"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
)

// DefaultChunkSize is the number of records in one request when nothing else is said.
const DefaultChunkSize = 500

// Options say what a sync does. The zero value pulls, then pushes, all that both
// certificates allow, and goes on with an interrupted sync where there is one.
type Options struct {
	Pull, Push    bool             // neither means both
	Filter        partition.Filter // zero: all that the certificates allow
	ChunkSize     int              // records a request; 0 is DefaultChunkSize
	Fresh         bool             // leave an interrupted sync with this peer aside
	CertificateID string           // own certificate to use; "" finds one
}

// Result tells what a sync did. It is filled as far as the sync came, also when it
// failed.
type Result struct {
	SyncSession    string
	Resumed        bool // an interrupted sync session went on
	ServerInstance string
	Transfers      []Transfer
}

// Transfer is one direction of a sync, of one filter.
type Transfer struct {
	Session   session.Transfer // as it ended here
	Completed bool
	Report    engine.Report // what the stages did on this side
}

// Syncer syncs one node with one peer. All fields but Process are needed.
type Syncer struct {
	Engine  *engine.Engine
	Peer    *Peer
	Process int // id of this process, noted in the sync session
}

// Sync runs one sync with the peer. What an interruption leaves unfinished is gone
// on with by the next Sync.
func (s Syncer) Sync(ctx context.Context, o Options) (Result, error) {
	if o.ChunkSize <= 0 {
		o.ChunkSize = DefaultChunkSize
	}
	if !o.Pull && !o.Push {
		o.Pull, o.Push = true, true
	}
	var r Result
	err := s.converse(ctx, o, &r)
	if errors.Is(err, errGone) {
		// The peer has lost what was left of an interrupted sync: start that over.
		o.Fresh = true
		err = s.converse(ctx, o, &r)
	}
	return r, err
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
	return c.close(ctx)
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
			r.Transfers = append(r.Transfers, t)
		}
		if err != nil {
			return fmt.Errorf("%s with %s: %w", directionName(push), c.peer.BaseURL, err)
		}
	}
	return nil
}

func directionName(push bool) string {
	if push {
		return "push"
	}
	return "pull"
}
