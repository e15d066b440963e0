package engine

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/dequeue"
	"github.com/morango-go/morango/stage/deserialize"
	"github.com/morango-go/morango/stage/queue"
	"github.com/morango-go/morango/stage/serialize"
	"github.com/morango-go/morango/store"
	"github.com/morango-go/morango/wire"
)

// steps are the functions of the stages on this side, for a session with these terms.
func (e *Engine) steps(terms Terms) map[stage.Stage]stage.Step {
	return map[stage.Stage]stage.Step{
		stage.Serializing: func(ctx context.Context, t *session.Transfer) (stage.Status, error) {
			return e.serialize(ctx, t, terms)
		},
		stage.Queuing: func(ctx context.Context, t *session.Transfer) (stage.Status, error) {
			return e.queue(ctx, t, terms)
		},
		stage.Transferring: func(_ context.Context, t *session.Transfer) (stage.Status, error) {
			return e.transfer(t, terms)
		},
		stage.Dequeuing:     e.dequeue,
		stage.Deserializing: e.deserialize,
		stage.Cleanup: func(ctx context.Context, t *session.Transfer) (stage.Status, error) {
			return e.cleanup(ctx, t, terms)
		},
	}
}

// serialize brings the producer's changes into the store and fixes this side's claim.
// The claim is made once, before the first row is queued, and kept through every
// resume: a later one could cover rows that are not in the buffer. See runahead.go for a
// push that does not wait for all of it.
func (e *Engine) serialize(ctx context.Context, t *session.Transfer, terms Terms) (stage.Status, error) {
	s := sideOf(*t)
	var unsent session.Omission
	if s.producer {
		var ahead bool
		var err error
		if ahead, unsent, err = e.saveOwn(ctx, t, s, terms); err != nil {
			return stage.Errored, err
		} else if ahead {
			return stage.Completed, nil // the claim is made when all is serialized
		}
	}
	return e.env.Complete(ctx, t, stage.Serializing, nil, func(tx *db.Tx, t *session.Transfer) error {
		if err := makeClaim(ctx, tx, t, terms); err != nil || !s.producer {
			return err
		}
		return t.ChangeLeftOut(func(left *session.LeftOut) error { // rows that could not be serialized have no version
			left.Unsent = unsent
			return nil
		})
	})
}

// makeClaim puts this side's claim into a row that is about to be stored.
func makeClaim(ctx context.Context, tx *db.Tx, t *session.Transfer, terms Terms) error {
	s, filter := sideOf(*t), partition.Parse(t.Filter)
	f, err := store.FSIC(ctx, tx, filter, s.producer, terms.V2)
	if err != nil {
		return fmt.Errorf("filter max counters of transfer session %s: %w", t.ID, err)
	}
	if s.producer && terms.V2 {
		// Expanded, so that also a peer that keeps only what is filed under the
		// filter remembers everything that it was sent.
		f = counter.Expanded(f.Expand(filter))
	}
	if s.server {
		t.ServerFSIC = f.String()
	} else {
		t.ClientFSIC = f.String()
	}
	return nil
}

// queue fills the producer's buffer with what the receiver lacks. A receiver that
// agreed on v2, asks for each stage, and claims in the legacy form has not told its
// claim yet. One that cannot ask never tells it, if it is of the reference: it gets
// everything.
func (e *Engine) queue(ctx context.Context, t *session.Transfer, terms Terms) (stage.Status, error) {
	s := sideOf(*t)
	if terms.Stream && !s.producer {
		return e.env.Complete(ctx, t, stage.Queuing, nil, func(_ *db.Tx, t *session.Transfer) error { return t.MarkStream() })
	}
	if !s.producer {
		return stage.Passed, nil
	}
	if terms.Stream {
		return e.countStream(ctx, t, s)
	}
	claim, err := s.peerClaim(*t)
	if err == nil && terms.V2 && terms.Async && s.legacyClaim(*t) {
		err = fmt.Errorf("the receiver has not told its filter max counters: %w", ErrBadClaim)
	}
	if err != nil {
		return stage.Errored, err
	}
	filter := partition.Parse(t.Filter)
	_, err = queue.Run(ctx, e.env, queue.Job{
		TransferSession: t.ID, Filter: filter, Receiver: claim,
		Unsound: func(page []record.Record) []session.Omitted {
			_, left := e.unsound(page, filter)
			return left
		},
	})
	if err != nil {
		return stage.Errored, err
	}
	status, err := e.env.Complete(ctx, t, stage.Queuing, nil, func(tx *db.Tx, t *session.Transfer) error {
		n := t.Queued().Records
		t.RecordsTotal = &n
		return e.tell(ctx, tx)
	})
	if err == nil {
		e.note(t.ID, s, func(all *Report) { all.Queued = *t.RecordsTotal })
	}
	return status, err
}

