package verify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store"
)

// claimed is a database with n records in some partitions, all of which are claimed.
func claimed(t *testing.T, d *db.DB, n, partitions int) {
	t.Helper()
	filled(t, d, n)
	run(t, d, func(tx *db.Tx) error {
		var places []string
		for i := range partitions {
			places = append(places, fmt.Sprintf("part:%d", i))
		}
		for i := range n { // filled knows three partitions
			if place := places[i%partitions]; partitions > 3 {
				if _, err := tx.Exec(t.Context(), `UPDATE morango_store SET partition = $1 WHERE id = $2`, place, recordID(i)); err != nil {
					return err
				}
			}
		}
		if _, err := tx.Exec(t.Context(), `INSERT INTO morango_databasemaxcounter (instance_id, partition, counter) VALUES ($1, '', 1)`, saver); err != nil {
			return err
		}
		return store.Touch(t.Context(), tx, places)
	})
}

func recordID(i int) string { return content([]string{fmt.Sprint(i)}) }

func run(t *testing.T, d *db.DB, f func(*db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func execute(t *testing.T, d *db.DB, query string, args ...any) {
	t.Helper()
	run(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), query, args...)
		return err
	})
}

// glanceFrom compares as after a sync, beginning with the records that follow an id. Its
// clock stands still, so that a busy machine sums up as many partitions as an idle one.
func glanceFrom(t *testing.T, us, them *db.DB, id string) Comparison {
	t.Helper()
	start := time.Now()
	still := func() time.Time { return start }
	peer := &other{d: them, now: still}
	g := Glance{Profile: "p", Filter: partition.Of("part:"), Start: numberOf(id).plus(number{lo: 1}).id(), Peer: saver, Now: still}
	c, err := g.Compare(t.Context(), us, peer, func(ctx context.Context, q Question, _ []Sum, _ *Kept) (Answer, error) { return peer.Ask(ctx, q) })
	if err != nil {
		t.Fatal(err)
	}
	return *c
}

// victim is a record whose id lets explained differences be remembered.
func victim(t *testing.T, n int) (id, place string) {
	t.Helper()
	for {
		if i := rand.N(n); recordID(i) > "3" {
			return recordID(i), fmt.Sprintf("part:%d", i%3)
		}
	}
}

// What is lost or changed by hand and lies beyond the records that are looked at is found
// by the digests of the partitions, with the record's name; but not while a digest is kept
// that says it were there, and not where none are kept.
func TestKeptDigestsFindWhatTheGlanceMisses(t *testing.T) {
	const n = 5 * glanceRecords
	for damage, query := range map[string]string{
		"lost": `DELETE FROM morango_store WHERE id = $1`, "changed": `UPDATE morango_store SET serialized = '{"n": 2}' WHERE id = $1`,
	} {
		dbtest.Each(t, func(t *testing.T, them *db.DB) {
			us := dbtest.New(t)
			claimed(t, us, n, 3)
			claimed(t, them, n, 3)
			lean := keeps(t, them)
			id, place := victim(t, n)
			if c := glanceFrom(t, us, them, id); !c.Clean() || c.Explained > 0 || c.Questions != 1 {
				t.Fatalf("equal: %+v", c)
			}
			execute(t, them, query, id)
			if c := glanceFrom(t, us, them, id); !c.Clean() || c.Questions != 1 {
				t.Errorf("%s, with the digest kept: %+v", damage, c)
			}
			if lean {
				execute(t, them, `UPDATE morango_digest SET records = NULL WHERE partition = $1`, place)
			}
			c := glanceFrom(t, us, them, id)
			if !lean {
				if !c.Clean() || c.Questions != 1 {
					t.Errorf("%s, without kept digests: %+v", damage, c)
				}
				return
			}
			if c.Clean() || c.Lost+c.Damaged != 1 || c.Differences[0].ID != id || c.Questions > 8 {
				t.Errorf("%s: %+v", damage, c)
			}
			again := glanceFrom(t, us, them, id) // what is wrong is not remembered as explained
			if again.Lost+again.Damaged != 1 {
				t.Errorf("%s, the second time: %+v", damage, again)
			}
		})
	}
}

func keeps(t *testing.T, d *db.DB) (kept bool) {
	t.Helper()
	run(t, d, func(tx *db.Tx) (err error) {
		kept, err = store.KeepsDigests(t.Context(), tx)
		return err
	})
	return kept
}

// What is merely not synced yet is no alarm, and is not looked at closely: one question
// more tells that the peer is ahead.
func TestKeptDigestsWaitForWhatIsAhead(t *testing.T) {
	us, them := dbtest.New(t), dbtest.Postgres(t)
	const n = 3 * glanceRecords
	claimed(t, us, n, 3)
	claimed(t, them, n, 3)
	id, place := victim(t, n)
	execute(t, them, `UPDATE morango_store SET last_saved_counter = 2, serialized = '{}' WHERE id = $1`, id)
	execute(t, them, `UPDATE morango_digest SET records = NULL WHERE partition = $1`, place)
	if c := glanceFrom(t, us, them, id); !c.Clean() || c.Explained != 1 || c.Questions != 3 {
		t.Errorf("at first, when what was summed up just now is looked at: %+v", c)
	}
	for range 2 {
		if c := glanceFrom(t, us, them, id); !c.Clean() || c.Explained != 0 || c.Questions != 2 {
			t.Errorf("then: %+v", c)
		}
	}
	// What is lost besides is found among the records that are looked at, whoever is ahead.
	execute(t, them, `DELETE FROM morango_store WHERE id = $1`, recordID(1))
	if c := glanceFrom(t, us, them, before(recordID(1))); c.Lost != 1 || c.Differences[0].ID != recordID(1) {
		t.Errorf("lost: %+v", c)
	}
}

