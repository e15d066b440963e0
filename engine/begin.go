package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/transfer"
)

// Begin opens a transfer session, with id, sync session, filter and direction of t.
// When it is open already, it goes on as it is. Another one of the same sync session
// and direction was abandoned by its client: it is closed and its buffer dropped. The side that is to
// receive a stream makes its claim in the same transaction: it has nothing else to do in serializing.
func (e *Engine) Begin(ctx context.Context, t session.Transfer, terms Terms) (session.Transfer, error) {
	fresh, err := e.beginHooked(ctx, t)
	if err == nil {
		t, err = e.open(ctx, t, terms)
	}
	if err == nil && fresh {
		err = e.initializing(ctx, t, false)
	}
	if err != nil {
		return t, fmt.Errorf("open transfer session %s: %w", t.ID, err)
	}
	return t, nil
}

// beginHooked calls the hook, where there is one, for a session that is not open yet.
func (e *Engine) beginHooked(ctx context.Context, t session.Transfer) (fresh bool, err error) {
	if e.env.Hook == nil {
		return false, nil
	}
	_, err = e.Transfer(ctx, t.ID)
	if fresh = errors.Is(err, session.ErrNotFound); fresh {
		err = e.initializing(ctx, t, true)
	}
	return fresh, err
}

// initializing calls the hooks of the first stage, which is no more than the making of
// the session's row. One that is refused is not left open.
func (e *Engine) initializing(ctx context.Context, t session.Transfer, before bool) error {
	cause := e.env.CallHook(ctx, t, stage.Initializing, before)
	if cause == nil {
		return nil
	}
	err := e.env.DB.Write(ctx, func(tx *db.Tx) error {
		if !before {
			if err := abandon(ctx, tx, t.ID, e.env.Now()); err != nil {
				return err
			}
		}
		return session.SetFailure(ctx, tx, t.SyncSessionID, session.Failure{
			TransferSession: t.ID, Stage: string(stage.Initializing), Reason: cause.Error(), Time: e.env.Now()})
	})
	return errors.Join(cause, err)
}

// open makes the row of a transfer session, unless it is there. One that was abandoned and has a long
// buffer is closed before, in transactions of its own.
func (e *Engine) open(ctx context.Context, t session.Transfer, terms Terms) (session.Transfer, error) {
	for {
		now, err := e.tryOpen(ctx, t, terms)
		var long *longBufferError
		if !errors.As(err, &long) {
			return now, err
		}
		if err := e.Abandon(ctx, long.session); err != nil {
			return t, err
		}
	}
}

// longBufferError says that a session cannot be closed in one short transaction.
type longBufferError struct{ session string }

// Error implements error.
func (e *longBufferError) Error() string {
	return "transfer session " + e.session + " has a long buffer"
}

// tryOpen is open, or *longBufferError. The claim with which the session begins is looked at before, as in Confirm.
func (e *Engine) tryOpen(ctx context.Context, t session.Transfer, terms Terms) (session.Transfer, error) {
	claim := t.ClientFSIC
	if claim == untold {
		claim = ""
	}
	want, claimed := t, false
	_, err := e.confirmed(ctx, func(tx *db.Tx) (session.Transfer, string, error) {
		t = want
		return t, claim, nil
	}, func(tx *db.Tx, seen *own) error {
		if err := e.beginTelling(ctx, tx, seen); err != nil {
			return err
		}
		sync, err := session.GetSync(ctx, tx, t.SyncSessionID)
		if err != nil {
			return err
		}
		open, err := session.ActiveOfSync(ctx, tx, t.SyncSessionID, t.Push)
		if err != nil {
			return err
		}
		for _, old := range open {
			if old.ID == t.ID {
				t, claimed = old, false
				return nil
			}
			long, err := buffer.Long(ctx, tx, old.ID)
			if long {
				err = &longBufferError{old.ID}
			}
			if err != nil {
				return err
			}
			if err := abandon(ctx, tx, old.ID, e.env.Now()); err != nil {
				return err
			}
		}
		t.Active = true
		t.StartTime, t.LastTime = e.env.Now(), e.env.Now()
		t.Stage, t.Status = string(stage.Initializing), string(stage.Completed)
		if t.ClientFSIC == "" {
			t.ClientFSIC = untold
		}
		t.ServerFSIC, t.Within = untold, sync.Within()
		if claimed = terms.Stream && !sideOf(t).producer && e.env.Hook == nil; claimed {
			if err := makeClaim(ctx, tx, &t, terms); err != nil {
				return err
			}
			e.env.Completed(&t, stage.Serializing)
		}
		return session.CreateTransfer(ctx, tx, t)
	})
	if err == nil && claimed {
		e.env.EmitStage(t)
	}
	return t, err
}

