package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
)

// task is the run of one transfer session through its stages. There is at most one
// for a session in a process; who asks for a later stage extends it.
type task struct {
	to   stage.Stage
	work stage.Work // of the stage that runs now
	done chan struct{}
	t    session.Transfer // as it is then, and
	err  error            // valid once done is closed
}

// Advance takes the session that t shows through its stages up to to in the background and waits
// at most wait for that. It returns the row as it is then: its stage tells whether
// the work is done, goes on (started), or waits for the peer (pending). The error is
// that of a stage that failed within the time; a later one is in the row's status.
func (e *Engine) Advance(ctx context.Context, t session.Transfer, to stage.Stage, terms Terms, wait time.Duration) (session.Transfer, error) {
	tk, err := e.start(t, to, terms)
	if err != nil {
		return session.Transfer{}, err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-tk.done:
		if tk.err == nil {
			return tk.t, nil
		}
		err = tk.err
	case <-timer.C:
		err = tk.work.Note(ctx)
	case <-ctx.Done():
		return session.Transfer{}, ctx.Err()
	}
	t, loadErr := e.Transfer(ctx, t.ID)
	return t, errors.Join(err, loadErr)
}

// Run takes the session that t shows through its stages up to to and returns when that is done,
// or when the session waits for the peer. It stops at the end of ctx.
func (e *Engine) Run(ctx context.Context, t session.Transfer, to stage.Stage, terms Terms) (session.Transfer, error) {
	return e.runner(terms, nil).Run(ctx, t, to)
}

func (e *Engine) runner(terms Terms, work *stage.Work) stage.Runner {
	return stage.Runner{Env: e.env, Steps: e.steps(terms), Idle: e.idle, Work: work}
}

// start makes the session's task, or extends the one that runs.
func (e *Engine) start(t session.Transfer, to stage.Stage, terms Terms) (*task, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx.Err() != nil {
		return nil, ErrClosed
	}
	if tk := e.running[t.ID]; tk != nil {
		if tk.to.Before(to) {
			tk.to = to
		}
		return tk, nil
	}
	tk := &task{to: to, done: make(chan struct{})}
	e.running[t.ID] = tk
	e.work.Add(1)
	go func() {
		defer e.work.Done()
		e.drive(t, tk, terms)
	}()
	return tk, nil
}

// drive runs stages until the task's goal, which may move while it runs.
func (e *Engine) drive(t session.Transfer, tk *task, terms Terms) {
	defer e.KeepAlive(e.ctx, t.ID)()
	r := e.runner(terms, &tk.work)
	goal := e.goal(tk)
	for {
		after, err := e.next(r, t, goal)
		if e.finished(t.ID, tk, &goal, after, err) {
			return
		}
		t = after
	}
}

// next runs stages. A defect in one must not take the other sessions of the process
// down with it: it ends this one's task.
func (e *Engine) next(r stage.Runner, t session.Transfer, goal stage.Stage) (after session.Transfer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("transfer session %s: a defect in MoranGo, please report it: %v\n%s", t.ID, p, debug.Stack())
		}
	}()
	return r.Run(e.ctx, t, goal)
}

func (e *Engine) goal(tk *task) stage.Stage {
	e.mu.Lock()
	defer e.mu.Unlock()
	return tk.to
}

// finished ends the task when there is nothing more to run. That is decided under the
// same lock under which others extend the goal, so that no wish is lost.
func (e *Engine) finished(id string, tk *task, goal *stage.Stage, t session.Transfer, err error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	extended := *goal != tk.to
	*goal = tk.to
	if err == nil && extended {
		return false
	}
	tk.t, tk.err = t, err
	delete(e.running, id)
	close(tk.done)
	return true
}
