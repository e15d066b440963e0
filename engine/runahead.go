package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/serialize"
	"github.com/morango-go/morango/store"
	"github.com/morango-go/morango/store/lacking"
)

// A push runs ahead where there is much to serialize: after the first part of that the stream
// begins. In its first phase it follows what this instance saves, in the order of its
// counters, while the rest is serialized. When that is done the claim is fixed, and in the second
// phase comes all else that the receiver lacks, as in any stream. The claim travels at the end.
//
// No record is lost by that. When the claim is made, everything that it covers is in the store. The
// second phase goes through the store afterwards, and what it shows of a record is what the
// claim covers, or has seen it. It passes over a record only at a version at which the first
// has sent it.

// saveOwn brings the producer's changes into the store. ahead says that it has only begun
// to: the stream does the rest. unsent is what could not be serialized.
func (e *Engine) saveOwn(ctx context.Context, t *session.Transfer, s side, terms Terms) (ahead bool, unsent session.Omission, err error) {
	tick, env := e.tick(*t), e.env
	may := terms.Stream && s.producer && !s.server
	if may && env.SerializeRows == 0 {
		env.SerializeRows = rowsBeside // the receiver waits
	}
	run, err := serialize.Begin(ctx, env, partition.Parse(t.Filter))
	var before map[string]int64
	if may = may && err == nil && !run.Serialized(); may { // nothing is stamped yet
		may, before, err = e.mayRunAhead(ctx)
	}
	for more := true; more && !ahead && err == nil; {
		if more, err = run.Next(ctx); err == nil && more {
			if ahead = may && !run.Serialized(); !ahead { // else what is seen is the sending
				tick(run.Report().Records)
			}
		}
	}
	if err != nil {
		return false, unsent, err
	}
	e.noteSaved(t.ID, s, run.Report(), !ahead)
	if ahead {
		return true, unsent, e.beginAhead(ctx, t, before)
	}
	return false, unsentRows(run.Report()), nil
}

// mayRunAhead says whether this database can run ahead, and how far its instances have saved. In Django's
// layout there is no index by which to follow an instance.
func (e *Engine) mayRunAhead(ctx context.Context) (may bool, saved map[string]int64, err error) {
	err = e.env.DB.Read(ctx, func(tx *db.Tx) error {
		if may, err = store.FindsSaved(ctx, tx); err != nil || !may {
			return err
		}
		saved, err = store.LivingInstances(ctx, tx)
		return err
	})
	return may, saved, err
}

// beginAhead notes that a session runs ahead, from where its instance stood before.
func (e *Engine) beginAhead(ctx context.Context, t *session.Transfer, before map[string]int64) error {
	i, err := e.Instance(ctx)
	if err != nil {
		return err
	}
	return e.env.DB.Write(ctx, func(tx *db.Tx) error {
		if err := session.SetAhead(ctx, tx, *t, session.Ahead{Instance: i.ID, From: before[i.ID]}); err != nil {
			return err
		}
		if err := session.MarkStream(ctx, tx, *t); err != nil {
			return err
		}
		*t, err = session.GetTransfer(ctx, tx, t.ID)
		return err
	})
}

// noteSaved adds what serialize did to the session's report. Rows that were left out are
// counted by the run that has gone through all of them.
func (e *Engine) noteSaved(id string, s side, r serialize.Report, all bool) {
	if !all {
		r.LeftOut, r.LeftOutTotal = nil, 0
	}
	e.note(id, s, func(report *Report) { report.Serialized = plus(report.Serialized, r) })
}

// ahead sends a stream that runs ahead.
func (out *outgoing) ahead(ctx context.Context, a session.Ahead) (err error) {
	if lacking.InTail(out.job.After) {
		out.end.More, out.quiet = true, true
		if a, err = out.follow(ctx, a); err != nil {
			return err
		}
		out.job.After, out.quiet = "", false
	} else if !a.Fixed {
		return fmt.Errorf("%.60q before all is serialized: %w", out.job.After, lacking.ErrCursor)
	}
	out.job.Sent = lacking.Tail{Instance: a.Instance, From: a.From, To: a.To}
	return out.pages(ctx)
}

