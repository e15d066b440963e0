package morango_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/wire"
)

// trip is a transport that notes the requests of a client.
type trip struct {
	mu   sync.Mutex
	made []string
}

// RoundTrip implements http.RoundTripper.
func (t *trip) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	path := strings.TrimPrefix(r.URL.Path, strings.TrimSuffix(wire.Base, "/"))
	t.made = append(t.made, r.Method+" "+strings.Split(path, "/")[1])
	t.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

func (t *trip) take() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	made := t.made
	t.made = nil
	return made
}

// A sync both ways costs seven requests, of which two carry all records, however many
// there are; without anything to do it costs no stream from the server.
func TestRequestsOfASync(t *testing.T) {
	counted := &trip{}
	hub, tablet, url := pair(t, nil, func(_ *morango.Profile, c *morango.Config) { c.Client = &http.Client{Transport: counted} })
	tablet.sync(url)
	top := hub.folder("top", nil)
	for i := range 1200 {
		hub.item(fmt.Sprint("hub ", i), top, "")
	}
	counted.take()
	want := []string{"GET morangoinfo", "POST syncsessions", "POST transfersessions", "GET streams",
		"POST transfersessions", "POST streams", "POST digests"}
	sync := func() morango.Summary {
		t.Helper()
		s, err := tablet.Sync(t.Context(), url, morango.SyncOptions{})
		must(t, err)
		return s
	}
	if s := sync(); s.Pull.Records != 1201 {
		t.Errorf("%d records pulled", s.Pull.Records)
	}
	if got := counted.take(); !slices.Equal(got, want) {
		t.Errorf("a pull costs\n%q\ninstead of\n%q", got, want)
	}
	for i := range 1200 {
		tablet.item(fmt.Sprint("tablet ", i), top, "")
	}
	if s := sync(); s.Push.Records != 1200 {
		t.Errorf("%d records pushed", s.Push.Records)
	}
	nothing := slices.Delete(slices.Clone(want), 3, 4)
	if got := counted.take(); !slices.Equal(got, nothing) {
		t.Errorf("a push costs\n%q\ninstead of\n%q", got, nothing)
	}
	sync()
	if got := counted.take(); !slices.Equal(got, nothing) {
		t.Errorf("nothing to do costs\n%q\ninstead of\n%q", got, nothing)
	}
	same(t, hub, tablet, hub.texts()...)
}

// cutter serves a peer and breaks streams off after some bytes, each time after more.
func cutter(t *testing.T, p *peer, r *rand.Rand) (address string, cuts func() int) {
	t.Helper()
	handler, err := p.Handler(server.Config{Limits: server.Limits{Chunk: 40}})
	must(t, err)
	direct := httptest.NewServer(handler)
	t.Cleanup(direct.Close)
	target, err := url.Parse(direct.URL)
	must(t, err)
	var mu sync.Mutex
	n, left := 0, 400
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		mu.Lock()
		limit := int64(1 << 40)
		if strings.Contains(in.URL.Path, "streams") && n < 12 {
			n++
			limit = int64(left + r.IntN(3000))
			left += 2500
		}
		mu.Unlock()
		out := in.Clone(in.Context())
		out.URL.Scheme, out.URL.Host, out.RequestURI = target.Scheme, target.Host, ""
		if in.Method == http.MethodPost && limit < 1<<40 { // what comes after the limit never arrives
			out.Body = io.NopCloser(io.MultiReader(io.LimitReader(in.Body, limit), broken{}))
		}
		answer, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer answer.Body.Close()
		for name, values := range answer.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.StatusCode)
		sent, _ := io.CopyN(w, answer.Body, limit)
		if in.Method == http.MethodGet && sent == limit {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL, func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// broken is a body that breaks off.
type broken struct{}

// Read implements io.Reader.
func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A stream that breaks off again and again goes on where it stands, both ways, and records
// that have come do not come again.
func TestStreamsGoOn(t *testing.T) {
	for name, push := range map[string]bool{"push": true, "pull": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 1))
			hub, tablet, direct := pair(t, nil, func(_ *morango.Profile, c *morango.Config) { c.Wait = noWait })
			top := hub.folder("top", nil)
			tablet.sync(direct)
			from := hub
			if push {
				from = tablet
			}
			const items = 900
			for i := range items {
				from.item(fmt.Sprintf("%d %x", i, r.Uint64()), top, "")
			}
			url, cuts := cutter(t, hub, r)
			s, err := tablet.Sync(t.Context(), url, morango.SyncOptions{Pull: !push, Push: push, ChunkSize: 400, Retries: 20})
			must(t, err)
			done := s.Pull
			if push {
				done = s.Push
			}
			if cuts() < 3 || done.Records != items {
				t.Errorf("%d records after %d cuts", done.Records, cuts())
			}
			tablet.sync(direct)
			same(t, hub, tablet, hub.texts()...)
		})
	}
}

// noWait lets no time pass.
func noWait(ctx context.Context, _ time.Duration) error { return ctx.Err() }
