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

// A peer that has many times more, because others push to it, costs one question after a
// push, and two more at most where it changed what we have; and what it lost of ours is
// found, and what it changed under its version.
func TestGlanceAmongMuchElse(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, them *db.DB) {
		us := dbtest.New(t)
		claimed(t, us, glanceRecords, 3)
		claimed(t, them, 4*glanceRecords, 3)
		const another = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
		savedBy := func(instance string, from, to int) {
			run(t, them, func(tx *db.Tx) (err error) {
				for i := from; i < to && err == nil; i++ {
					_, err = tx.Exec(t.Context(), `UPDATE morango_store SET last_saved_instance = $1 WHERE id = $2`, instance, recordID(i))
				}
				return err
			})
		}
		savedBy(another, glanceRecords, 4*glanceRecords)
		look := func() (Comparison, *other) {
			start := time.Now()
			still := func() time.Time { return start }
			peer := &other{d: them, now: still}
			g := Glance{Profile: "p", Filter: partition.Of("part:"), Start: saver, Peer: saver, Now: still, Unpulled: true}
			c, err := g.Compare(t.Context(), us, peer, func(ctx context.Context, q Question, _ []Sum, _ *Kept) (Answer, error) {
				q.Parts = nil // of partitions that others push to, too, the digests differ
				return peer.Ask(ctx, q)
			})
			if err != nil {
				t.Fatal(err)
			}
			return *c, peer
		}
		if c, peer := look(); !c.Clean() || c.Questions != 1 || c.Explained > 0 || c.Here != glanceRecords || c.There != c.Here {
			t.Errorf("more elsewhere: %+v, %d told", c, peer.said)
		}
		savedBy(another, 0, glanceRecords/2)
		if c, peer := look(); !c.Clean() || c.Questions > 3 || c.Explained == 0 || peer.said > 2*splitParts+briefLists*listRecords {
			t.Errorf("changed elsewhere: %+v, %d told", c, peer.said)
		}
		savedBy(saver, 0, glanceRecords/2)
		execute(t, them, `DELETE FROM morango_store WHERE id = $1`, recordID(3))
		execute(t, them, `UPDATE morango_store SET serialized = '[]' WHERE id = $1`, recordID(5))
		if c, _ := look(); c.Lost != 1 || c.Damaged != 1 || c.Questions > 3 {
			t.Errorf("lost and damaged: %+v", c)
		}
	})
}

// What the application saves while a peer is asked is not taken for lost, whatever else is
// looked at again.
func TestGlanceBesideTheApplication(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, us *db.DB) {
		them := dbtest.New(t)
		claimed(t, us, 99, 3)
		claimed(t, them, 99, 3)
		const own = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
		const save = `UPDATE morango_store SET last_saved_instance = $1, last_saved_counter = 9, serialized = '[]'`
		execute(t, us, save+` WHERE id = $2`, own, recordID(1))
		peer := &other{d: them, now: time.Now}
		ask := asking(func(q Question) Answer {
			a, err := peer.Ask(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(q.Lists) > 0 {
				execute(t, us, save, own)
			}
			return a
		})
		g := Glance{Profile: "p", Filter: partition.Of("part:"), Start: Everything().First, Peer: saver, Now: time.Now, Unpushed: true}
		c, err := g.Compare(t.Context(), us, ask, func(ctx context.Context, q Question, _ []Sum, _ *Kept) (Answer, error) { return ask.Ask(ctx, q) })
		if err != nil || !c.Clean() || c.Explained == 0 {
			t.Errorf("%+v, %v", c, err)
		}
	})
}
