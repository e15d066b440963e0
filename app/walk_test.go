package app_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/partition"
)

// scattered is the id of the n-th row that is written; ids are in no order.
func scattered(n int) string {
	sum := sha256.Sum256(fmt.Append(nil, n))
	return hex.EncodeToString(sum[:16])
}

// walkers are the ways in which a table of persons is walked through: by which statements
// it becomes such a table, and whether the walk then follows the order of writing.
var walkers = map[string]struct {
	kind    db.Kind
	become  []string
	written bool
}{
	"SQLite":               {kind: db.SQLite, written: true},
	"SQLite, older index":  {db.SQLite, []string{`DROP INDEX morango_changed_person`, `CREATE INDEX morango_dirty_person ON person (id) WHERE _morango_dirty_bit`}, false},
	"SQLite, no index":     {db.SQLite, []string{`DROP INDEX morango_changed_person`}, true},
	"SQLite, no numbers":   {db.SQLite, []string{`DROP TABLE person`, withoutNumbers}, false},
	"SQLite, other column": {db.SQLite, []string{`DROP INDEX morango_changed_person`, `ALTER TABLE person ADD COLUMN _ROWID_ text`}, false},
	"PostgreSQL":           {kind: db.Postgres},
	"PostgreSQL, older":    {db.Postgres, olderPostgres, false},
	"PostgreSQL, no index": {db.Postgres, []string{`DROP INDEX morango_changed_person`}, false},
}

// olderPostgres makes the index of dirty rows one of an earlier version.
var olderPostgres = []string{`DROP INDEX morango_changed_person`, `CREATE INDEX morango_dirty_person ON person (id) WHERE _morango_dirty_bit`}

const withoutNumbers = `CREATE TABLE person (id char(32) NOT NULL PRIMARY KEY, _morango_dirty_bit bool NOT NULL DEFAULT 1,
	_morango_source_id varchar(96) NOT NULL DEFAULT '', _morango_partition varchar(128) NOT NULL DEFAULT '',
	name varchar(20), "order" integer, seen datetime) WITHOUT ROWID`