// transfer is finished when all records went over; they go over by Receive here and
// by the client's reading of the buffer. A stream is when its end has come: its number of
// records was only counted beforehand, and others can have come in place of those.
func (e *Engine) transfer(t *session.Transfer, terms Terms) (stage.Status, error) {
	if terms.Settled {
		return stage.Passed, nil
	}
	if t.RecordsTotal == nil || t.RecordsTransferred < *t.RecordsTotal {
		return stage.Pending, nil
	}
	if sideOf(*t).producer || t.RecordsTransferred == 0 {
		return stage.Passed, nil
	}
	if cursor, streams := t.Cursor(); streams && cursor != wire.CursorEnd {
		return stage.Pending, nil
	}
	return stage.Passed, nil
}

// dequeue merges what the receiver got into its store and takes the claim over, also
// when there was nothing to send: the peer may have superseded all that it knew. What it takes over it
// reads in the transaction that does so: records that were left out lower it.
func (e *Engine) dequeue(ctx context.Context, t *session.Transfer) (stage.Status, error) {
	s := sideOf(*t)
	if s.producer {
		return stage.Completed, nil
	}
	_, empty := t.Cursor() // what streams is never in the buffer
	if !empty {
		var err error
		if empty, err = e.nothingBuffered(ctx, *t); err == nil && !empty {
			err = e.confirmHistories(ctx, *t)
		}
		if err != nil {
			return stage.Errored, err
		}
	}
	if err := e.serializeFirst(ctx, t, s); err != nil {
		return stage.Errored, err
	}
	var now session.Transfer // in the last transaction
	r, err := dequeue.Run(ctx, e.env, dequeue.Job{
		TransferSession: t.ID, Filter: partition.Parse(t.Filter), Empty: empty,
		Sender: func(ctx context.Context, tx *db.Tx) (counter.ByPartition, map[string]int64, error) {
			return answered(ctx, tx, now)
		},
		Last: func(ctx context.Context, lock, write func(*db.Tx) error) error {
			_, err := e.env.Complete(ctx, t, stage.Dequeuing, lock, func(tx *db.Tx, t *session.Transfer) error {
				now = *t
				return write(tx)
			})
			return err
		},
	})
	if err != nil {
		return stage.Errored, err
	}
	e.note(t.ID, s, func(all *Report) { all.Dequeued = all.Dequeued.Plus(r) })
	return stage.Completed, nil
}

// nothingBuffered says whether nothing came into a transfer session's buffer.
func (e *Engine) nothingBuffered(ctx context.Context, t session.Transfer) (empty bool, err error) {
	err = e.env.DB.Read(ctx, func(tx *db.Tx) error {
		empty, err = buffer.Empty(ctx, tx, t.ID)
		return err
	})
	return empty, err
}

// serializeFirst serializes the receiver's changes before it merges, where some model
// has a merge rule other than the reference's. They have to be in the store as versions
// of their own: only so is it known what was changed here, and whose change is the later.
func (e *Engine) serializeFirst(ctx context.Context, t *session.Transfer, s side) error {
	if !e.env.Profile.MergesByRule() {
		return nil
	}
	r, err := serialize.Run(ctx, e.env, partition.Parse(t.Filter), nil)
	if err != nil {
		return err
	}
	e.note(t.ID, s, func(all *Report) { all.Serialized = plus(all.Serialized, r) })
	return nil
}

// deserialize brings what the receiver merged into the application's tables. What the
// application changed meanwhile is serialized first, so that it meets the arrived
// version in the store and not by overwriting.
func (e *Engine) deserialize(ctx context.Context, t *session.Transfer) (stage.Status, error) {
	s := sideOf(*t)
	if s.producer {
		return stage.Completed, nil
	}
	if settled, claimed, err := e.nothingWaits(ctx, *t, s); err != nil {
		return stage.Errored, err
	} else if settled && !claimed {
		return stage.Passed, serialize.Claim(ctx, e.env, partition.Parse(t.Filter))
	} else if settled {
		return stage.Passed, nil
	}
	// Rows that came may have been applied at once: others can have waited for them.
	out, in, err := e.apply(ctx, partition.Parse(t.Filter), t.RecordsTransferred > 0, e.others(t.ID), e.tick(*t))
	if err != nil {
		return stage.Errored, err
	}
	e.note(t.ID, s, func(all *Report) {
		all.Serialized = plus(all.Serialized, out)
		all.Deserialized = in.After(all.Deserialized)
	})
	if t.RecordsTransferred == 0 && out.Records == 0 {
		return stage.Passed, nil
	}
	return stage.Completed, nil
}

// nothingWaits says whether a pull between two peers that stream has left nothing to be
// deserialized, and then whether all that is serialized is claimed. What the application has changed waits
// for the push, which need not wait for all of it to be serialized. On the server nothing waits either
// where the application has changed nothing.
func (e *Engine) nothingWaits(ctx context.Context, t session.Transfer, s side) (nothing, claimed bool, err error) {
	_, streams := t.Cursor()
	if !streams || s.server && t.RecordsTransferred > 0 {
		return false, false, nil
	}
	filter := partition.Parse(t.Filter)
	err = e.env.DB.Read(ctx, func(tx *db.Tx) error {
		if nothing, err = e.allClean(ctx, tx); err != nil || !nothing {
			return err
		}
		if s.server {
			nothing, err = serialize.Idle(ctx, tx, e.env, filter)
			claimed = nothing
			return err
		}
		claimed, err = store.OwnClaimed(ctx, tx, filter)
		return err
	})
	return nothing, claimed, err
}

