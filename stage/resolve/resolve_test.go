package resolve_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/deserialize"
	"github.com/morango-go/morango/stage/resolve"
	"github.com/morango-go/morango/stage/serialize"
	"github.com/morango-go/morango/store"
)

const (
	id     = "fac00000000000000000000000000000"
	theirs = `{"id": "ID", "name": "theirs", "parent_id": "PARENT", "phone": 1.10}`
	third  = `{"id": "ID", "name": "third"}`
)

func facility(name string) string { return ident.Record("", name, "facility") }

func fill(text string) string {
	return strings.NewReplacer("ID", facility("f"), "PARENT", facility("top")).Replace(text)
}

// conflicted makes two facilities of which one has two conflicting copies.
func conflicted(t *testing.T, d *db.DB) stage.Env {
	t.Helper()
	env := tables.Env(t, d)
	tables.Load(t, d, 0, nil)
	for _, name := range []string{"f", "top"} {
		execute(t, d, `INSERT INTO facility_profile_facility (id, name, now_date, parent_id, _morango_dirty_bit,
			_morango_source_id, _morango_partition) VALUES ($1, $2, '2026-01-01 00:00:00', NULL, TRUE, $2, '')`, facility(name), name)
	}
	if _, err := serialize.Run(t.Context(), env, partition.Filter{}, nil); err != nil {
		t.Fatal(err)
	}
	execute(t, d, `UPDATE morango_store SET conflicting_serialized_data = $1 WHERE id = $2`, fill(theirs+"\n"+third+"\n"), facility("f"))
	return env
}

func execute(t *testing.T, d *db.DB, query string, args ...any) {
	t.Helper()
	tables.Write(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), query, args...)
		return err
	})
}

// kept is the record in the store.
func kept(t *testing.T, d *db.DB) (c store.Conflict) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		c, err = store.GetConflict(t.Context(), tx, "facilitydata", facility("f"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func text(t *testing.T, d *db.DB, query string, args ...any) (found string) {
	t.Helper()
	if err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.QueryRow(t.Context(), query, args...).Scan(&found) }); err != nil {
		t.Fatal(err)
	}
	return found
}

const (
	row     = `SELECT name || '/' || CASE WHEN parent_id IS NULL THEN 'none' ELSE 'top' END FROM facility_profile_facility WHERE id = $1`
	counted = `SELECT CAST(counter AS text) FROM morango_recordmaxcounter WHERE store_model_id = $1`
)

func TestChoices(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for name, c := range map[string]struct {
			choice   resolve.Choice
			row      string
			contains string
		}{
			"ours":        {resolve.Choice{}, "f/none", `"name": "f"`},
			"theirs":      {resolve.Choice{Copy: 1}, "theirs/top", `"phone": 1.1`},
			"third":       {resolve.Choice{Copy: 2}, "third/none", `"now_date": "2026-01-01T00:00:00Z"`},
			"other":       {resolve.Choice{Set: map[string]string{"name": `"oth\u00e9r"`}}, "othér/none", `"name": "oth\u00e9r"`},
			"theirs, set": {resolve.Choice{Copy: 1, Set: map[string]string{"parent_id": "null", "new": "9007199254740993"}}, "theirs/none", `"new": 9007199254740993`},
		} {
			env := conflicted(t, d)
			c.choice.Version = resolve.VersionText(kept(t, d).Version)
			place, err := resolve.Run(t.Context(), env, facility("f"), c.choice)
			if err != nil || place != "" {
				t.Fatalf("%s: %q, %v", name, place, err)
			}
			end := kept(t, d)
			if end.Conflicting != "" || !end.Waiting || end.Deleted || end.Version.Counter != 2 || !strings.Contains(end.Serialized, c.contains) {
				t.Errorf("%s: the store has %+v", name, end)
			}
			if n := text(t, d, counted, end.ID); n != "2" {
				t.Errorf("%s: the history says %s", name, n)
			}
			if wantRef := strings.HasSuffix(c.row, "top"); (end.SelfRef == facility("top")) != wantRef {
				t.Errorf("%s: self-reference %q", name, end.SelfRef)
			}
			r, err := deserialize.Run(t.Context(), env, partition.Filter{}, deserialize.Options{}, nil)
			if err != nil || r.Applied != 1 {
				t.Fatalf("%s: %+v, %v", name, r, err)
			}
			if got := text(t, d, row, end.ID); got != c.row {
				t.Errorf("%s: the row is %s, want %s", name, got, c.row)
			}
			if out, err := serialize.Run(t.Context(), env, partition.Filter{}, nil); err != nil || out.Records != 0 {
				t.Errorf("%s: the row counts as changed: %+v, %v", name, out, err)
			}
		}
	})
}

