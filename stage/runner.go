package stage

import (
	"context"
	"errors"
	"fmt"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/session"
)

// Step does one stage's work on this side of a transfer session and may change
// the fields of t that it knows better; it saves them itself. It returns Completed,
// or Pending when the stage can only go on after the peer has done something.
// A step can be run again after any interruption.
type Step func(ctx context.Context, t *session.Transfer) (Status, error)

// Runner takes one transfer session through its stages, from the first that is not
// finished, and keeps stage and status in the session's row.
type Runner struct {
	Env   Env
	Steps map[Stage]Step // a stage without a step has nothing to do on this side
	// Idle says of a stage that has a step whether it has nothing to do in this session.
	// Nil is never.
	Idle func(ctx context.Context, t session.Transfer, s Stage) (bool, error)
}

// Following returns the stage that the session has to run next, and false when all
// are done.
func Following(t session.Transfer) (Stage, bool) {
	stages := All()
	if t.Stage == "" {
		return stages[0], true
	}
	if Status(t.Status) != Completed {
		return Stage(t.Stage), true
	}
	for i, s := range stages[:len(stages)-1] {
		if string(s) == t.Stage {
			return stages[i+1], true
		}
	}
	return "", false
}

// Reached reports whether the session has finished the stage.
func Reached(t session.Transfer, s Stage) bool {
	next, more := Following(t)
	return !more || s.Before(next)
}

// Next runs the session's next stage if it does not lie beyond to. It returns the
// row as it is now and whether there may be more to run: false when the session has
// come to to, or waits for the peer.
func (r Runner) Next(ctx context.Context, transferID string, to Stage) (session.Transfer, bool, error) {
	t, err := r.load(ctx, transferID)
	if err != nil {
		return t, false, err
	}
	s, more := Following(t)
	if !more || to.Before(s) {
		return t, false, nil
	}
	status, err := r.step(ctx, &t, s)
	if err == nil && status == Completed {
		err = r.leaving(ctx, t, s)
	}
	if err != nil {
		return t, false, r.fail(ctx, &t, s, err)
	}
	if err := r.mark(ctx, &t, s, status); err != nil {
		return t, false, err
	}
	return t, status == Completed && s != to, nil
}

// step marks a stage that does work as started, so that a peer that asks sees it,
// and does the work.
func (r Runner) step(ctx context.Context, t *session.Transfer, s Stage) (Status, error) {
	if err := r.entering(ctx, *t, s); err != nil {
		return Errored, err
	}
	run, ok := r.Steps[s]
	if ok && r.Idle != nil {
		idle, err := r.Idle(ctx, *t, s)
		if err != nil {
			return Errored, err
		}
		ok = !idle
	}
	if !ok {
		return Completed, nil
	}
	if t.Stage != string(s) || t.Status != string(Started) {
		if err := r.mark(ctx, t, s, Started); err != nil {
			return Errored, err
		}
	}
	return run(ctx, t)
}

func (r Runner) load(ctx context.Context, id string) (t session.Transfer, err error) {
	err = r.Env.DB.Read(ctx, func(tx *db.Tx) error {
		t, err = session.GetTransfer(ctx, tx, id)
		return err
	})
	return t, err
}

func (r Runner) mark(ctx context.Context, t *session.Transfer, s Stage, status Status) error {
	err := r.Env.DB.Write(ctx, func(tx *db.Tx) error {
		return session.SetStage(ctx, tx, t.ID, string(s), string(status), r.Env.Now())
	})
	if err != nil {
		return fmt.Errorf("note stage %s as %s in transfer session %s: %w", s, status, t.ID, err)
	}
	t.Stage, t.Status = string(s), string(status)
	r.emit(*t, nil)
	return nil
}

// fail notes that a stage went wrong, and why. An interruption is no failure: the stage stays
// started and is run again by whoever resumes.
func (r Runner) fail(ctx context.Context, t *session.Transfer, s Stage, cause error) error {
	wrapped := fmt.Errorf("stage %s of transfer session %s: %w", s, t.ID, cause)
	if ctx.Err() != nil || errors.Is(cause, context.Canceled) {
		return wrapped
	}
	noted := r.Env.DB.Write(ctx, func(tx *db.Tx) error {
		return session.SetFailure(ctx, tx, t.SyncSessionID, session.Failure{
			TransferSession: t.ID, Stage: string(s), Reason: cause.Error(), Time: r.Env.Now()})
	})
	if err := errors.Join(noted, r.mark(ctx, t, s, Errored)); err != nil {
		return errors.Join(wrapped, err)
	}
	return wrapped
}

func (r Runner) emit(t session.Transfer, err error) {
	ev := Event{
		SyncSession: t.SyncSessionID, TransferSession: t.ID, Push: t.Push,
		Stage: Stage(t.Stage), Status: Status(t.Status),
		Done: t.RecordsTransferred, BytesSent: t.BytesSent, BytesReceived: t.BytesReceived, Err: err,
	}
	if t.RecordsTotal != nil {
		ev.Total = *t.RecordsTotal
	}
	switch { // only while transferring, what is transferred is what is done
	case ev.Status == Started && ev.Stage != Transferring:
		ev.Done = 0
	case ev.Status == Completed && ev.Stage == Queuing:
		ev.Done = ev.Total
	}
	r.Env.Emit(ev)
}