// walked is a database with persons, of which the first third is clean and the second is
// in another partition.
func walked(t *testing.T, kind db.Kind, become []string, rows int) *db.DB {
	t.Helper()
	d := dbtest.New(t)
	if kind == db.Postgres {
		d = dbtest.Postgres(t)
	}
	initialize(t, d, school())
	apply(t, d, become...)
	run(t, d, func(tx *db.Tx) error {
		if err := tx.Capture(t.Context(), false); err != nil {
			return err
		}
		for n := range rows {
			place := map[bool]string{true: "there", false: "here"}[n >= rows/3 && n < 2*rows/3]
			_, err := tx.Exec(t.Context(), `INSERT INTO person (id, name, "order", _morango_source_id, _morango_partition, _morango_dirty_bit)
				VALUES ($1, $2, 1, 's', $3, $4)`, scattered(n), fmt.Sprint(n), place, n >= rows/3)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return d
}

// personWalk returns a walk through the persons of a filter.
func personWalk(t *testing.T, tx *db.Tx, filter partition.Filter) *app.Walk {
	t.Helper()
	walks, err := app.Walks(t.Context(), tx, school(), filter)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(walks, func(w *app.Walk) bool { return w.Model.Name == "person" })
	return walks[i]
}

// through walks through all pages, clears what keep does not keep, and returns the ids.
func through(t *testing.T, tx *db.Tx, w *app.Walk, limit int, keep func(id string) bool) (seen []string) {
	t.Helper()
	for after, full := (app.Place{}), true; full; {
		rows, last, err := w.Page(t.Context(), tx, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		var clear []string
		for _, row := range rows {
			if row.Fault != nil || len(row.Values) != len(w.Model.Columns) {
				t.Fatalf("row %+v", row)
			}
			seen = append(seen, row.ID)
			if !keep(row.ID) {
				clear = append(clear, row.ID)
			}
		}
		if err := w.Clear(t.Context(), tx, after, last, clear, len(clear) == len(rows)); err != nil {
			t.Fatal(err)
		}
		after, full = last, len(rows) == limit
	}
	return seen
}

// TestWalks holds that a walk sees exactly the dirty rows of its filter, each once, in the
// order that suits the table, and clears exactly those that it is told to clear.
func TestWalks(t *testing.T) {
	const rows = 30
	for name, c := range walkers {
		t.Run(name, func(t *testing.T) {
			d := walked(t, c.kind, c.become, rows)
			var want []string
			for n := 2 * rows / 3; n < rows; n++ {
				want = append(want, scattered(n))
			}
			if !c.written {
				slices.Sort(want)
			}
			kept := want[4] // in the second page
			run(t, d, func(tx *db.Tx) error {
				w := personWalk(t, tx, partition.Of("here"))
				if lacks, err := w.LacksIDs(t.Context(), tx); !w.Dirty || lacks || err != nil {
					t.Errorf("dirty: %v, without ids: %v, %v", w.Dirty, lacks, err)
				}
				got := through(t, tx, w, 3, func(id string) bool { return id == kept })
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("rows seen (-want +got):\n%s", diff)
				}
				if personWalk(t, tx, partition.Of("nowhere")).Dirty {
					t.Error("rows of another filter count")
				}
				return nil
			})
			left := map[string]bool{kept: true}
			for n := rows / 3; n < 2*rows/3; n++ {
				left[scattered(n)] = true
			}
			var still []string
			run(t, d, func(tx *db.Tx) error {
				still = through(t, tx, personWalk(t, tx, partition.Filter{}), 100, func(string) bool { return true })
				return nil
			})
			for _, id := range still {
				if !left[id] {
					t.Errorf("row %s is still dirty", id)
				}
				delete(left, id)
			}
			if len(left) > 0 {
				t.Errorf("rows %v are not dirty any more", left)
			}
		})
	}
}

// TestWalksByPartition holds that on PostgreSQL a walk goes partition by partition, and by ids in
// each, also where a page ends within one, and passes over no row that has none; and that it reads
// them in the order of their index.
func TestWalksByPartition(t *testing.T) {
	const rows = 30
	d := walked(t, db.Postgres, []string{`ALTER TABLE person ALTER _morango_partition DROP NOT NULL`}, rows)
	apply(t, d, `UPDATE person SET _morango_dirty_bit = TRUE,
		_morango_partition = (ARRAY['a', 'B', NULL, 'é', 'z', ''])[1 + name::integer % 6]`)
	places := []string{"a", "B", "", "é", "z", ""}
	place := map[string]string{}
	for n := range rows {
		place[scattered(n)] = places[n%6]
	}
	run(t, d, func(tx *db.Tx) error {
		w := personWalk(t, tx, partition.All())
		seen := through(t, tx, w, 4, func(string) bool { return true })
		for i := range seen[1:] {
			before, id := seen[i], seen[i+1]
			if place[before] == place[id] && before >= id || place[before] != place[id] && slices.ContainsFunc(seen[:i+1], func(one string) bool { return place[one] == place[id] }) {
				t.Errorf("after row %s of %q comes %s of %q", before, place[before], id, place[id])
			}
		}
		if len(seen) != rows {
			t.Errorf("%d rows seen", len(seen))
		}
		if err := tx.LookUp(t.Context()); err != nil {
			return err
		}
		plan := strings.Join(dbtest.Plan(t, tx, `SELECT id FROM person WHERE "_morango_dirty_bit"
			AND (hashtextextended(coalesce(_morango_partition, ''), 0), id) > (7, '`+scattered(1)+`')
			ORDER BY hashtextextended(coalesce(_morango_partition, ''), 0), id LIMIT 5`), "\n")
		if !strings.Contains(plan, "using morango_changed_person") || strings.Contains(plan, "Sort") {
			t.Errorf("the plan is %s", plan)
		}
		return nil
	})
}

// TestWalksFindRowsWithoutIDs holds that rows that no filter finds yet keep a walk from
// saying that there is nothing.
func TestWalksFindRowsWithoutIDs(t *testing.T) {
	for _, kind := range []db.Kind{db.SQLite, db.Postgres} {
		d := walked(t, kind, nil, 3)
		apply(t, d, `UPDATE person SET _morango_dirty_bit = FALSE`, `UPDATE person SET _morango_dirty_bit = TRUE, _morango_partition = '' WHERE name = '1'`)
		run(t, d, func(tx *db.Tx) error {
			w := personWalk(t, tx, partition.Of("here"))
			if lacks, err := w.LacksIDs(t.Context(), tx); !w.Dirty || !lacks || err != nil {
				t.Errorf("%s: dirty: %v, without ids: %v, %v", kind, w.Dirty, lacks, err)
			}
			return nil
		})
	}
}

// TestDirtyRowsAreFoundByIndex holds that SQLite looks for dirty rows in the index of these
// alone, even when it was told that most rows are dirty.
func TestDirtyRowsAreFoundByIndex(t *testing.T) {
	d := walked(t, db.SQLite, nil, 100)
	apply(t, d, `UPDATE person SET _morango_dirty_bit = TRUE`, `ANALYZE`)
	run(t, d, func(tx *db.Tx) error {
		plan := strings.Join(dbtest.Plan(t, tx, `SELECT id FROM person INDEXED BY morango_changed_person
			WHERE _morango_dirty_bit AND _morango_dirty_bit = 1 AND _rowid_ > 7 ORDER BY _rowid_ LIMIT 5`), "\n")
		if want := "SEARCH person USING INDEX morango_changed_person (_morango_dirty_bit=? AND rowid>?)"; plan != want {
			t.Errorf("the plan is %q, want %q", plan, want)
		}
		return nil
	})
}

// TestIndexOfDirtyRowsIsReplaced holds that a database of an earlier version gets the index
// by which walks go, and loses the other.
func TestIndexOfDirtyRowsIsReplaced(t *testing.T) {
	for kind, become := range map[db.Kind][]string{db.SQLite: walkers["SQLite, older index"].become, db.Postgres: olderPostgres} {
		d := walked(t, kind, become, 3)
		initialize(t, d, school())
		run(t, d, func(tx *db.Tx) error {
			for name, want := range map[string]bool{"morango_changed_person": true, "morango_dirty_person": false} {
				if found, err := tx.HasIndex(t.Context(), name); found != want || err != nil {
					t.Errorf("%s, index %s: %v, %v", kind, name, found, err)
				}
			}
			return nil
		})
	}
}

// TestAnIDThatIsNoTextIsAFault holds that such a row, which equals no id, stands in nobody's
// way.
func TestAnIDThatIsNoTextIsAFault(t *testing.T) {
	d := walked(t, db.SQLite, nil, 3)
	apply(t, d, `UPDATE person SET id = CAST(id AS BLOB) WHERE name = '2'`)
	run(t, d, func(tx *db.Tx) error {
		rows, _, err := personWalk(t, tx, partition.Filter{}).Page(t.Context(), tx, app.Place{}, 10)
		if err != nil || len(rows) != 2 || rows[0].Fault != nil || rows[1].Fault == nil {
			t.Errorf("%+v, %v", rows, err)
		}
		return nil
	})
}
