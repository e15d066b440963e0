package app_test

import (
	"context"
	"errors"
	"testing"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/model"
)

// writes are the ways in which rows get into a table.
var writes = map[string]func(context.Context, *db.Tx, *model.Model, []app.Row) error{
	"insert": app.Insert, "overwrite": app.Overwrite, "upsert": app.Upsert}

// write writes rows in one of the ways, and rolls back if that fails.
func write(t *testing.T, d *db.DB, way, name string, rows ...app.Row) error {
	t.Helper()
	m, _ := school().Model(name)
	return d.Write(t.Context(), func(tx *db.Tx) error {
		if err := tx.Capture(t.Context(), false); err != nil {
			return err
		}
		return writes[way](t.Context(), tx, m, rows)
	})
}

func person(digit, name string, order int64) app.Row {
	return app.Row{ID: id(digit), Values: []any{id(digit), "s", "p", name, order, nil}}
}

func group(digit, kind, name string) app.Row {
	return app.Row{ID: id(digit), Values: []any{id(digit), "s", "p", name, kind, nil}}
}

// Each way writes rows clean and uncaptured, keeps local columns of rows that are there,
// touches no other rows, and leaves nothing behind where it fails.
func TestWaysIn(t *testing.T) {
	for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
		initialize(t, d, school())
		want := func(what string, err, is error, query, found string) {
			t.Helper()
			if !errors.Is(err, is) {
				t.Errorf("%s: error %v, want %v", what, err, is)
			}
			if got := ids(t, d, query); got != found {
				t.Errorf("%s: %s, want %s", what, got, found)
			}
		}
		const persons = `SELECT id FROM person WHERE NOT _morango_dirty_bit AND `
		want("new", write(t, d, "insert", "person", person("1", "ann", 1), person("2", "bob", 2)), nil, persons+`"order" < 3`, "12")
		want("taken", write(t, d, "insert", "person", person("3", "cem", 3), person("1", "eve", 1)), app.ErrTogether, persons+"name <> ''", "12")
		apply(t, d, "UPDATE person SET seen = '2026-03-02 08:13:52', _morango_dirty_bit = (id = '"+id("1")+"')")
		want("known", write(t, d, "overwrite", "person", person("1", "ada", 5)), nil, persons+`name = 'ada' AND "order" = 5 AND seen IS NOT NULL`, "1")
		if err := write(t, d, "overwrite", "person", person("1", "eve", 6), person("2", "eve", 6)); !db.IsConstraint(err) {
			t.Errorf("clash: error %v", err)
		}
		want("clash", nil, nil, persons+`"order" = 6`, "")
		want("both", write(t, d, "upsert", "person", person("1", "ann", 7), person("4", "dan", 7)), nil, persons+`"order" = 7`, "14")
		want("upsert", nil, nil, persons+`seen IS NOT NULL`, "12")

		const groups = `SELECT id FROM "it's a ""group""" WHERE NOT _morango_dirty_bit AND `
		want("shared", write(t, d, "insert", "class", group("5", "class", "a"), group("6", "class", "b")), nil, groups+"kind = 'class'", "56")
		want("shared, known", write(t, d, "overwrite", "class", group("5", "class", "x"), group("6", "class", "x")), nil, groups+"name = 'x'", "56")
		want("another's", write(t, d, "overwrite", "club", group("5", "club", "y")), app.ErrOtherModel, groups+"name = 'x'", "56")
		want("another's", write(t, d, "upsert", "club", group("5", "club", "y")), app.ErrOtherModel, groups+"name = 'x'", "56")
		want("captured", nil, nil, dirty+" UNION ALL "+gone, "")
	}
}

// A look at a range of ids finds the rows in it, and only these.
func TestBetween(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		apply(t, d, "INSERT INTO morango_deletedmodels (id, profile) VALUES ('"+id("3")+"', 'x'), ('"+id("7")+"', 'x')")
		for ends, want := range map[string]bool{"12": false, "13": true, "33": true, "38": true, "46": false, "57": true, "8f": false, "0f": true} {
			err := d.Read(t.Context(), func(tx *db.Tx) error {
				found, err := app.Between(t.Context(), tx, "morango_deletedmodels", id(ends[:1]), id(ends[1:]))
				if found != want {
					t.Errorf("from %s: %v", ends, found)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
