// Package dequeue merges the records that a transfer session has received into the
// store, and then claims what the sender claimed.
//
// It belongs to the stages layer. It imports the words and tables layers and
// package stage. On a row's path it leads from the receiver's buffer into its store.
package dequeue

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store"
)

// Sender tells what a sender claims, and the living instances of this database.
type Sender func(ctx context.Context, tx *db.Tx) (claim counter.ByPartition, living map[string]int64, err error)

// Known is the sender of a claim that does not depend on what the database holds.
func Known(claim counter.ByPartition) Sender {
	return func(ctx context.Context, tx *db.Tx) (counter.ByPartition, map[string]int64, error) {
		living, err := store.LivingInstances(ctx, tx)
		return claim, living, err
	}
}

// Job says what to dequeue.
type Job struct {
	TransferSession string
	Filter          partition.Filter
	// Sender tells the sender's claim, expanded to the prefixes of the filter. It is asked in the
	// transaction that takes the claim over, once the records are in the store, under its locks.
	Sender Sender
	// Empty says that nothing is in the session's buffer, as where records came as a stream.
	Empty bool
	// Last runs the last transaction, which locks and then raises the claims, and may write more in it.
	// Nil: nothing more is written.
	Last func(ctx context.Context, lock, write func(*db.Tx) error) error
}

// Report counts what became of the buffered records. New records and fast-forwards
// were taken over, conflicts merged under a new version, records that differ in
// nothing but their version joined, stale ones dropped. Orphans counts buffered
// record max counters whose record is neither in the buffer nor in the store.
type Report struct {
	New, FastForwards, Conflicts, Joined, Stale, Orphans int64
}

// Run merges the session's buffer into the store, part by part in the order of record ids,
// empties the buffer, and raises the claims in a last transaction. It can be run again
// after any interruption: what is merged is known by then, and passed over. Until the
// claims are raised the store holds versions that it does not claim, as while a stream
// comes; see package stream.
func Run(ctx context.Context, env stage.Env, job Job) (Report, error) {
	return run(ctx, env, job, paging{pageRows, pageRows})
}

func run(ctx context.Context, env stage.Env, job Job, pages paging) (Report, error) {
	env.Emit(event(job, stage.Started, Report{}))
	last := job.Last
	if last == nil {
		last = func(ctx context.Context, lock, write func(*db.Tx) error) error {
			return env.DB.Write(ctx, func(tx *db.Tx) error {
				if err := lock(tx); err != nil {
					return err
				}
				return write(tx)
			})
		}
	}
	var report Report
	var err error
	if !job.Empty {
		report, err = mergeAll(ctx, env, job, pages)
	}
	if err != nil {
		return report, fmt.Errorf("dequeue transfer session %s: %w", job.TransferSession, err)
	}
	// A claim too early loses records, a claim that is missing only costs time: so it
	// comes after the records, in a transaction of its own.
	lock := func(tx *db.Tx) error { return tx.Lock(ctx, job.Filter, false) }
	err = last(ctx, lock, func(tx *db.Tx) error {
		// What others know of instances under earlier database ids is news like any
		// other: the database that this one was copied from may have gone on as them.
		claim, own, err := job.Sender(ctx, tx)
		if err != nil {
			return err
		}
		return store.Claim(ctx, tx, claim, own)
	})
	if err != nil {
		return report, fmt.Errorf("claim what transfer session %s brought: %w", job.TransferSession, err)
	}
	env.Emit(event(job, stage.Completed, report))
	return report, nil
}

// mergeAll merges the buffer part by part, and empties it.
func mergeAll(ctx context.Context, env stage.Env, job Job, pages paging) (report Report, err error) {
	parts := 0
	for from := ident.Lowest; from != ""; parts++ {
		var m *merge
		var next string
		err := env.DB.WritePart(ctx, job.TransferSession, func(tx *db.Tx) (err error) {
			if err := tx.Lock(ctx, job.Filter, false); err != nil {
				return err
			}
			m = &merge{tx: tx, env: env, session: job.TransferSession, paging: pages, end: env.Now().Add(tx.PartTime())}
			next, err = m.run(ctx, from)
			return err
		})
		if err != nil {
			return report, err
		}
		report, from = report.Plus(m.report), next
	}
	if parts > 1 {
		err = buffer.DropInParts(ctx, env.DB, job.TransferSession)
	}
	return report, err
}

// Plus adds another report.
func (r Report) Plus(more Report) Report {
	r.New += more.New
	r.FastForwards += more.FastForwards
	r.Conflicts += more.Conflicts
	r.Joined += more.Joined
	r.Stale += more.Stale
	r.Orphans += more.Orphans
	return r
}

func event(job Job, status stage.Status, r Report) stage.Event {
	all := r.New + r.FastForwards + r.Conflicts + r.Joined + r.Stale
	return stage.Event{
		TransferSession: job.TransferSession, Stage: stage.Dequeuing, Status: status,
		Done: all, Total: all,
	}
}
