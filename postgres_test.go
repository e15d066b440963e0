package morango_test

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/wire"
)

// Two servers on one PostgreSQL database take what sixteen clients push at once, some
// with the parts that older peers lack: all of it arrives, and nobody is turned away.
func TestTwoServersOnOneDatabase(t *testing.T) {
	const clients, items = 16, 12
	target := dbtest.PostgresURL(t)
	var urls []string
	var hubs []*peer
	for i := range 2 {
		hub := &peer{t: t, profile: testProfile(t)}
		var err error
		hub.Node, err = morango.Open(t.Context(), target, hub.profile, morango.Config{Create: i == 0, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		t.Cleanup(func() { must(t, hub.Close()) })
		hubs = append(hubs, hub)
	}
	root, err := hubs[0].CreateRoot(t.Context(), "world", nil)
	must(t, err)
	older := []wire.Capability{wire.MoranGo, wire.AsyncOperations}
	for _, hub := range hubs {
		urls = append(urls, hub.serve(), hub.serve(older...))
	}
	var ready []*peer
	for i := range clients {
		p := newPeer(t, fmt.Sprint("client", i))
		p.join(urls[i%len(urls)], "", nil, root.ID)
		top := p.folder(fmt.Sprint("folder of ", i), nil)
		for j := range items {
			p.item(fmt.Sprintf("item %d of %d", j, i), top, "")
		}
		ready = append(ready, p)
	}
	var all sync.WaitGroup
	for i, p := range ready {
		all.Go(func() {
			s, err := p.Sync(t.Context(), urls[i%len(urls)], morango.SyncOptions{ChunkSize: 5})
			// Half of what another is pushing may come with the pull. Its folder is still to
			// come, and the server claims none of it yet, so it is sent back.
			if n := s.Push.Records - (items + 1); err != nil || !s.Push.Done || n < 0 || n > s.Pull.Records {
				t.Errorf("client %d: %+v, %v", i, s, err)
			}
			others := func(p morango.Problem) bool { return p.Kind != morango.Missing }
			if s.Failing() != s.Pull.Errors || slices.ContainsFunc(s.Problems, others) {
				t.Errorf("client %d: %+v", i, s)
			}
		})
	}
	all.Wait()
	want, err := hubs[1].Digest(t.Context())
	must(t, err)
	for i, p := range ready[:2*len(urls)] { // each sees by the other server what all have pushed
		s, err := p.Sync(t.Context(), urls[(i+2)%len(urls)], morango.SyncOptions{})
		if err != nil || s.Failing() != 0 || s.Push.Records != 0 {
			t.Errorf("client %d came back: %+v, %v", i, s, err)
		}
		if n := len(p.texts()); n != clients*(items+1) {
			t.Errorf("client %d has %d rows, want %d", i, n, clients*(items+1))
		}
		if got, err := p.Digest(t.Context()); err != nil || got != want {
			t.Errorf("client %d has the digest %s (%v), the servers %s", i, got, err, want)
		}
	}
}
