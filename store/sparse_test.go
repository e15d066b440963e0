package store_test

import (
	"slices"
	"testing"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store"
)

// loadSaved fills the store with records of one instance, at counters from 1 on, half of them under q.
func loadSaved(t *testing.T, d *db.DB, all int) {
	t.Helper()
	into := db.Insert{Table: "morango_store", Columns: []string{
		"id", "profile", "model_name", "partition", "source_id", "serialized", "conflicting_serialized_data", "_self_ref_fk", "deleted",
		"hard_deleted", "last_saved_instance", "last_saved_counter", "dirty_bit", "deserialization_error",
	}}
	var rows [][]any
	for n := range all {
		place := "p"
		if n%2 == 1 {
			place = "q"
		}
		rows = append(rows, []any{id("c", n), "things", "m", place, "s", "{}", "", "", false, false, id("a", 1), int64(n + 1), false, ""})
	}
	tables.Write(t, d, func(tx *db.Tx) error { return tx.InsertAll(t.Context(), into, rows) })
}

// A list is left out only where much of the store may be lacking, and where there is one it is
// the same.
func TestFindSparse(t *testing.T) {
	const all = 3000
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		loadSaved(t, d, all)
		for _, test := range []struct {
			filter string
			seen   int64 // counter that the receiver claims
			much   bool
		}{
			{"", 0, true}, {"", all - 1100, true}, {"", all - 800, false}, {"", all - 1, false}, {"", all, false},
			{"q", 0, true}, {"q", all - 1100, true}, {"q", all - 800, false}, {"none", 0, false},
		} {
			lacking := store.Lacking{Profile: "things", Filter: partition.Of(test.filter),
				Receiver: counter.ByPartition{test.filter: {id("a", 1): test.seen}}}
			tables.Write(t, d, func(tx *db.Tx) error {
				ids, ok, err := lacking.Find(t.Context(), tx, 20_000, -1)
				sparse, list, sparseErr := lacking.FindSparse(t.Context(), tx, 20_000, -1)
				if err != nil || sparseErr != nil {
					t.Errorf("%q above %d: %v, %v", test.filter, test.seen, err, sparseErr)
				}
				var found []string
				rows := map[int64]bool{}
				for _, one := range sparse {
					found = append(found, one.ID)
					if rows[one.Row] = true; (one.Model == "m") == (d.Kind() == db.SQLite) {
						t.Errorf("%+v", one)
					}
				}
				if slices.Sort(found); d.Kind() == db.SQLite && len(rows) != len(found) {
					t.Errorf("%d records with %d numbers", len(found), len(rows))
				}
				if list != (ok && !test.much) || list && !slices.Equal(ids, found) {
					t.Errorf("%q above %d: a list of %d, %v; expected %d, %v", test.filter, test.seen, len(sparse), list, len(ids), ok && !test.much)
				}
				return nil
			})
		}
	})
}

// Where the receiver claims a hundredth at most, the records under the filter are counted, by indexes.
func TestAlmostAll(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		loadSaved(t, d, 3000)
		for _, test := range []struct {
			filter string
			seen   int64 // counter that the receiver claims
			want   int64 // -1: not known
		}{
			{"", 0, 3000}, {"", 30, 3000}, {"", 31, -1}, {"", 3000, -1},
			{"q", 0, 1500}, {"q", 15, 1500}, {"q", 16, -1}, {"none", 0, 0}, {"none", 1, -1},
		} {
			lacking := store.Lacking{Profile: "things", Filter: partition.Of(test.filter),
				Receiver: counter.ByPartition{test.filter: {id("a", 1): test.seen}}}
			tables.Write(t, d, func(tx *db.Tx) error {
				indexed, err := store.FindsSaved(t.Context(), tx)
				if err != nil {
					return err
				}
				if !indexed || d.Kind() != db.SQLite {
					test.want = -1
				}
				n, ok, err := lacking.AlmostAll(t.Context(), tx)
				if ok != (test.want >= 0) || ok && n != test.want {
					t.Errorf("%q above %d: %d, %v, want %d", test.filter, test.seen, n, ok, test.want)
				}
				return err
			})
		}
	})
}
