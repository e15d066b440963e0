package morango_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/wire"
)

// listener is a transport that keeps the streams that a client pushes.
type listener struct {
	mu      sync.Mutex
	streams []*bytes.Buffer
}

// RoundTrip implements http.RoundTripper.
func (l *listener) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && strings.Contains(r.URL.Path, wire.PathStreams) {
		kept := &bytes.Buffer{}
		l.mu.Lock()
		l.streams = append(l.streams, kept)
		l.mu.Unlock()
		r = r.Clone(r.Context())
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, kept), r.Body}
	}
	return http.DefaultTransport.RoundTrip(r)
}

// heard is a stream that was pushed.
type heard struct {
	wire.StreamHeader
	end     wire.StreamEnd
	cursors []string // of frames with records
	ids     []string
}

// take reads the streams since the last time.
func (l *listener) take(t *testing.T) (all []heard) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, packed := range l.streams {
		unzip, err := wire.Decompress(packed)
		must(t, err)
		r, err := wire.NewFrameReader(unzip)
		must(t, err)
		h := heard{StreamHeader: r.Header()}
		for {
			f, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
			if f.End != nil {
				h.end = *f.End
			}
			if len(f.Records) > 0 {
				h.cursors = append(h.cursors, f.After)
			}
			for _, r := range f.Records {
				h.ids = append(h.ids, r.ID)
			}
		}
		unzip.Close()
		all = append(all, h)
	}
	l.streams = nil
	return all
}

// running makes a tablet and its hub, of which the tablet serializes so many rows at a time.
func running(t *testing.T, rows int) (hub, tablet *peer, url string, l *listener) {
	t.Helper()
	l = &listener{}
	hub, tablet, url = pair(t, nil, func(_ *morango.Profile, c *morango.Config) {
		c.SerializeRows, c.Client = rows, &http.Client{Transport: l}
	})
	tablet.sync(url)
	l.take(t)
	return hub, tablet, url, l
}

// A push with more to serialize than one transaction takes begins to send before that is done,
// each record once, and claims at the end. One with less is as any other.
func TestPushRunsAhead(t *testing.T) {
	for name, rows := range map[string]int{"in turns": 20, "beside": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub, tablet, url, l := running(t, rows)
			top := tablet.folder("top", nil)
			s, err := tablet.Sync(t.Context(), url, morango.SyncOptions{Push: true})
			must(t, err)
			if h := l.take(t); len(h) != 1 || h[0].Claim == "" || h[0].end.Claim != "" || s.Push.Records != 1 {
				t.Fatalf("a small push: %+v, %+v", h, s.Push)
			}
			items := 100
			if rows == 0 {
				items = 10_000
			}
			tablet.do(`BEGIN`)
			for i := range items {
				tablet.item(fmt.Sprint("item ", i), top, "")
			}
			tablet.do(`COMMIT`)
			s, err = tablet.Sync(t.Context(), url, morango.SyncOptions{Push: true})
			must(t, err)
			h := l.take(t)
			if len(h) != 1 || h[0].Claim != "" || h[0].end.Claim == "" || h[0].Records != -1 {
				t.Fatalf("a large push does not run ahead: %d streams, %.300v", len(h), fmt.Sprint(h))
			}
			times := map[string]int{}
			for _, id := range h[0].ids {
				times[id]++
			}
			if len(times) != items || len(h[0].ids) != items || !strings.HasPrefix(h[0].cursors[len(h[0].cursors)-1], "a") {
				t.Errorf("%d records travelled as %d, the last frame up to %s", len(times), len(h[0].ids), h[0].cursors[len(h[0].cursors)-1])
			}
			if s.Push.Records != int64(items) || !s.Push.Done {
				t.Errorf("the summary says %+v", s.Push)
			}
			same(t, hub, tablet, hub.texts()...)
			if n := len(hub.texts()); n != items+1 {
				t.Errorf("the hub has %d rows", n)
			}
			before := hub.written(t.Context())
			tablet.sync(url)
			if hub.written(t.Context()) != before {
				t.Error("what was pushed is not claimed: the next sync writes")
			}
		})
	}
}
