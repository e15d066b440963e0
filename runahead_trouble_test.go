package morango_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/wire"
)

// fill adds items in one transaction.
func (p *peer) fill(folder, kind string, items int) {
	p.t.Helper()
	tx, err := p.app.BeginTx(p.t.Context(), nil)
	must(p.t, err)
	for i := range items {
		id := p.id("item", map[string]string{"world": p.world})
		_, err := tx.Exec(`INSERT INTO item (id, _morango_source_id, _morango_partition, world, folder_id, owner, text) VALUES (?, ?, ?, ?, ?, NULL, ?)`,
			id.ID, id.SourceID, id.Partition, p.world, folder, fmt.Sprintf("%s %05d", kind, i))
		must(p.t, err)
	}
	must(p.t, tx.Commit())
}

// claimed is how much a peer claims of another's instance.
func (p *peer) claimed(of *peer) (n int64) {
	p.t.Helper()
	own, err := of.Identity(p.t.Context())
	must(p.t, err)
	must(p.t, p.app.QueryRow(`SELECT COALESCE(MAX(counter), 0) FROM morango_databasemaxcounter WHERE instance_id = ?`, own.InstanceID).Scan(&n))
	return n
}

// When serialize fails in the middle of a push that runs ahead, the push fails for that
// reason, what was serialized has arrived, nothing is claimed, and the next push does the rest.
func TestRunningAheadFails(t *testing.T) {
	for name, rows := range map[string]int{"in turns": 20, "beside": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub, tablet, url, l := running(t, rows)
			top := tablet.folder("top", nil)
			tablet.sync(url)
			items := 300
			if rows == 0 {
				items = 10_000
			}
			tablet.fill(top, "item", items)
			tablet.do(fmt.Sprintf(`CREATE TRIGGER broken BEFORE INSERT ON morango_store WHEN (SELECT COUNT(*) FROM morango_store) > %d BEGIN SELECT RAISE(ABORT, 'a broken disk'); END`, items*3/4))
			before := hub.claimed(tablet)
			goroutines := runtime.NumGoroutine()
			_, err := tablet.Push(t.Context(), url, morango.SyncOptions{Retries: -1})
			if err == nil || !strings.Contains(err.Error(), "a broken disk") {
				t.Fatalf("the push failed with: %v", err)
			}
			if n := hub.claimed(tablet); n != before {
				t.Errorf("the hub claims %d after %d", n, before)
			}
			if status, err := tablet.Status(t.Context()); err != nil || !strings.Contains(fmt.Sprint(status), "a broken disk") {
				t.Errorf("%v: nothing is said of the failure: %+v", err, status)
			}
			tablet.do(`DROP TRIGGER broken`)
			settles(t, goroutines)
			l.forget()
			_, err = tablet.Push(t.Context(), url, morango.SyncOptions{})
			must(t, err)
			tablet.sync(url)
			same(t, hub, tablet, tablet.texts()...)
			if hub.claimed(tablet) <= before {
				t.Error("the hub still claims no more")
			}
		})
	}
}

// settles fails the test unless there are no more goroutines than there were, but for connections.
func settles(t *testing.T, before int) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for range 1_000_000 {
		text := string(stacks[:runtime.Stack(stacks, true)])
		if !strings.Contains(text, "engine.(*Engine).beginSaving") && !strings.Contains(text, "engine.(*outgoing)") {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("after %d goroutines there are\n%s", before, stacks)
}

// forget forgets the streams so far.
func (l *listener) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams = nil
}

// tap calls what it is given with each part of a pushed stream that leaves.
type tap struct {
	each func(parts int, path string)
	n    atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (p *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && strings.Contains(r.URL.Path, wire.PathStreams) {
		r = r.Clone(r.Context())
		r.Body = struct {
			io.Reader
			io.Closer
		}{tapped{r.Body, func() { p.each(int(p.n.Add(1)), r.URL.Path) }}, r.Body}
	}
	return http.DefaultTransport.RoundTrip(r)
}

type tapped struct {
	io.Reader
	each func()
}

// Read implements io.Reader.
func (t tapped) Read(b []byte) (int, error) {
	n, err := t.Reader.Read(b)
	t.each()
	return n, err
}

// disturbed makes a hub, a tablet that serializes so few rows at a time, and something that happens
// with each part of a stream that it pushes.
func disturbed(t *testing.T, rows int, each func(tablet *peer, part int, top string)) (hub, tablet *peer, url, top string) {
	t.Helper()
	p := &tap{each: func(int, string) {}}
	hub, tablet, url = pair(t, nil, func(_ *morango.Profile, c *morango.Config) {
		c.SerializeRows, c.Client, c.Wait = rows, &http.Client{Transport: p}, noWait
	})
	top = tablet.folder("top", nil)
	tablet.sync(url)
	p.n.Store(0)
	p.each = func(part int, _ string) { each(tablet, part, top) }
	return hub, tablet, url, top
}

// An application that edits and deletes what has left already, and what has not, and another process that
// serializes that at once, do not disturb a push that runs ahead.
func TestRunningAheadAmongOthers(t *testing.T) {
	for name, rows := range map[string]int{"in turns": 50, "beside": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var quiet atomic.Bool
			hub, tablet, url, top := disturbed(t, rows, func(tablet *peer, part int, top string) {
				if quiet.Load() {
					return
				}
				if part%3 == 0 && part < 60 {
					tablet.do(`UPDATE item SET text = text || '+' WHERE text LIKE ?`, fmt.Sprintf("item %%%d", part%10))
					tablet.do(`DELETE FROM item WHERE text LIKE ?`, fmt.Sprintf("item %%%02d", part))
					tablet.fill(top, fmt.Sprint("part ", part), 20)
				}
				if part%5 == 0 && part < 60 {
					_, err := tablet.Serialize(context.Background(), morango.Filter{})
					must(tablet.t, err)
				}
			})
			items := 1000
			if rows == 0 {
				items = 8000
			}
			tablet.fill(top, "item", items)
			_, err := tablet.Push(t.Context(), url, morango.SyncOptions{})
			must(t, err)
			quiet.Store(true)
			tablet.sync(url)
			same(t, hub, tablet, tablet.texts()...)
		})
	}
}

