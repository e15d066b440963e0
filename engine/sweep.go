package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/session"
)

const (
	// beat is how often activity is noted on a session that works without telling the
	// database otherwise.
	beat = 30 * time.Second
	// Alive is how long after its last activity a session counts as live, for every
	// process on the database: long enough for some lost beats.
	Alive = 4 * beat
)

// SweepOptions say what Sweep does.
type SweepOptions struct {
	session.Pick
	Idle time.Duration // sessions without activity for longer are closed; less than Alive counts as Alive
	Keep time.Duration // sessions that ended longer ago are deleted; 0 keeps them all
}

// SweepReport counts what Sweep did.
type SweepReport struct {
	Syncs, Transfers int   // sessions closed
	Buffers          int   // buffers dropped that no active session had any more
	Compacted        int   // sync sessions deleted
	Nonces           int64 // expired ones deleted
}

// Sweep closes sessions that have been idle, never a live one: one with recent activity,
// or with a stage running in this process. Buffers of closed sessions, and of sessions
// that are gone, are dropped; sessions that ended long ago and expired nonces are deleted.
func (e *Engine) Sweep(ctx context.Context, o SweepOptions) (r SweepReport, err error) {
	now := e.env.Now()
	o.Except = append(o.Except, e.busy()...)
	before := now.Add(-max(o.Idle, Alive))
	steps := []func(context.Context, *db.Tx) (int, error){
		func(ctx context.Context, tx *db.Tx) (int, error) { return e.closeTransfers(ctx, tx, o.Pick, before) },
		func(ctx context.Context, tx *db.Tx) (int, error) { return e.closeSyncs(ctx, tx, o.Pick, before) },
		func(ctx context.Context, tx *db.Tx) (int, error) {
			if o.Keep <= 0 {
				return 0, nil
			}
			return session.Compact(ctx, tx, now.Add(-o.Keep), sweepBatch)
		},
	}
	done := []*int{&r.Transfers, &r.Syncs, &r.Compacted}
	if r.Buffers, err = e.dropOrphans(ctx); err != nil {
		return r, err
	}
	for i, step := range steps {
		if i == 2 { // a session's row must not go before its buffer
			if _, err = e.dropOrphans(ctx); err != nil {
				return r, err
			}
		}
		if *done[i], err = e.inBatches(ctx, step); err != nil {
			return r, fmt.Errorf("close idle sessions: %w", err)
		}
	}
	err = e.env.DB.Write(ctx, func(tx *db.Tx) error {
		r.Nonces, err = session.PurgeNonces(ctx, tx, now)
		return err
	})
	return r, err
}

const sweepBatch = 100

// inBatches repeats a step, each time in a transaction of its own, until nothing is left.
func (e *Engine) inBatches(ctx context.Context, step func(context.Context, *db.Tx) (int, error)) (all int, err error) {
	for {
		var n int
		err := e.env.DB.Write(ctx, func(tx *db.Tx) (err error) {
			n, err = step(ctx, tx)
			return err
		})
		if err != nil || n == 0 {
			return all, err
		}
		all += n
	}
}

func (e *Engine) closeTransfers(ctx context.Context, tx *db.Tx, p session.Pick, before time.Time) (int, error) {
	ids, err := session.IdleTransfers(ctx, tx, p, before, sweepBatch)
	for _, id := range ids {
		err = errors.Join(err, session.ExpireTransfer(ctx, tx, id, e.env.Now()))
	}
	return len(ids), err
}

func (e *Engine) closeSyncs(ctx context.Context, tx *db.Tx, p session.Pick, before time.Time) (int, error) {
	ids, err := session.IdleSyncs(ctx, tx, p, before, sweepBatch)
	for _, id := range ids {
		err = errors.Join(err, session.CloseSync(ctx, tx, id, e.env.Now()))
	}
	return len(ids), err
}

// dropOrphans drops the buffers that no active transfer session has.
func (e *Engine) dropOrphans(ctx context.Context) (dropped int, err error) {
	for after := ""; ; {
		next, dead := "", false
		err := e.env.DB.Read(ctx, func(tx *db.Tx) (err error) {
			if next, err = buffer.Next(ctx, tx, after); err != nil || next == "" {
				return err
			}
			_, err = session.ActiveTransfer(ctx, tx, next)
			if dead = errors.Is(err, session.ErrNotFound); dead {
				return nil
			}
			return err
		})
		if after = next; err == nil && dead {
			dropped++
			err = buffer.DropInParts(ctx, e.env.DB, next)
		}
		if err != nil {
			return dropped, fmt.Errorf("drop the buffers of dead sessions: %w", err)
		}
		if next == "" {
			return dropped, nil
		}
	}
}

// busy lists the transfer sessions that this process works on.
func (e *Engine) busy() (ids []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id := range e.running {
		ids = append(ids, id)
	}
	for id := range e.alive {
		ids = append(ids, id)
	}
	return ids
}

// others lists the transfer sessions that this process works on, but for one.
func (e *Engine) others(id string) []string {
	return slices.DeleteFunc(e.busy(), func(one string) bool { return one == id })
}

// KeepAlive notes activity on a transfer session now and then, until stop is called, so
// that no cleanup, in whichever process, takes a long stage for an idle session.
func (e *Engine) KeepAlive(ctx context.Context, id string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	e.mu.Lock()
	e.alive[id]++
	e.mu.Unlock()
	go func() {
		defer close(ended)
		ticker := time.NewTicker(e.beat)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				_ = e.noteActivity(ctx, id) // a beat that is lost is made up for by the next
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.alive[id]--; e.alive[id] == 0 {
			delete(e.alive, id)
		}
	}
}

// noteActivity notes activity on a transfer session of which there was none for a beat. What is merged notes its own, and
// would be disturbed by who wants to write: see stream.Receive.
func (e *Engine) noteActivity(ctx context.Context, id string) error {
	now := e.env.Now()
	if t, err := e.Transfer(ctx, id); err != nil || now.Sub(t.LastTime) < e.beat {
		return err
	}
	return e.env.DB.Write(ctx, func(tx *db.Tx) error { return session.Touch(ctx, tx, id, now) })
}
