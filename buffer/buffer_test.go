package buffer_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/record"
)

const session, other = "5e550000000000000000000000000aaa", "5e550000000000000000000000000bbb"

func id(kind string, n int) string { return fmt.Sprintf("%s%0*d", kind, 32-len(kind), n) }

// sample makes record n, with a history of some instances, or of none.
func sample(n int) record.Record {
	r := record.Record{
		ID: id("c", n), Profile: "facilitydata", Model: "user", Partition: "p:ü", SourceID: "s", SelfRef: id("d", n),
		Serialized: fmt.Sprintf(`{"n": %d, "it's": "100%%"}`, n), Conflicting: "{}\n", Deleted: n%2 == 0, HardDeleted: n%3 == 0,
		Version: counter.Version{Instance: id("a", n%5), Counter: int64(n)}, History: counter.Counters{},
	}
	for i := range n % 4 {
		r.History[id("a", i)] = int64(n + i)
	}
	return r
}

func samples(n int) []record.Record {
	all := make([]record.Record, n)
	for i := range all {
		all[i] = sample(i)
	}
	return all
}

// within runs f in a transaction on a database with both sessions and an empty buffer.
func within(t *testing.T, f func(t *testing.T, tx *db.Tx) error) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tables.Sessions(t, d, session, other)
		tables.Write(t, d, func(tx *db.Tx) error { return f(t, tx) })
	})
}

// Whatever the size of pages, they hold every record once, in order, with its history
// and nobody else's.
func TestPages(t *testing.T) {
	within(t, func(t *testing.T, tx *db.Tx) error {
		want := samples(25)
		shuffled := slices.Clone(want)
		slices.Reverse(shuffled)
		if added, repeated, err := buffer.Put(t.Context(), tx, session, shuffled); err != nil || added != 25 || repeated != 0 {
			return fmt.Errorf("added %d, repeated %d: %w", added, repeated, err)
		}
		changed := sample(3)
		changed.History = counter.Counters{id("a", 4): 99}
		if _, _, err := buffer.Put(t.Context(), tx, other, []record.Record{changed}); err != nil {
			return err
		}
		for _, limit := range []int{1, 7, 25, 100} {
			var byKey, byOffset []record.Record
			for after := ""; ; after = byKey[len(byKey)-1].ID {
				page, err := buffer.Page(t.Context(), tx, session, after, limit)
				if err != nil {
					return err
				}
				if len(page) == 0 {
					break
				}
				byKey = append(byKey, page...)
			}
			for offset := 0; offset < 25; offset += limit {
				page, err := buffer.PageOffset(t.Context(), tx, session, offset, limit)
				if err != nil {
					return err
				}
				byOffset = append(byOffset, page...)
			}
			if diff := cmp.Diff(want, byKey); diff != "" {
				t.Errorf("pages of %d by key (-want +got): %s", limit, diff)
			}
			if diff := cmp.Diff(want, byOffset); diff != "" {
				t.Errorf("pages of %d by offset (-want +got): %s", limit, diff)
			}
		}
		return nil
	})
}

// A chunk that comes again counts as repeated; one that differs in anything is refused.
func TestPutTwice(t *testing.T) {
	within(t, func(t *testing.T, tx *db.Tx) error {
		if _, _, err := buffer.Put(t.Context(), tx, session, samples(10)); err != nil {
			return err
		}
		again := append(samples(12), sample(11)) // ten known, two new, one twice
		if added, repeated, err := buffer.Put(t.Context(), tx, session, again); err != nil || added != 2 || repeated != 11 {
			t.Errorf("added %d, repeated %d: %v", added, repeated, err)
		}
		for name, change := range map[string]func(r *record.Record){
			"profile":      func(r *record.Record) { r.Profile = "other" },
			"model":        func(r *record.Record) { r.Model = "other" },
			"partition":    func(r *record.Record) { r.Partition = "other" },
			"source id":    func(r *record.Record) { r.SourceID = "other" },
			"text":         func(r *record.Record) { r.Serialized = "other" },
			"conflicting":  func(r *record.Record) { r.Conflicting = "other" },
			"parent":       func(r *record.Record) { r.SelfRef = "other" },
			"deleted":      func(r *record.Record) { r.Deleted = !r.Deleted },
			"hard-deleted": func(r *record.Record) { r.HardDeleted = !r.HardDeleted },
			"instance":     func(r *record.Record) { r.Version.Instance = id("a", 77) },
			"counter":      func(r *record.Record) { r.Version.Counter++ },
			"history":      func(r *record.Record) { r.History[id("a", 0)]++ },
			"more history": func(r *record.Record) { r.History[id("a", 77)] = 1 },
			"less history": func(r *record.Record) { delete(r.History, id("a", 0)) },
		} {
			r := sample(3)
			change(&r)
			_, _, err := buffer.Put(t.Context(), tx, session, []record.Record{sample(20), r})
			if !errors.Is(err, buffer.ErrDifferentContent) || !strings.Contains(err.Error(), r.ID) {
				t.Errorf("other %s: %v", name, err)
			}
		}
		n, err := buffer.Count(t.Context(), tx, session)
		if n != 12 {
			t.Errorf("%d records, want 12", n)
		}
		return err
	})
}

