package verify

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/partition"
)

// Wherever a glance begins, it looks at as many records as it may, each once, and from
// the first on after the last; so all have their turn, and a small database is looked at
// whole.
func TestGlanceTakesItsTurn(t *testing.T) {
	for _, n := range []int{0, 1, glanceRecords, glanceRecords + 1, 3*glanceRecords + 7} {
		d := dbtest.New(t)
		filled(t, d, n)
		rapid.Check(t, func(r *rapid.T) {
			start := rapid.SampledFrom([]string{"0", "f", "7", "fffffff"}).Draw(r, "start")
			for len(start) < 32 {
				start += rapid.SampledFrom([]string{"0", "f", "8"}).Draw(r, "digit")
			}
			g := Glance{Profile: "p", Filter: partition.All(), Start: start, Now: time.Now}
			peer := &other{d: d, now: time.Now}
			c, err := g.Compare(t.Context(), d, peer, func(ctx context.Context, q Question, _ []Sum, _ *Kept) (Answer, error) { return peer.Ask(ctx, q) })
			if err != nil || c.Here != int64(min(n, glanceRecords)) || c.There != c.Here || c.Questions != 1 || !c.Clean() || c.Stopped {
				r.Fatalf("of %d from %s: %+v, %v", n, start, c, err)
			}
		})
	}
}

// A glance at peers that differ in everything asks no more than it may.
func TestGlanceEnds(t *testing.T) {
	us, them := dbtest.New(t), dbtest.New(t)
	filled(t, us, 3*glanceRecords)
	filled(t, them, 3*glanceRecords)
	if err := them.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE morango_store SET serialized = '{}'`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	peer := &other{d: them, now: time.Now}
	g := Glance{Profile: "p", Filter: partition.All(), Start: saver, Now: time.Now}
	c, err := g.Compare(t.Context(), us, peer, func(ctx context.Context, q Question, _ []Sum, _ *Kept) (Answer, error) { return peer.Ask(ctx, q) })
	if err != nil || c.Clean() || c.Damaged == 0 || c.Questions > glanceQuestions || len(c.Differences) != DefaultExamples {
		t.Errorf("%+v, %v", c, err)
	}
}