// allClean says whether no record of the store is known to wait: in Django's layout, which has no
// index to find one by, nobody knows.
func (e *Engine) allClean(ctx context.Context, tx *db.Tx) (bool, error) {
	if found, err := store.FindsSaved(ctx, tx); err != nil || !found {
		return false, err
	}
	waits, err := store.AnyDirty(ctx, tx, e.env.Profile.Name)
	return !waits, err
}

// Apply brings what waits in the store under a filter into the application's tables:
// a row of one transfer can wait for one of the next. It returns r, the report of the
// latest, with what this added; what still waits is counted anew.
func (e *Engine) Apply(ctx context.Context, filter partition.Filter, r Report) (Report, error) {
	out, in, err := e.apply(ctx, filter, false, e.others(""), nil)
	if err != nil {
		return r, err
	}
	r.Serialized, r.Deserialized = plus(r.Serialized, out), in.After(r.Deserialized)
	return r, nil
}

func (e *Engine) apply(ctx context.Context, filter partition.Filter, came bool, except []string, tick func(done int64)) (out serialize.Report, in deserialize.Report, err error) {
	if out, err = serialize.Run(ctx, e.env, filter, nil); err != nil {
		return out, in, err
	}
	if !came && out.Records == 0 {
		clean := false
		err = e.env.DB.Read(ctx, func(tx *db.Tx) (err error) {
			clean, err = e.allClean(ctx, tx)
			return err
		})
		if err != nil || clean {
			return out, in, err
		}
	}
	in, err = deserialize.Run(ctx, e.env, filter, deserialize.Options{Sparing: true, Changed: came || out.Records > 0, Except: except}, tick)
	return out, in, err
}

// cleanup drops the buffer and closes the session. Of a long buffer all but the last part goes before: who asks
// for cleanup has all that is in it, and asks again when that is interrupted. What a settled one has carried is its
// total only then: a client that finds it open again reads from the total whether there is anything to fetch.
func (e *Engine) cleanup(ctx context.Context, t *session.Transfer, terms Terms) (stage.Status, error) {
	_, streams := t.Cursor() // what streams has no buffer
	if !streams {
		if err := buffer.Shorten(ctx, e.env.DB, t.ID); err != nil {
			return stage.Errored, err
		}
	}
	return e.env.Complete(ctx, t, stage.Cleanup, nil, func(tx *db.Tx, t *session.Transfer) error {
		if !streams {
			if err := buffer.Drop(ctx, tx, t.ID); err != nil {
				return err
			}
		}
		if terms.Settled {
			carried := t.RecordsTransferred
			t.RecordsTotal = &carried
		}
		return t.Close()
	})
}

// End ends the transfer session that t shows, of a stream that this side has pushed and of which the peer has
// told, as u, that it has all and has ended it too.
func (e *Engine) End(ctx context.Context, t session.Transfer, u Update, terms Terms) (session.Transfer, error) {
	r := e.runner(terms, nil)
	r.Steps[stage.Transferring] = func(context.Context, *session.Transfer) (stage.Status, error) { return stage.Passed, nil }
	r.Steps[stage.Cleanup] = func(ctx context.Context, t *session.Transfer) (_ stage.Status, err error) {
		*t, _, err = e.learn(ctx, t.ID, u, func(t *session.Transfer) error {
			e.env.Completed(t, stage.Cleanup)
			return t.Close()
		})
		return stage.Completed, err
	}
	return r.Run(ctx, t, stage.Cleanup)
}

// idle says of which stages this side has nothing to do, without being asked to note that it
// begins with them: what arrives is the receiver's.
func (e *Engine) idle(t session.Transfer, s stage.Stage) bool {
	return (s == stage.Dequeuing || s == stage.Deserializing) && sideOf(t).producer
}

// tick reports a running stage's progress.
func (e *Engine) tick(t session.Transfer) func(done int64) {
	return func(done int64) {
		e.env.Emit(stage.Event{
			SyncSession: t.SyncSessionID, TransferSession: t.ID, Push: t.Push,
			Stage: stage.Stage(t.Stage), Status: stage.Started, Done: done,
		})
	}
}

// plus adds two reports of serialize: it can run twice in one transfer session.
func plus(a, b serialize.Report) serialize.Report {
	a.Records += b.Records
	a.New += b.New
	a.Changed += b.Changed
	a.Deleted += b.Deleted
	a.Conflicts += b.Conflicts
	a.LeftOut = append(a.LeftOut, b.LeftOut...)
	a.LeftOutTotal += b.LeftOutTotal
	return a
}
