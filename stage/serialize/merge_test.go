package serialize_test

import (
	"strings"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/deserialize"
	"github.com/morango-go/morango/stage/serialize"
)

// ruled gives the environment's facilities a merge rule.
func ruled(t *testing.T, env stage.Env, kind model.MergeKind) stage.Env {
	t.Helper()
	env.Profile = tables.Profile(t)
	facility, _ := env.Profile.Model("facility")
	facility.Merge.Kind = kind
	if kind == model.MergeNewest || kind == model.MergeFields {
		facility.Merge.By = "now_date"
	}
	env.Merge = map[string]record.Func{"facility": func(a, b string) (string, bool, error) {
		return strings.Replace(a, `"name": "`, `"name": "both `, 1), false, nil
	}}
	return env
}

// change runs a statement, as the application or as dequeue would.
func change(t *testing.T, d *db.DB, query string, args ...any) {
	t.Helper()
	tables.Write(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), query, args...)
		return err
	})
}

func text(t *testing.T, d *db.DB, query string, args ...any) (found string) {
	t.Helper()
	if err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.QueryRow(t.Context(), query, args...).Scan(&found) }); err != nil {
		t.Fatal(err)
	}
	return found
}

const (
	// came is what dequeue does when a peer's version takes the place of ours.
	came = `UPDATE morango_store SET serialized = $1, dirty_bit = TRUE, deserialization_error = 'old' WHERE id = $2`
	edit = `UPDATE facility_profile_facility SET name = $1, now_date = $2, _morango_dirty_bit = TRUE WHERE id = $3`

	inStore = `SELECT serialized FROM morango_store WHERE id = $1`
	copies  = `SELECT conflicting_serialized_data FROM morango_store WHERE id = $1`
	inTable = `SELECT name FROM facility_profile_facility WHERE id = $1`
	waiting = `SELECT count(*) FROM morango_store WHERE dirty_bit`
)

// A row that is changed while a peer's version waits for it is merged with that by the
// model's rule, and what the rule chose reaches the row.
func TestEditsMeetWhatWaitsByRule(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, c := range []struct {
			kind       model.MergeKind
			day        string // of our change; the peer's is of the 15th
			want, lost string // names
		}{
			{model.MergeReference, "2026-01-10", "ours", "theirs"},
			{model.MergeNewest, "2026-01-10", "theirs", "ours"},
			{model.MergeNewest, "2026-01-20", "ours", "theirs"},
			{model.MergeFields, "2026-01-10", "theirs", "ours"},
			{model.MergeFields, "2026-01-20", "ours", "theirs"},
			{model.MergeCustom, "2026-01-20", "both ours", ""},
		} {
			env, id := ruled(t, peer(t, d), c.kind), facilityID("f")
			addFacilities(t, d, "f")
			run(t, env)
			theirs := strings.NewReplacer(`"name": "f"`, `"name": "theirs", "phone": 1.10`, "2026-01-01", "2026-01-15").
				Replace(text(t, d, inStore, id))
			change(t, d, came, theirs, id)
			change(t, d, edit, "ours", c.day+" 00:00:00", id)
			report := run(t, env)
			if report.Changed != 1 || report.Conflicts != 1 {
				t.Errorf("%s: report %+v", c.kind, report)
			}
			if n := count(t, d, `SELECT count(*) FROM morango_store WHERE dirty_bit <> (deserialization_error = '')`); n != 0 {
				t.Errorf("%s: what kept the peer's version from its table is forgotten just when nothing of it waits any more", c.kind)
			}
			if _, err := deserialize.Run(t.Context(), env, partition.Filter{}, deserialize.Options{}, nil); err != nil {
				t.Fatal(err)
			}
			stored := text(t, d, inStore, id)
			if !strings.Contains(stored, `"name": "`+c.want+`"`) || !strings.Contains(stored, `"phone": 1.1`) {
				t.Errorf("%s on %s: the store has %s, want %s", c.kind, c.day, stored, c.want)
			}
			if name := text(t, d, inTable, id); name != c.want {
				t.Errorf("%s on %s: the row has %s, want %s", c.kind, c.day, name, c.want)
			}
			if kept := text(t, d, copies, id); (c.lost == "") != (kept == "") || !strings.Contains(kept, c.lost) {
				t.Errorf("%s on %s: the copies are %q, want %s", c.kind, c.day, kept, c.lost)
			}
			if n := count(t, d, waiting); n != 0 {
				t.Errorf("%s: %d records wait", c.kind, n)
			}
			if n := count(t, d, "SELECT last_saved_counter FROM morango_store"); n != 2 {
				t.Errorf("%s: saved at %d, want a version of its own", c.kind, n)
			}
		}
	})
}

// Which fields a row changed is noted with it, by the rule that needs it, so that two
// peers' changes of one record go together.
func TestSerializeNotesChangedFields(t *testing.T) {
	d := dbtest.New(t)
	env, id := ruled(t, peer(t, d), model.MergeFields), facilityID("f")
	addFacilities(t, d, "f")
	run(t, env)
	if first := text(t, d, inStore, id); strings.Contains(first, "_morango_fields") {
		t.Errorf("a new record is stamped: %s", first)
	}
	change(t, d, edit, "renamed", "2026-02-01 00:00:00", id)
	run(t, env)
	stored := text(t, d, inStore, id)
	since := stored[strings.Index(stored, `"since"`):]
	if !strings.Contains(since, `"name": "`) || !strings.Contains(since, `"now_date": "`) || strings.Contains(since, "parent_id") {
		t.Errorf("stamps %s", since)
	}
	if !strings.Contains(since, ":2\"") || !strings.Contains(stored, ":1\", \"since\"") {
		t.Errorf("stamps name other versions: %s", stored)
	}
	// A peer that deleted what we changed: the row is there, so the record is.
	change(t, d, came, stored, id)
	change(t, d, "UPDATE morango_store SET deleted = TRUE")
	change(t, d, edit, "again", "2026-01-01 00:00:00", id)
	if _, err := serialize.Run(t.Context(), env, partition.Filter{}, nil); err != nil {
		t.Fatal(err)
	}
	if n := count(t, d, "SELECT count(*) FROM morango_store WHERE NOT deleted AND NOT dirty_bit"); n != 1 {
		t.Errorf("the deletion went over a later change of the row")
	}
}