// abandon is Abandon in a transaction, in which a long buffer would go in one go.
func abandon(ctx context.Context, tx *db.Tx, id string, now time.Time) error {
	if err := buffer.Drop(ctx, tx, id); err != nil {
		return err
	}
	return session.CloseTransfer(ctx, tx, id, now)
}

// Abandon closes a transfer session that will not go on and drops its buffer.
func (e *Engine) Abandon(ctx context.Context, id string) error {
	err := buffer.Shorten(ctx, e.env.DB, id)
	if err == nil {
		err = e.env.DB.Write(ctx, func(tx *db.Tx) error { return abandon(ctx, tx, id, e.env.Now()) })
	}
	if err != nil {
		return fmt.Errorf("close transfer session %s: %w", id, err)
	}
	return nil
}

// Update is what a peer tells of its side; nil where it tells nothing.
type Update struct {
	ClientFSIC, ServerFSIC                       *string
	RecordsTotal                                 *int64
	RecordsTransferred, BytesSent, BytesReceived *int64
}

// Update stores what the peer tells, all or nothing: ErrBadClaim, ErrBadCount. The
// peer's claim is fixed once this side has queued against it, or taken it over. Before
// it is stored it is looked at as in Confirm.
func (e *Engine) Update(ctx context.Context, id string, u Update) (session.Transfer, error) {
	t, _, err := e.Learn(ctx, id, u)
	return t, err
}

// Learn is Update, and reports whether the peer's claim showed this database to be a copy, so that
// it has a new id.
func (e *Engine) Learn(ctx context.Context, id string, u Update) (t session.Transfer, renewed bool, err error) {
	return e.learn(ctx, id, u, func(*session.Transfer) error { return nil })
}

// Queue is Learn on the side that is to receive a stream, with which its part of queuing is done, in one
// transaction: for it that is to know how much is going to come. terms are of a stream.
func (e *Engine) Queue(ctx context.Context, t session.Transfer, u Update, terms Terms) (_ session.Transfer, renewed bool, err error) {
	if next, more := stage.Following(t); !more || next != stage.Queuing || sideOf(t).producer {
		if t, renewed, err = e.Learn(ctx, t.ID, u); err == nil {
			t, err = e.Run(ctx, t, stage.Queuing, terms)
		}
		return t, renewed, err
	}
	r := e.runner(terms, nil)
	r.Steps[stage.Queuing] = func(ctx context.Context, t *session.Transfer) (stage.Status, error) {
		*t, renewed, err = e.learn(ctx, t.ID, u, func(t *session.Transfer) error {
			if stage.Reached(*t, stage.Queuing) {
				return nil
			}
			e.env.Completed(t, stage.Queuing)
			return t.MarkStream()
		})
		return stage.Completed, err
	}
	t, err = r.Run(ctx, t, stage.Queuing)
	return t, renewed, err
}

// learn is Learn, and changes the session's row further.
func (e *Engine) learn(ctx context.Context, id string, u Update, further func(*session.Transfer) error) (t session.Transfer, renewed bool, err error) {
	renewed, err = e.confirmed(ctx, func(tx *db.Tx) (_ session.Transfer, claim string, err error) {
		if t, err = session.ActiveTransfer(ctx, tx, id); err != nil {
			return t, "", err
		}
		text := u.ServerFSIC
		if sideOf(t).server {
			text = u.ClientFSIC
		}
		if text != nil && !stage.Reached(t, stage.Queuing) {
			claim = *text
		}
		return t, claim, nil
	}, func(tx *db.Tx, _ *own) error {
		before := t
		if err := updateClaims(&t, u); err != nil {
			return err
		}
		if err := updateCounts(&t, u); err != nil {
			return err
		}
		if err := further(&t); err != nil {
			return err
		}
		return session.Write(ctx, tx, before, &t, e.env.Now())
	})
	if err != nil {
		return t, renewed, fmt.Errorf("update transfer session %s: %w", id, err)
	}
	return t, renewed, nil
}

