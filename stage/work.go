package stage

import (
	"context"
	"sync"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/session"
)

// moment is how long a stage may take before it is noted that it has begun.
const moment = time.Second

// Work is the stage of a session that is being worked at. That a stage has begun is noted in
// the session's row only when it takes a moment, or somebody is told that it is not over: what has
// not been noted is begun again all the same. The zero value is no work.
type Work struct {
	mu    sync.Mutex
	env   Env
	id    string // of the transfer session
	stage Stage  // "" between stages, and when it is noted
}

// begin says which stage is being worked at until end is called.
func (w *Work) begin(ctx context.Context, env Env, id string, s Stage) (end func()) {
	w.mu.Lock()
	w.env, w.id, w.stage = env, id, s
	w.mu.Unlock()
	stop := func() bool { return true }
	if env.SerializeRows == 0 { // else all is to follow from a seed, and not from the clock
		stop = time.AfterFunc(moment, func() { _ = w.Note(ctx) }).Stop // who waits notes it again
	}
	return func() {
		stop()
		w.mu.Lock()
		w.stage = ""
		w.mu.Unlock()
	}
}

// Note notes in the session's row that the stage has begun, if one is being worked at.
func (w *Work) Note(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stage == "" {
		return nil
	}
	err := w.env.DB.Write(ctx, func(tx *db.Tx) error {
		t, err := session.GetTransfer(ctx, tx, w.id)
		if err != nil || Reached(t, w.stage) { // it has just ended
			return err
		}
		return session.SetStage(ctx, tx, w.id, string(w.stage), string(Started), w.env.Now())
	})
	if err == nil {
		w.stage = ""
	}
	return err
}
