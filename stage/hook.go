package stage

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/session"
)

// HookEvent is what a hook is told: which stage of which session begins or has ended
// on this side.
type HookEvent struct {
	SyncSession     string
	TransferSession string
	Filter          string // of the transfer session, as it travels
	Push            bool   // client to server
	Stage           Stage
	Before          bool // the stage is about to begin; else it has ended well
}

// Hook is called before and after each stage on this side. An error aborts the stage:
// the session is errored, with the reason kept in its sync session, until it is resumed
// or closed; then the stage runs again, and the hook is called again. So a hook may see
// a stage more than once. It must not wait for the session it is called for.
type Hook func(context.Context, HookEvent) error

// CallHook calls the hook, if there is one, for a stage of a session.
func (e Env) CallHook(ctx context.Context, t session.Transfer, s Stage, before bool) error {
	if e.Hook == nil {
		return nil
	}
	err := e.Hook(ctx, HookEvent{SyncSession: t.SyncSessionID, TransferSession: t.ID,
		Filter: t.Filter, Push: t.Push, Stage: s, Before: before})
	switch {
	case err == nil:
		return nil
	case before:
		return fmt.Errorf("hook before stage %s: %w", s, err)
	}
	return fmt.Errorf("hook after stage %s: %w", s, err)
}

// entering calls the hooks that are due before a stage. Records travel in requests of
// their own, on neither side at a moment of the runner's: so what comes before
// transferring is called at the end of queuing, and what comes after it when dequeuing
// begins.
func (r Runner) entering(ctx context.Context, t session.Transfer, s Stage) error {
	if s == Transferring {
		return nil
	}
	if s == Dequeuing {
		if err := r.Env.CallHook(ctx, t, Transferring, false); err != nil {
			return err
		}
	}
	return r.Env.CallHook(ctx, t, s, true)
}

// leaving calls the hooks that are due after a stage.
func (r Runner) leaving(ctx context.Context, t session.Transfer, s Stage) error {
	if s == Transferring {
		return nil
	}
	err := r.Env.CallHook(ctx, t, s, false)
	if err == nil && s == Queuing {
		err = r.Env.CallHook(ctx, t, Transferring, true)
	}
	return err
}