func updateClaims(t *session.Transfer, u Update) error {
	text, claim := u.ServerFSIC, &t.ServerFSIC
	if sideOf(*t).server {
		text, claim = u.ClientFSIC, &t.ClientFSIC
	}
	if text == nil || stage.Reached(*t, stage.Queuing) {
		return nil
	}
	if _, err := readClaim(*text, partition.Parse(t.Filter)); err != nil {
		return err
	}
	*claim = *text
	return nil
}

// updateCounts believes the producer's total, and the receiver's progress. Bytes are
// information, whoever tells them.
func updateCounts(t *session.Transfer, u Update) error {
	producer := sideOf(*t).producer
	if u.RecordsTotal != nil && !producer && !stage.Reached(*t, stage.Transferring) {
		if err := believeTotal(t, *u.RecordsTotal); err != nil {
			return err
		}
	}
	if u.RecordsTransferred != nil && producer {
		updateTotal(t, *u.RecordsTransferred)
		if *u.RecordsTransferred < 0 || t.RecordsTotal == nil || *u.RecordsTransferred > *t.RecordsTotal {
			return fmt.Errorf("%d records transferred: %w", *u.RecordsTransferred, ErrBadCount)
		}
		t.RecordsTransferred = *u.RecordsTransferred
	}
	t.BytesSent, t.BytesReceived = valueOr(u.BytesSent, t.BytesSent), valueOr(u.BytesReceived, t.BytesReceived)
	return nil
}

// believeTotal takes over how many records the producer is to send. For a stream it is what
// was counted before the first of them was read: more may have come since.
func believeTotal(t *session.Transfer, total int64) error {
	if total < t.RecordsTransferred {
		if _, streams := t.Cursor(); !streams || total < 0 {
			return fmt.Errorf("a total of %d records when %d have come: %w", total, t.RecordsTransferred, ErrBadCount)
		}
		total = t.RecordsTransferred
	}
	t.RecordsTotal = &total
	return nil
}

// updateTotal believes the receiver of a stream how many records there were: the number was
// counted before the first of them was read.
func updateTotal(t *session.Transfer, records int64) {
	if _, streams := t.Cursor(); streams && records >= 0 && records <= counter.Greatest {
		t.RecordsTotal = &records
	}
}

func valueOr(p *int64, otherwise int64) int64 {
	if p == nil || *p < 0 {
		return otherwise
	}
	return *p
}

// Receive takes one chunk of records that the peer sent: whole or not at all, see
// transfer.Receive for the errors.
//
// A peer learns of records that this side does not take by the error: nothing of the
// chunk is taken. When they come again, in this session or a later one, the peer cannot do
// without them: they are left out, and the others taken.
func (e *Engine) Receive(ctx context.Context, id string, records []record.Record) (session.Transfer, error) {
	t, err := e.Transfer(ctx, id)
	if err != nil {
		return t, err
	}
	if sideOf(t).producer {
		return t, fmt.Errorf("transfer session %s: %w", id, ErrWrongDirection)
	}
	after, err := transfer.Receive(ctx, e.env, t, records, nil)
	var refused *transfer.RefusedError
	if !errors.As(err, &refused) {
		return after, err
	}
	if !e.warned(t, refused.Refused) {
		return after, err
	}
	return transfer.Receive(ctx, e.env, t, records, e.refuse(sideOf(t)))
}

// Refuse is what a client's transferring stage does about records that it does not take.
func (e *Engine) Refuse() transfer.Refuse {
	return e.refuse(side{})
}

// Finish ends a transfer session: what is left of its stages runs, then its buffer
// goes. One whose records have not all come stays as it is, so that its client can
// go on with it or leave it to Sweep. wait is as in Advance.
func (e *Engine) Finish(ctx context.Context, t session.Transfer, terms Terms, wait time.Duration) (session.Transfer, error) {
	return e.Advance(ctx, t, stage.Cleanup, terms, wait)
}
