package serialize_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/serialize"
)

// peer is an empty database of the test app.
func peer(t *testing.T, d *db.DB) stage.Env {
	t.Helper()
	env := tables.Env(t, d)
	tables.Load(t, d, 0, nil)
	return env
}

// insertFacility takes a name; id and partition follow from it.
const insertFacility = `INSERT INTO facility_profile_facility
	(id, name, now_date, parent_id, _morango_dirty_bit, _morango_source_id, _morango_partition)
	VALUES ($1, $2, '2026-01-01 00:00:00', NULL, TRUE, $2, '')`

func facilityID(name string) string { return ident.Record("", name, "facility") }

// addFacilities writes rows as an application would.
func addFacilities(t testing.TB, d *db.DB, names ...string) {
	t.Helper()
	tables.Write(t, d, func(tx *db.Tx) error {
		for _, name := range names {
			if _, err := tx.Exec(t.Context(), insertFacility, facilityID(name), name); err != nil {
				return err
			}
		}
		return nil
	})
}

func numbered(from, to int) []string {
	var names []string
	for i := from; i < to; i++ {
		names = append(names, fmt.Sprintf("facility %d", i))
	}
	return names
}

// count returns the first column of a query's only row.
func count(t testing.TB, d *db.DB, query string, args ...any) int64 {
	t.Helper()
	var n int64
	err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.QueryRow(t.Context(), query, args...).Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func run(t *testing.T, env stage.Env, prefixes ...string) serialize.Report {
	t.Helper()
	report, err := serialize.Run(t.Context(), env, partition.Of(prefixes...), nil)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

const (
	dirtyRows  = "SELECT count(*) FROM facility_profile_facility WHERE _morango_dirty_bit"
	withoutRMC = `SELECT count(*) FROM morango_store s WHERE NOT EXISTS (SELECT 1 FROM morango_recordmaxcounter r WHERE
		r.store_model_id = s.id AND r.instance_id = s.last_saved_instance AND r.counter = s.last_saved_counter)`
	unclaimed = `SELECT count(*) FROM morango_instanceidmodel i WHERE NOT EXISTS (SELECT 1 FROM morango_databasemaxcounter d
		WHERE d.instance_id = i.id AND d.partition = '' AND d.counter = i.counter)`
)

func TestManyRowsTakeSeveralTransactionsWithACounterEach(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := peer(t, d)
		addFacilities(t, d, numbered(0, 5001)...)
		var done []int64
		report, err := serialize.Run(t.Context(), env, partition.Filter{}, func(n int64) { done = append(done, n) })
		if err != nil {
			t.Fatal(err)
		}
		if report.New != 5001 || report.Records != 5001 {
			t.Errorf("report %+v, want 5001 new records", report)
		}
		if diff := cmp.Diff([]int64{5000, 5001}, done); diff != "" {
			t.Errorf("records done after each transaction (-want +got):\n%s", diff)
		}
		if n := count(t, d, "SELECT count(*) FROM morango_store WHERE last_saved_counter = 1"); n != 5000 {
			t.Errorf("%d records bear counter 1, want 5000", n)
		}
		if n := count(t, d, "SELECT count(*) FROM morango_store WHERE last_saved_counter = 2"); n != 1 {
			t.Errorf("%d records bear counter 2, want 1", n)
		}
		settled(t, d)
	})
}

// settled demands that nothing waits, every record has its history, and all is
// claimed.
func settled(t *testing.T, d *db.DB) {
	t.Helper()
	for what, query := range map[string]string{
		"dirty rows": dirtyRows, "records without a history": withoutRMC, "instances without a claim": unclaimed,
	} {
		if n := count(t, d, query); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
}

func TestNothingToDoWritesNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := peer(t, d)
		addFacilities(t, d, "a", "b")
		run(t, env)
		before := everything(t, d)
		writes := changes(t, d)
		if report := run(t, env); report.Records != 0 {
			t.Errorf("report %+v, want nothing", report)
		}
		run(t, env, "some", "prefixes")
		if diff := cmp.Diff(before, everything(t, d)); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
		if now := changes(t, d); now != writes {
			t.Errorf("the writing connection changed %d rows", now-writes)
		}
	})
}

// everything is what all tables hold.
func everything(t *testing.T, d *db.DB) map[string]any {
	all := map[string]any{"counter": tables.Counter(t, d)}
	for _, name := range append(slices.Clone(compared), "dmc") {
		all[name] = tables.Dump(t, d, name)
	}
	return all
}

// changes counts the rows that SQLite's writing connection has changed so far.
func changes(t *testing.T, d *db.DB) (n int64) {
	t.Helper()
	if d.Kind() != db.SQLite {
		return 0 // the tables are compared
	}
	tables.Write(t, d, func(tx *db.Tx) error {
		return tx.QueryRow(t.Context(), "SELECT total_changes()").Scan(&n)
	})
	return n
}

func TestARowWithAnotherIDIsLeftOutAndStaysDirty(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := peer(t, d)
		addFacilities(t, d, "good")
		tables.Write(t, d, func(tx *db.Tx) error {
			for i := range 1200 { // more than a page, and more than the report keeps
				if _, err := tx.Exec(t.Context(), insertFacility, fmt.Sprintf("%032x", i), fmt.Sprint(i)); err != nil {
					return err
				}
			}
			return nil
		})
		report := run(t, env)
		if report.Records != 1 || report.LeftOutTotal != 1200 || len(report.LeftOut) != 100 {
			t.Errorf("%d records, %d left out, %d named; want 1, 1200 and 100", report.Records, report.LeftOutTotal, len(report.LeftOut))
		}
		first := report.LeftOut[0]
		if first.Model != "facility" || first.ID != strings.Repeat("0", 32) && first.ID != fmt.Sprintf("%032x", 1) || first.Reason == "" {
			t.Errorf("the first problem is %+v", first)
		}
		if n := count(t, d, dirtyRows); n != 1200 {
			t.Errorf("%d dirty rows, want 1200", n)
		}
		if n := count(t, d, "SELECT count(*) FROM morango_store"); n != 1 {
			t.Errorf("%d records, want 1", n)
		}
	})
}

