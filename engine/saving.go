package engine

import (
	"context"
	"time"

	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage/serialize"
)

// saving is serialize at work while what it saves is sent: in a goroutine of its own, or in
// turns with the sender, see stage.Env.SerializeRows.
type saving struct {
	turns bool
	moved chan struct{} // has something when there may be more to send
	done  chan struct{} // is closed at the end; what follows is valid then
	stop  context.CancelFunc

	run    *serialize.Running
	err    error
	broken any // with which serialize panicked
}

// rowsBeside bounds the rows of one transaction of serialize that runs beside the sender: both
// need memory.
const rowsBeside = 512

// beginSaving serializes what lies in a filter. End it with close.
func (e *Engine) beginSaving(ctx context.Context, filter partition.Filter) *saving {
	ctx, stop := context.WithCancel(ctx)
	env := e.env
	s := &saving{turns: env.SerializeRows > 0, moved: make(chan struct{}, 1), done: make(chan struct{}), stop: stop}
	if s.turns {
		if s.run, s.err = serialize.Begin(ctx, env, filter); s.err != nil {
			close(s.done)
		}
		return s
	}
	env.SerializeRows = rowsBeside
	go func() {
		defer close(s.done)
		defer func() { s.broken = recover() }() // nobody would catch it here
		s.run, s.err = serialize.Begin(ctx, env, filter)
		for more := s.err == nil; more && s.err == nil; signal(s.moved) {
			more, s.err = s.run.Next(ctx)
		}
	}()
	return s
}

// ended says whether everything is serialized and claimed, or has failed.
func (s *saving) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// wait waits until there may be more to send, or it has ended, for at most d.
func (s *saving) wait(ctx context.Context, d time.Duration) error {
	if s.turns {
		more, err := s.run.Next(ctx)
		if s.err = err; !more || err != nil {
			close(s.done)
		}
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.moved:
	case <-s.done:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// close stops what is still going on, waits for that, and returns what was done. What was
// not goes on with the next request.
func (s *saving) close() (r serialize.Report, all bool) {
	all = s.ended() && s.err == nil
	s.stop()
	if !s.turns {
		<-s.done
	}
	if s.broken != nil {
		panic(s.broken)
	}
	if s.run != nil {
		r = s.run.Report()
	}
	return r, all
}
