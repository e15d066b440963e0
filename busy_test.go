package morango_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/client"
)

// A peer that is busy, at first or in the midst of a sync, is asked again when it said,
// as often as other trouble; then the sync fails and says why.
func TestBusyPeer(t *testing.T) {
	for name, one := range map[string]struct {
		from, to int64 // the requests that are refused
		pauses   int
	}{"at first": {1, 2, 2}, "later": {3, 3, 1}, "for ever": {1, 1 << 40, 6}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pauses []time.Duration
			hub, tablet, direct := pair(t, nil, func(_ *morango.Profile, c *morango.Config) {
				c.Wait = func(ctx context.Context, d time.Duration) error {
					pauses = append(pauses, d)
					return ctx.Err()
				}
			})
			tablet.folder("one", nil)
			at, err := url.Parse(direct)
			must(t, err)
			var n atomic.Int64
			through := httputil.NewSingleHostReverseProxy(at)
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if i := n.Add(1); i >= one.from && i <= one.to {
					w.Header().Set("Retry-After", "40")
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				through.ServeHTTP(w, r)
			}))
			t.Cleanup(proxy.Close)
			_, err = tablet.Sync(t.Context(), proxy.URL, morango.SyncOptions{})
			if wantErr := name == "for ever"; errors.Is(err, client.ErrBusy) != wantErr || (err != nil) != wantErr {
				t.Fatalf("the sync ended with %v", err)
			}
			if len(pauses) != one.pauses {
				t.Errorf("it waited %v", pauses)
			}
			for _, d := range pauses {
				if d < 40*time.Second || d > 70*time.Second {
					t.Errorf("it waited %v where 40 seconds were asked for", d)
				}
			}
			if err == nil {
				same(t, hub, tablet, tablet.texts()...)
			}
		})
	}
}