// A push that runs ahead and is given up goes on where it stood, however often.
func TestRunningAheadIsGivenUp(t *testing.T) {
	for name, rows := range map[string]int{"in turns": 40, "beside": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var cancel atomic.Pointer[context.CancelFunc]
			var at atomic.Int64
			hub, tablet, url, top := disturbed(t, rows, func(_ *peer, part int, _ string) {
				if c := cancel.Load(); c != nil && int64(part) == at.Load() {
					(*c)()
				}
			})
			items := 600
			if rows == 0 {
				items = 10_000
			}
			tablet.fill(top, "item", items)
			before := runtime.NumGoroutine()
			for part := int64(1); part < 60; part += 1 + part/2 {
				ctx, stop := context.WithCancel(t.Context())
				cancel.Store(&stop)
				at.Add(part)
				_, err := tablet.Push(ctx, url, morango.SyncOptions{})
				stop()
				if err == nil {
					break
				}
				settles(t, before)
			}
			cancel.Store(nil)
			s, err := tablet.Push(t.Context(), url, morango.SyncOptions{})
			must(t, err)
			if !s.Push.Done {
				t.Errorf("%+v", s)
			}
			same(t, hub, tablet, tablet.texts()...)
			if n := len(hub.texts()); n != items+1 {
				t.Errorf("the hub has %d rows", n)
			}
		})
	}
}

// A database that gets a new id in the middle of a push that runs ahead, and so saves as another
// instance, loses nothing.
func TestRunningAheadAsAnother(t *testing.T) {
	hub, tablet, url, top := disturbed(t, 40, func(tablet *peer, part int, _ string) {
		if part == 3 {
			_, err := tablet.RenewIdentity(context.Background())
			must(tablet.t, err)
		}
	})
	tablet.fill(top, "item", 600)
	_, err := tablet.Push(t.Context(), url, morango.SyncOptions{})
	must(t, err)
	tablet.sync(url)
	same(t, hub, tablet, tablet.texts()...)
}

// What cannot be serialized, and what cannot be sent, of a push that runs ahead is told on both
// sides, all else arrives, and of what lacks nothing is claimed.
func TestRunningAheadLeavesOut(t *testing.T) {
	hub, tablet, url, l := running(t, 20)
	top := tablet.folder("top", nil)
	tablet.sync(url)
	l.forget()
	tablet.fill(top, "item", 200)
	var wrong, bad string
	must(t, tablet.app.QueryRow(`SELECT id FROM item WHERE text = 'item 00030'`).Scan(&wrong))
	must(t, tablet.app.QueryRow(`SELECT id FROM item WHERE text = 'item 00050'`).Scan(&bad))
	tablet.do(`UPDATE item SET _morango_source_id = 'another' WHERE id = ?`, wrong)
	tablet.do(`CREATE TRIGGER bad AFTER INSERT ON morango_store WHEN NEW.id = '` + bad + `' BEGIN
		UPDATE morango_store SET source_id = 'another' WHERE id = NEW.id; END`)
	s, err := tablet.Push(t.Context(), url, morango.SyncOptions{})
	must(t, err)
	if h := l.take(t); len(h) != 1 || h[0].Claim != "" {
		t.Fatal("the push does not run ahead")
	}
	if s.Push.Records != 198 || s.Push.Unsent.Total != 2 || s.Push.LeftOutTotal != 1 || s.Push.LeftOut[0].ID != wrong || s.Failing() != 2 {
		t.Errorf("%+v", s.Push)
	}
	for _, id := range []string{wrong, bad} {
		hub.knowsOfOmission(id)
		tablet.knowsOfOmission(id)
	}
	hub.claimsLess(tablet, bad)
	if n := len(hub.texts()); n != 199 {
		t.Errorf("the hub has %d rows", n)
	}
}