// Drop empties one session's buffer and leaves the other's.
func TestDrop(t *testing.T) {
	within(t, func(t *testing.T, tx *db.Tx) error {
		for _, s := range []string{session, other} {
			if _, _, err := buffer.Put(t.Context(), tx, s, samples(5)); err != nil {
				return err
			}
		}
		if err := buffer.Drop(t.Context(), tx, session); err != nil {
			return err
		}
		for s, want := range map[string]int{session: 0, other: 5} {
			page, err := buffer.Page(t.Context(), tx, s, "", 10)
			if err != nil {
				return err
			}
			if diff := cmp.Diff(samples(5)[:want], append([]record.Record{}, page...)); diff != "" {
				t.Errorf("session %s (-want +got): %s", s, diff)
			}
		}
		var left int
		err := tx.QueryRow(t.Context(), `SELECT COUNT(*) FROM morango_recordmaxcounterbuffer WHERE transfer_session_id = $1`, session).Scan(&left)
		if left != 0 {
			t.Errorf("%d counters are left", left)
		}
		return err
	})
}

// What is put in comes out, however it is cut into chunks and repeated.
func TestPutAnyChunks(t *testing.T) {
	within(t, func(t *testing.T, tx *db.Tx) error {
		rapid.Check(t, func(r *rapid.T) {
			if err := buffer.Drop(t.Context(), tx, session); err != nil {
				r.Fatal(err)
			}
			known := map[int]bool{}
			for range rapid.IntRange(1, 6).Draw(r, "chunks") {
				var chunk []record.Record
				fresh := 0
				for _, n := range rapid.SliceOfN(rapid.IntRange(0, 15), 0, 8).Draw(r, "chunk") {
					chunk = append(chunk, sample(n))
					if !known[n] {
						known[n] = true
						fresh++
					}
				}
				added, repeated, err := buffer.Put(t.Context(), tx, session, chunk)
				if err != nil || added != fresh || repeated != len(chunk)-fresh {
					r.Fatalf("added %d of %d, repeated %d: %v", added, fresh, repeated, err)
				}
			}
			page, err := buffer.Page(t.Context(), tx, session, "", 100)
			if err != nil || len(page) != len(known) {
				r.Fatalf("%d records of %d: %v", len(page), len(known), err)
			}
		})
		return nil
	})
}

// Histories are looked up by record on both layouts: by session, every page would
// read the whole session.
func TestPlans(t *testing.T) {
	dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
		tables.Write(t, d, func(tx *db.Tx) error {
			for name, plan := range map[string][]string{
				"histories":       dbtest.Plan(t, tx, buffer.Histories, session, id("c", 1), id("c", 2)),
				"known histories": dbtest.Plan(t, tx, buffer.KnownHistories+tx.IDs(2), session, db.JSONList([]string{id("c", 1)})),
			} {
				text := strings.Join(plan, "\n")
				for _, line := range plan {
					bad := strings.HasPrefix(line, "SCAN b") || strings.HasPrefix(line, "SCAN r") || strings.Contains(line, "TEMP B-TREE") ||
						strings.HasPrefix(line, "SEARCH r ") && !strings.Contains(line, "model_uuid=?") ||
						strings.HasPrefix(line, "SEARCH b ") && !strings.Contains(line, "model_uuid")
					if bad {
						t.Errorf("%s: %q in\n%s", name, line, text)
					}
				}
			}
			return nil
		})
	})
}

// A page of long records, or of long histories, holds fewer of them, and the next page
// goes on where it ended.
func TestLongRecords(t *testing.T) {
	within(t, func(t *testing.T, tx *db.Tx) error {
		want := samples(9)
		for i := range want {
			want[i].Serialized = strings.Repeat("x", 5000)
		}
		for n := range 150 {
			want[1].History[id("a", n)], want[2].History[id("a", n)] = 1, 1
		}
		if _, _, err := buffer.Put(t.Context(), tx, session, want); err != nil {
			return err
		}
		var sizes []int
		for after, read := "", 0; read < len(want); {
			page, err := buffer.PageUpTo(t.Context(), tx, session, after, 500, 16_000)
			if err != nil {
				return err
			}
			if diff := cmp.Diff(want[read:read+len(page)], page); diff != "" || len(page) == 0 {
				t.Fatalf("a page of %d:\n%.2000s", len(page), diff)
			}
			read, after, sizes = read+len(page), page[len(page)-1].ID, append(sizes, len(page))
		}
		if want := []int{2, 4, 3}; !slices.Equal(sizes, want) {
			t.Errorf("pages of %v records instead of %v", sizes, want)
		}
		return nil
	})
}
