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
// or Passed when it had nothing to do, or Pending when the stage can only go on after the peer has
// done something. A step that ends with a transaction notes in it that the stage is complete, by
// Env.Complete. A step can be run again after any interruption.
type Step func(ctx context.Context, t *session.Transfer) (Status, error)

// Passed is the status of a stage that is complete and did nothing that it should not do again. It is
// noted as complete with the next that works, or when the run ends: each commit waits for the disk.
const Passed Status = "passed"

// Runner takes one transfer session through its stages, from the first that is not
// finished, and keeps stage and status in the session's row.
type Runner struct {
	Env   Env
	Steps map[Stage]Step // a stage without a step has nothing to do on this side
	// Idle says of a stage that has a step whether it has nothing to do in this session.
	// Nil is never.
	Idle func(t session.Transfer, s Stage) bool
	// Work tells others which stage is being worked at. Nil where nobody asks.
	Work *Work
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

// Run runs the stages that are not finished of the session that t shows, up to to. It returns the
// row as it is then: the session has come to to, or waits for the peer. Others may have taken it
// further since t was read: then what they noted stays.
func (r Runner) Run(ctx context.Context, t session.Transfer, to Stage) (_ session.Transfer, err error) {
	if r.Work == nil {
		r.Work = &Work{}
	}
	passed := false // and the row does not say so yet
	for err == nil {
		s, more := Following(t)
		if !more || to.Before(s) {
			break
		}
		var status Status
		if status, err = r.next(ctx, &t, s); err != nil {
			return t, err
		}
		if passed = status == Passed; status == Pending {
			break
		}
	}
	if passed && err == nil {
		err = r.mark(ctx, &t, Stage(t.Stage), Completed)
	}
	return t, err
}

// next runs one stage, and notes how it ended unless it is passed.
func (r Runner) next(ctx context.Context, t *session.Transfer, s Stage) (Status, error) {
	status, err := r.step(ctx, t, s)
	if err == nil && (status == Completed || status == Passed) {
		err = r.leaving(ctx, *t, s)
	}
	if err != nil {
		return Errored, r.fail(ctx, t, s, err)
	}
	noted := Stage(t.Stage) == s && Status(t.Status) == Completed // by the step
	switch {
	case status == Passed:
		t.Stage, t.Status = string(s), string(Completed)
	case !noted:
		if err := r.mark(ctx, t, s, status); err != nil {
			return Errored, err
		}
	}
	r.Env.EmitStage(*t)
	return status, nil
}

// step does the work of a stage that has some. That it has begun is noted when others wait for it,
// see Work.
func (r Runner) step(ctx context.Context, t *session.Transfer, s Stage) (Status, error) {
	if err := r.entering(ctx, *t, s); err != nil {
		return Errored, err
	}
	run, ok := r.Steps[s]
	if !ok || r.Idle != nil && r.Idle(*t, s) {
		return Passed, nil
	}
	if t.Stage != string(s) || t.Status != string(Started) {
		t.Stage, t.Status = string(s), string(Started)
		r.Env.EmitStage(*t)
	}
	defer r.Work.begin(ctx, r.Env, t.ID, s)()
	return run(ctx, t)
}

func (r Runner) mark(ctx context.Context, t *session.Transfer, s Stage, status Status) error {
	var row session.Transfer
	err := r.Env.DB.Write(ctx, func(tx *db.Tx) (err error) {
		row, err = r.Env.note(ctx, tx, t.ID, s, status, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("note stage %s as %s in transfer session %s: %w", s, status, t.ID, err)
	}
	*t = row
	return nil
}

// Complete runs the last transaction of a step, and notes in it that the stage is complete: one
// commit instead of two. lock comes first in it, if it is not nil. work writes what belongs to the
// transaction, and changes the session's row as it stands in it, which is then stored; not when
// others have taken the session through the stage meanwhile. t is the
// row as it is then. Where a hook still has a say in that, the runner notes that the stage is complete.
func (e Env) Complete(ctx context.Context, t *session.Transfer, s Stage, lock func(*db.Tx) error, work func(*db.Tx, *session.Transfer) error) (Status, error) {
	row := *t
	err := e.DB.Write(ctx, func(tx *db.Tx) (err error) {
		if lock != nil {
			if err := lock(tx); err != nil {
				return err
			}
		}
		row, err = e.note(ctx, tx, t.ID, s, "", work)
		return err
	})
	if err != nil {
		return Errored, err
	}
	*t = row
	return Completed, nil
}

// note notes how far a session has come, and what work makes of its row, and returns it. One that has been
// taken through the stage meanwhile stays as it is. As status "" stands for what Complete notes.
func (e Env) note(ctx context.Context, tx *db.Tx, id string, s Stage, status Status, work func(*db.Tx, *session.Transfer) error) (session.Transfer, error) {
	row, err := session.GetTransfer(ctx, tx, id)
	if err != nil || Reached(row, s) {
		return row, err
	}
	before := row
	if work != nil {
		if err := work(tx, &row); err != nil {
			return before, err
		}
	}
	if status != "" {
		row.Stage, row.Status = string(s), string(status)
	} else {
		e.Completed(&row, s)
	}
	return row, session.Write(ctx, tx, before, &row, e.Now())
}

// Completed says in a row that is about to be stored that a stage is complete, unless a hook still has a
// say in that.
func (e Env) Completed(t *session.Transfer, s Stage) {
	if e.Hook == nil {
		t.Stage, t.Status = string(s), string(Completed)
	}
}

// fail notes that a stage went wrong, and why. An interruption is no failure: the stage is run
// again by whoever resumes.
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
	r.Env.EmitStage(*t)
	return wrapped
}

// EmitStage tells how far a session has come.
func (e Env) EmitStage(t session.Transfer) {
	ev := Event{
		SyncSession: t.SyncSessionID, TransferSession: t.ID, Push: t.Push,
		Stage: Stage(t.Stage), Status: Status(t.Status),
		Done: t.RecordsTransferred, BytesSent: t.BytesSent, BytesReceived: t.BytesReceived,
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
	e.Emit(ev)
}