// follow is the first phase of a stream that runs ahead. When it returns, everything is
// serialized and has travelled up to where the claim was fixed.
func (out *outgoing) follow(ctx context.Context, a session.Ahead) (session.Ahead, error) {
	var run *saving
	if !a.Fixed {
		run = out.e.beginSaving(ctx, partition.Parse(out.t.Filter))
		defer out.endSaving(run)
	}
	for {
		saved := a.Fixed || run.ended() // and so before the counter is read
		if !a.Fixed {
			to, err := out.e.tellOwn(ctx, a.Instance)
			if err != nil {
				return a, err
			}
			a.To = to
		}
		tail := lacking.Tail{Instance: a.Instance, From: a.From, To: a.To}
		out.job.After = out.end.After
		err := lacking.Follow(ctx, out.e.env.DB, out.job, tail, out.rows, func(p lacking.Page) error { return out.page(ctx, p) })
		if err != nil {
			return a, err
		}
		if saved {
			break
		}
		if err := out.waitFor(ctx, run); err != nil {
			return a, err
		}
	}
	if a.Fixed {
		return a, out.tellUnsent(ctx)
	}
	if run.err != nil {
		return a, errors.Join(run.err, out.noteFailure(ctx, run.err))
	}
	return out.fix(ctx, a, run.run.Report())
}

// noteFailure keeps, as for a stage that fails, why not all could be serialized. An interruption is
// no failure.
func (out *outgoing) noteFailure(ctx context.Context, cause error) error {
	e, interrupted := out.e, ctx.Err() != nil || errors.Is(cause, context.Canceled)
	if interrupted {
		return nil
	}
	return e.env.DB.Write(ctx, func(tx *db.Tx) error {
		return session.SetFailure(ctx, tx, out.t.SyncSessionID, session.Failure{
			TransferSession: out.t.ID, Stage: string(stage.Serializing), Reason: cause.Error(), Time: e.env.Now()})
	})
}

// waitFor waits until more is saved, as long as this request lasts.
func (out *outgoing) waitFor(ctx context.Context, run *saving) error {
	rest := out.o.Time - out.e.env.Now().Sub(out.began)
	if rest <= 0 && out.end.After != out.o.After {
		return errEnough
	}
	return run.wait(ctx, max(rest, time.Second))
}

// fix makes the claim that goes with the transfer, when all is serialized and has been read
// up to a.To, and says what could not be serialized. It happens once.
func (out *outgoing) fix(ctx context.Context, a session.Ahead, r serialize.Report) (session.Ahead, error) {
	e, filter := out.e, partition.Parse(out.t.Filter)
	a.Fixed = true
	rows := unsentRows(r)
	err := e.env.DB.Write(ctx, func(tx *db.Tx) error {
		f, err := store.FSIC(ctx, tx, filter, true, true)
		if err != nil {
			return fmt.Errorf("filter max counters of transfer session %s: %w", out.t.ID, err)
		}
		if err := session.SetAhead(ctx, tx, out.t, a); err != nil {
			return err
		}
		if rows.Total > 0 {
			err = session.ChangeLeftOut(ctx, tx, out.t, func(left *session.LeftOut) error {
				for _, r := range rows.First {
					left.Unsent.Count(r)
				}
				left.Unsent.Total += rows.Total - int64(len(rows.First))
				return nil
			})
		}
		return errors.Join(err, session.SetClientFSIC(ctx, tx, out.t.ID, counter.Expanded(f.Expand(filter)).String()))
	})
	if err == nil {
		err = tellRows(out.w, rows)
	}
	if err != nil {
		return a, err
	}
	// What goes for this request is what goes for any that resumes it.
	if out.t, err = e.Transfer(ctx, out.t.ID); err == nil {
		a, _ = out.t.Ahead()
	}
	return a, err
}

// tellOwn notes what is about to leave, and returns how far an instance has saved: no more than
// that is told, and all that was saved up to there can be read.
func (e *Engine) tellOwn(ctx context.Context, instance string) (to int64, err error) {
	err = e.tellAhead(ctx, func(tx *db.Tx) error {
		own, err := store.OwnInstances(ctx, tx)
		to = own[instance]
		return err
	})
	return to, err
}

// endSaving ends serialize, and adds what it did to the session's report.
func (out *outgoing) endSaving(run *saving) {
	r, all := run.close()
	out.e.noteSaved(out.t.ID, out.side, r, all)
}
