package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/server"
)

// mostTrips is how many round trips a transfer may take beyond what its bytes need.
const mostTrips = 6

// On a slow line the bytes of a transfer need what they take to pass, one after the other,
// and a stream that lasts longer than its time needs a round trip to be asked for again. All
// else is what the protocol costs. Nobody waits: the connection counts, and the clock
// of both peers shows when it would have been.
func TestSlowLines(t *testing.T) {
	const rows = 10_000
	w := newTestWorld(t, rows)
	for name, l := range map[string]slowLine{
		"delay":  {delay: oneWay},
		"narrow": {rate: megabit},
		"thin":   {delay: oneWay, rate: megabit / 64},
	} {
		t.Run(name, func(t *testing.T) {
			for _, push := range []bool{true, false} {
				from, to, want := hubEmpty, clientFull, morango.SyncOptions{Push: true}
				if !push {
					from, to, want = hubFull, clientEmpty, morango.SyncOptions{Pull: true}
				}
				summary, line := l.sync(t, w, from, to, want)
				if n := summary.Pull.Records + summary.Push.Records; n != rows {
					t.Errorf("%d records went over", n)
				}
				bytes := line.sent.Load() + line.received.Load()
				need := l.passing(bytes)
				again := int64(need / streamTime)
				t.Logf("push %v: %d bytes, which need %v; %d round trips, %v in all", push, bytes, need, line.turns.Load(), l.spent(line))
				if line.turns.Load() > mostTrips+again {
					t.Errorf("push %v: %d round trips, of which its bytes need %d", push, line.turns.Load(), again)
				}
			}
		})
	}
}

// streamTime is after how long a stream has to be asked for again.
const streamTime = 20 * time.Second

// slowLine is a line as it is said to be.
type slowLine struct {
	delay time.Duration // one way
	rate  int64         // bytes a second; 0 is without bound
}

// passing is how long bytes take to pass.
func (l slowLine) passing(bytes int64) time.Duration {
	if l.rate == 0 {
		return 0
	}
	return time.Duration(bytes) * time.Second / time.Duration(l.rate)
}

// spent is how long all that a connection has carried would have taken.
func (l slowLine) spent(line *link) time.Duration {
	return time.Duration(line.turns.Load())*2*l.delay + l.passing(line.sent.Load()+line.received.Load())
}

// sync syncs copies of two databases over the line.
func (l slowLine) sync(t *testing.T, w *world, hub, client string, o morango.SyncOptions) (morango.Summary, *link) {
	t.Helper()
	line, began := newLink(0, 0), time.Now()
	clock := func() time.Time { return began.Add(l.spent(line)) }
	open := func(name string) *morango.Node {
		target, err := w.get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		node, err := morango.Open(t.Context(), target, w.profile, morango.Config{Client: line.client(false), Now: clock, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := errors.Join(node.Close(), w.drop(context.WithoutCancel(t.Context()), target)); err != nil {
				t.Error(err)
			}
		})
		return node
	}
	tablet := open(client)
	// The server answers when it is done, however slow this machine is: it is asked once.
	handler, err := open(hub).Handler(morango.ServerOptions{Users: anyone{}, Limits: server.Limits{Wait: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	summary, err := tablet.Sync(t.Context(), s.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	return summary, line
}

// newTestWorld makes notes.
func newTestWorld(t *testing.T, rows int) *world {
	t.Helper()
	p, err := newPlaces(t.Context(), "sqlite", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(p, filepath.Join("..", ".."), true, rows)
	if err != nil {
		t.Fatal(err)
	}
	// Before the hub is copied: what it tells them its copies must know.
	for _, name := range []string{clientFull, hubFull} {
		if _, err := w.template(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	return w
}