func TestDeletions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := peer(t, d)
		addFacilities(t, d, "soft", "hard", "again")
		run(t, env)
		tables.Write(t, d, func(tx *db.Tx) error {
			for _, name := range []string{"soft", "hard", "again", "never serialized"} {
				if name != "again" {
					if _, err := tx.Exec(t.Context(), "DELETE FROM facility_profile_facility WHERE id = $1", facilityID(name)); err != nil {
						return err
					}
				}
				if _, err := tx.Exec(t.Context(), "INSERT INTO morango_deletedmodels (id, profile) VALUES ($1, 'facilitydata')", facilityID(name)); err != nil {
					return err
				}
			}
			_, err := tx.Exec(t.Context(), "INSERT INTO morango_harddeletedmodels (id, profile) VALUES ($1, 'facilitydata')", facilityID("hard"))
			return err
		})
		if report := run(t, env, "an unrelated filter"); report.Deleted != 2 || report.Records != 2 {
			t.Errorf("report %+v, want two deletions", report)
		}
		for _, row := range tables.Dump(t, d, "store") {
			name := map[any]string{facilityID("soft"): "soft", facilityID("hard"): "hard", facilityID("again"): "again"}[row["id"]]
			got := []any{row["deleted"], row["hard_deleted"], row["serialized"] == "{}", row["last_saved_counter"]}
			want := map[string][]any{
				"soft": {true, false, false, int64(2)}, "hard": {true, true, true, int64(2)}, "again": {false, false, false, int64(1)},
			}[name]
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		for _, name := range []string{"deleted_models", "hard_deleted_models"} {
			if left := tables.Dump(t, d, name); len(left) != 0 {
				t.Errorf("%s still holds %v", name, left)
			}
		}
		if n := count(t, d, withoutRMC); n != 0 {
			t.Errorf("%d records without a history", n)
		}
	})
}

func TestCancelledBetweenTransactionsAndRunAgain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := peer(t, d)
		addFacilities(t, d, numbered(0, 5100)...)
		ctx, cancel := context.WithCancel(t.Context())
		report, err := serialize.Run(ctx, env, partition.Filter{}, func(int64) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("want a cancelled run, got %v", err)
		}
		if report.Records != 5000 {
			t.Errorf("report %+v, want the 5000 records that were committed", report)
		}
		if n := count(t, d, "SELECT count(*) FROM morango_databasemaxcounter"); n != 0 {
			t.Errorf("%d claims before everything is serialized", n)
		}
		if report := run(t, env); report.New != 100 || report.Changed != 0 {
			t.Errorf("report %+v, want the other 100 records", report)
		}
		settled(t, d)
	})
}

func TestEditsMadeMeanwhileAreNotLost(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := peer(t, d)
		names := numbered(0, 200)
		addFacilities(t, d, names...)
		var writer sync.WaitGroup
		edits := make(chan error, 1)
		writer.Go(func() {
			for i := range 100 {
				err := d.Write(t.Context(), func(tx *db.Tx) error {
					_, err := tx.Exec(t.Context(), `UPDATE facility_profile_facility SET now_date = $1, _morango_dirty_bit = TRUE
						WHERE id = $2`, fmt.Sprintf("2026-01-01 00:00:%02d", i%60), facilityID(names[i]))
					return err
				})
				if err != nil {
					edits <- err
					return
				}
			}
			edits <- nil
		})
		for editing := true; editing; {
			select {
			case err := <-edits:
				if err != nil {
					t.Fatal(err)
				}
				editing = false
			default:
			}
			run(t, env)
		}
		writer.Wait()
		run(t, env)
		settled(t, d)
		text := map[any]any{}
		for _, row := range tables.Dump(t, d, "store") {
			text[row["id"]] = row["serialized"]
		}
		for _, row := range tables.Dump(t, d, "facility") {
			want := strings.Replace(row["now_date"].(string), " ", "T", 1) + "Z"
			if got, _ := text[row["id"]].(string); !strings.Contains(got, `"now_date": "`+want+`"`) {
				t.Errorf("row %v has %s, the store has %s", row["id"], want, got)
			}
		}
	})
}

func TestRowsWithoutSourceIDAreFilledFirst(t *testing.T) {
	d := dbtest.New(t)
	env := peer(t, d)
	tables.Write(t, d, func(tx *db.Tx) error {
		if err := app.CreateTriggers(t.Context(), tx, env.Profile); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), `INSERT INTO facility_profile_facility
			(id, name, now_date, _morango_dirty_bit, _morango_source_id, _morango_partition)
			VALUES ($1, 'by another program', '2026-01-01 00:00:00', TRUE, '', '')`, facilityID("by another program"))
		return err
	})
	if report := run(t, env); report.New != 1 || report.LeftOutTotal != 0 {
		t.Errorf("report %+v, want one new record", report)
	}
	settled(t, d) // the triggers did not take our own writes for edits
}
