package dequeue_test

import (
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/stage/dequeue"
)

// Done in parts, and ended in the midst of any of them and run again, dequeue comes to the
// same end as all at once, but that each part has a counter value of its own.
func TestPartsComeToTheSameEnd(t *testing.T) {
	dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		env.Now = func() time.Time { // each part has no time but for one page
			now = now.Add(time.Minute)
			return now
		}
		ended := 0
		rapid.Check(t, func(r *rapid.T) {
			store, arrived := drawCase(r)
			load(t, d, store, arrived)
			want := clone(store)
			report, _ := spec(want, arrived, nil, session, counter.Version{Instance: tables.Instance(), Counter: 8}, drawRule(t, r, &env))
			page := rapid.IntRange(1, 2).Draw(r, "page")
			ctx := &expiring{Context: t.Context()}
			ctx.left.Store(rapid.Int64Range(0, 400).Draw(r, "ends"))
			got, err := dequeue.RunInParts(ctx, env, job, page)
			if err != nil {
				ended++
				if half := dump(t, d); len(half.claims()) > 0 && len(half.Buffer) > 0 {
					r.Errorf("claimed before all parts were done: %v", half.claims())
				}
				_, err = dequeue.RunInParts(t.Context(), env, job, page)
			} else if diff := cmp.Diff(report, got); diff != "" {
				r.Errorf("report (-want +got): %s", diff)
			}
			if err != nil {
				r.Fatal(err)
			}
			after := dump(t, d)
			if diff := cmp.Diff(want, oneStamp(after.store())); diff != "" {
				r.Errorf("store (-want +got): %s", diff)
			}
			if len(after.Buffer)+len(after.RMCB) > 0 {
				r.Errorf("left in the buffer: %v %v", after.Buffer, after.RMCB)
			}
		})
		if ended == 0 {
			t.Error("no run was ended")
		}
	})
}

// oneStamp gives all that was merged the counter of the first part.
func oneStamp(store map[string]stored) map[string]stored {
	own := tables.Instance()
	for id, s := range store {
		if s.Version.Instance == own {
			s.Version.Counter = min(s.Version.Counter, 8)
		}
		if n, ok := s.History[own]; ok {
			s.History = maps.Clone(s.History)
			s.History[own] = min(n, 8)
		}
		store[id] = s
	}
	return store
}