// What cannot be done changes nothing.
func TestRefusals(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := conflicted(t, d)
		before := kept(t, d)
		unfit := errors.New("a *record.FieldError")
		for name, c := range map[string]struct {
			choice resolve.Choice
			want   error
		}{
			"no such copy":  {resolve.Choice{Copy: 3}, resolve.ErrNoCopy},
			"below zero":    {resolve.Choice{Copy: -1}, resolve.ErrNoCopy},
			"changed":       {resolve.Choice{Version: "0:0"}, resolve.ErrChanged},
			"no such value": {resolve.Choice{Set: map[string]string{"name": `""`}}, unfit},
			"another id":    {resolve.Choice{Set: map[string]string{"id": `"` + id + `"`}}, unfit},
			"no JSON":       {resolve.Choice{Set: map[string]string{"name": "theirs"}}, nil},
		} {
			_, err := resolve.Run(t.Context(), env, facility("f"), c.choice)
			if field := new(record.FieldError); errors.As(err, &field) {
				err = errors.Join(err, unfit)
			}
			if err == nil || !strings.Contains(err.Error(), facility("f")) || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: error %v, want %v", name, err, c.want)
			}
		}
		execute(t, d, `UPDATE facility_profile_facility SET _morango_dirty_bit = TRUE`)
		if _, err := resolve.Run(t.Context(), env, facility("f"), resolve.Choice{}); !errors.Is(err, resolve.ErrEdited) {
			t.Errorf("an edited row: %v", err)
		}
		execute(t, d, `UPDATE facility_profile_facility SET _morango_dirty_bit = FALSE`)
		execute(t, d, `INSERT INTO morango_deletedmodels (id, profile) VALUES ($1, 'facilitydata')`, facility("f"))
		if _, err := resolve.Run(t.Context(), env, facility("f"), resolve.Choice{}); !errors.Is(err, resolve.ErrEdited) {
			t.Errorf("a deleted row: %v", err)
		}
		if _, err := resolve.Run(t.Context(), env, facility("top"), resolve.Choice{}); !errors.Is(err, resolve.ErrNoConflict) {
			t.Errorf("no copies: %v", err)
		}
		if _, err := resolve.Run(t.Context(), env, id, resolve.Choice{}); !errors.Is(err, store.ErrNoRecord) {
			t.Errorf("no record: %v", err)
		}
		if diff := cmp.Diff(before, kept(t, d)); diff != "" {
			t.Errorf("refusals changed the record:\n%s", diff)
		}
	})
}

// A deleted record stays deleted with its own content, and comes back with a copy's.
func TestDeletedRecords(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for n, wantRows := range []string{"0", "1"} {
			env := conflicted(t, d)
			execute(t, d, `DELETE FROM facility_profile_facility WHERE id = $1`, facility("f"))
			execute(t, d, `UPDATE morango_store SET deleted = TRUE WHERE id = $1`, facility("f"))
			if _, err := resolve.Run(t.Context(), env, facility("f"), resolve.Choice{Copy: n}); err != nil {
				t.Fatal(err)
			}
			if _, err := deserialize.Run(t.Context(), env, partition.Filter{}, deserialize.Options{}, nil); err != nil {
				t.Fatal(err)
			}
			if got := text(t, d, `SELECT CAST(count(*) AS text) FROM facility_profile_facility WHERE id = $1`, facility("f")); got != wantRows {
				t.Errorf("copy %d: %s rows", n, got)
			}
			if end := kept(t, d); end.Deleted != (n == 0) || end.Conflicting != "" || end.Waiting {
				t.Errorf("copy %d: %+v", n, end)
			}
		}
	})
}

// Records of models that this build does not know can be settled too; no row follows.
func TestUnknownModels(t *testing.T) {
	d := dbtest.New(t)
	env := conflicted(t, d)
	execute(t, d, `UPDATE morango_store SET model_name = 'elsewhere' WHERE id = $1`, facility("f"))
	if _, err := resolve.Run(t.Context(), env, facility("f"), resolve.Choice{Copy: 2}); err != nil {
		t.Fatal(err)
	}
	if end := kept(t, d); !strings.Contains(end.Serialized, `"name": "third"`) {
		t.Errorf("the store has %+v", end)
	}
}

// Of several who settle one conflict at once, who looked at the same version, one does.
func TestAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := conflicted(t, d)
		facilities, _ := env.Profile.Model("facility")
		facilities.Merge = model.MergeRule{Kind: model.MergeFields, By: "now_date"}
		seen := resolve.VersionText(kept(t, d).Version)
		results := make([]error, 4)
		var all sync.WaitGroup
		for i := range results {
			all.Go(func() {
				_, results[i] = resolve.Run(t.Context(), env, facility("f"), resolve.Choice{Copy: 1 + i%2, Version: seen})
			})
		}
		all.Wait()
		done := 0
		for _, err := range results {
			if err == nil {
				done++
			} else if !errors.Is(err, resolve.ErrChanged) {
				t.Errorf("error %v", err)
			}
		}
		if end := kept(t, d); done != 1 || end.Version.Counter != 2 || !strings.Contains(end.Serialized, "_morango_fields") {
			t.Errorf("%d settled it: %+v", done, end)
		}
	})
}