// A difference that nothing needs to end, here one content saved as two versions, is
// looked at closely once only.
func TestKeptDigestsRememberWhatIsExplained(t *testing.T) {
	us, them := dbtest.New(t), dbtest.Postgres(t)
	const n = 3 * glanceRecords
	claimed(t, us, n, 3)
	claimed(t, them, n, 3)
	id, place := victim(t, n)
	const another = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	execute(t, us, `INSERT INTO morango_databasemaxcounter (instance_id, partition, counter) VALUES ($1, '', 1)`, another)
	execute(t, them, `UPDATE morango_store SET last_saved_instance = $2 WHERE id = $1`, id, another)
	execute(t, them, `UPDATE morango_digest SET records = NULL WHERE partition = $1`, place)
	for range 2 { // at first only what was summed up just now is looked at
		if c := glanceFrom(t, us, them, id); !c.Clean() || c.Explained != 1 || c.Questions > 8 {
			t.Errorf("first: %+v", c)
		}
	}
	if c := glanceFrom(t, us, them, id); !c.Clean() || c.Explained != 0 || c.Questions != 1 {
		t.Errorf("then: %+v", c)
	}
	execute(t, us, `DELETE FROM morango_store WHERE id = $1`, recordID(1))
	execute(t, us, `UPDATE morango_digest SET records = NULL WHERE partition = 'part:1'`)
	if c := glanceFrom(t, us, them, id); c.Clean() {
		t.Errorf("something else is lost since: %+v", c)
	}
}

// Among thousands of partitions the one that differs is found in few questions, also one
// that only the peer has.
func TestKeptDigestsDescend(t *testing.T) {
	us, them := dbtest.New(t), dbtest.New(t)
	const n = 3_000
	claimed(t, us, n, n)
	claimed(t, them, n, n)
	for range 4 { // a part each time
		if c := glanceFrom(t, us, them, saver); !c.Clean() || c.Questions != 1 {
			t.Fatalf("equal: %+v", c)
		}
	}
	for name, d := range map[string]*db.DB{"there": them, "here": us} {
		i := 17
		if name == "here" {
			i = 2_222
		}
		id := recordID(i)
		execute(t, d, `DELETE FROM morango_store WHERE id = $1`, id)
		execute(t, d, `UPDATE morango_digest SET records = NULL WHERE partition = $1`, fmt.Sprintf("part:%d", i))
		found := false
		c := glanceFrom(t, us, them, id)
		for _, difference := range c.Differences {
			found = found || difference.ID == id
		}
		if !found || c.Questions > glanceQuestions {
			t.Errorf("lost %s: %+v", name, c)
		}
	}
}

// A digest that is kept is that of the records; a large partition has none; and where
// nothing has changed nothing is written.
func TestKeepIsBounded(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		if !keeps(t, d) {
			if fresh, err := Keep(t.Context(), d, partition.All(), nil, time.Now); err != nil || len(fresh) > 0 {
				t.Errorf("kept %v, %v", fresh, err)
			}
			return
		}
		filled(t, d, 3*keptRecords/2+6)
		execute(t, d, `UPDATE morango_store SET partition = 'large' WHERE partition <> 'part:2'`)
		run(t, d, func(tx *db.Tx) error { return store.Touch(t.Context(), tx, []string{"large", "part:2", "gone"}) })
		fixed := time.Now()
		fresh, err := Keep(t.Context(), d, partition.All(), []string{"part:2", "elsewhere"}, func() time.Time { return fixed })
		if err != nil || len(fresh) != 1 || fresh[0].Partition != "part:2" || fresh[0].Records != keptRecords/2+2 {
			t.Fatalf("kept %v, %v", fresh, err)
		}
		kept, rows := Kept{}, 0
		run(t, d, func(tx *db.Tx) error {
			k, err := keptOf(t.Context(), tx, partition.All())
			if err == nil {
				kept = *k
				err = tx.QueryRow(t.Context(), `SELECT COUNT(*) FROM morango_digest`).Scan(&rows)
			}
			return err
		})
		if !kept.Complete || kept.Partitions != 1 || kept.Digest != fresh[0].Digest || rows != 2 {
			t.Errorf("%+v in %d rows, want %+v", kept, rows, fresh)
		}
		if again, err := Keep(t.Context(), d, partition.All(), nil, time.Now); err != nil || len(again) > 0 {
			t.Errorf("again: %v, %v", again, err)
		}
	})
}
