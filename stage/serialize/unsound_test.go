package serialize_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/record"
)

// A value that cannot travel keeps its row back, and no other: the row stays dirty, and
// travels once it is mended.
func TestValuesThatCannotTravel(t *testing.T) {
	d := dbtest.New(t) // PostgreSQL holds none of them
	env := peer(t, d)
	long := strings.Repeat("x", 97)
	addFacilities(t, d, "good", "a\x00b", "b\xffc", long, "also good")
	report := run(t, env)
	if report.Records != 2 || report.LeftOutTotal != 3 {
		t.Fatalf("report %+v, want two records and three rows left out", report)
	}
	var reasons []string
	for _, p := range report.LeftOut {
		reasons = append(reasons, p.Reason)
	}
	for _, want := range []string{"NUL", "UTF-8", "longer than 96"} {
		if !slices.ContainsFunc(reasons, func(reason string) bool { return strings.Contains(reason, want) }) {
			t.Errorf("none of %q says %q", reasons, want)
		}
	}
	if n := count(t, d, dirtyRows); n != 3 {
		t.Errorf("%d dirty rows, want 3", n)
	}
	if report := run(t, env); report.Records != 0 || report.LeftOutTotal != 3 {
		t.Errorf("report %+v of the second run", report)
	}
	if n := tables.Counter(t, d); n != 1 {
		t.Errorf("the counter stands at %d although nothing was stamped after 1", n)
	}
	tables.Write(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE facility_profile_facility SET id = $1, name = 'short', _morango_source_id = 'short'
			WHERE id = $2`, facilityID("short"), facilityID(long))
		return err
	})
	if report := run(t, env); report.New != 1 || report.LeftOutTotal != 2 {
		t.Errorf("report %+v of the run after mending", report)
	}
}

// A text of the store that cannot be read gives way to the row's own, and is kept.
func TestUnreadableTextOfTheStore(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := peer(t, d)
		addFacilities(t, d, "a", "b", "c")
		run(t, env)
		bad := map[string]string{facilityID("a"): "no JSON", facilityID("b"): "[1, 2]"}
		tables.Write(t, d, func(tx *db.Tx) error {
			for id, text := range bad {
				if _, err := tx.Exec(t.Context(), "UPDATE morango_store SET serialized = $1, dirty_bit = TRUE WHERE id = $2", text, id); err != nil {
					return err
				}
			}
			_, err := tx.Exec(t.Context(), "UPDATE facility_profile_facility SET name = 'new', _morango_dirty_bit = TRUE")
			return err
		})
		if report := run(t, env); report.Changed != 3 || report.Conflicts != 2 || report.LeftOutTotal != 0 {
			t.Errorf("report %+v", report)
		}
		for _, row := range tables.Dump(t, d, "store") {
			id, text := row["id"].(string), row["serialized"].(string)
			if !record.Readable(text) || !strings.Contains(text, `"name": "new"`) || row["dirty_bit"] != false {
				t.Errorf("record %s has %q, dirty: %v", id, text, row["dirty_bit"])
			}
			want := ""
			if bad[id] != "" {
				want = bad[id] + "\n"
			}
			if got := row["conflicting_serialized_data"]; got != want {
				t.Errorf("record %s keeps %q, want %q", id, got, want)
			}
		}
		settled(t, d)
	})
}
