package app_test

import (
	"strings"
	"testing"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/model"
)

// profiles that stand in testdata.
func profile(t *testing.T, path string) *model.Profile {
	t.Helper()
	p, err := model.LoadFile("../testdata/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTablesOfEveryProfile(t *testing.T) {
	for _, path := range []string{"testapp.yaml", "kolibri/facilitydata.yaml"} {
		for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
			p := profile(t, path)
			initialize(t, d, p)
			p.Capture = model.CaptureTriggers
			initialize(t, d, p)
			err := d.Read(t.Context(), func(tx *db.Tx) error {
				for _, m := range p.Models {
					var columns []string
					for _, c := range m.Columns {
						columns = append(columns, db.Quote(c.Name))
					}
					query := `SELECT ` + strings.Join(columns, ", ") + `, _morango_dirty_bit FROM ` + db.Quote(m.Table)
					rows, err := tx.Query(t.Context(), query)
					if err != nil {
						return err
					}
					if err := rows.Close(); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Errorf("%s on %s: %v", path, d.Kind(), err)
			}
		}
	}
}

// The tables we create and those that Django makes have the same declared types.
func TestTypesAreDjangos(t *testing.T) {
	const declared = `SELECT t.name, c.name, c.type, c."notnull", c.pk FROM sqlite_master t JOIN pragma_table_info(t.name) c
		WHERE t.type = 'table' AND t.name LIKE 'facility%' ORDER BY t.name, c.name`
	ours, theirs := dbtest.New(t), dbtest.Django(t)
	initialize(t, ours, profile(t, "testapp.yaml"))
	got, want := dump(t, ours, declared), dump(t, theirs, declared)
	if got != want {
		t.Errorf("created:\n%s\nDjango's:\n%s", got, want)
	}
}

func dump(t *testing.T, d *db.DB, query string) string {
	t.Helper()
	var b strings.Builder
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		rows, err := tx.Query(t.Context(), query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var line [5]string
			if err := rows.Scan(&line[0], &line[1], &line[2], &line[3], &line[4]); err != nil {
				return err
			}
			b.WriteString(strings.Join(line[:], " ") + "\n")
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A program that knows nothing of Morango may leave out what has a plain default.
func TestDefaultsStandInTheTable(t *testing.T) {
	for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
		initialize(t, d, school())
		run(t, d, func(tx *db.Tx) error {
			if _, err := tx.Exec(t.Context(), expand(`INSERT INTO person (id, name) VALUES (#1, 'Ann')`)); err != nil {
				return err
			}
			if _, err := tx.Exec(t.Context(), expand(`INSERT INTO "it's a ""group""" (id, kind) VALUES (#3, 'club')`)); err != nil {
				return err
			}
			var order int
			var source, name string
			query := `SELECT p."order", p._morango_source_id, g.name FROM person p, "it's a ""group""" g`
			if err := tx.QueryRow(t.Context(), query).Scan(&order, &source, &name); err != nil {
				return err
			}
			if order != 7 || source != "" || name != "it's" {
				t.Errorf("%s: defaults are %d, %q, %q", d.Kind(), order, source, name)
			}
			return nil
		})
	}
}

// existing are an application's own tables, from before Morango.
var existing = map[db.Kind][]string{
	db.SQLite: {
		`CREATE TABLE person (id text PRIMARY KEY, name text UNIQUE, "order" integer, seen text, more text)`,
		`CREATE TABLE visit (id char(32) PRIMARY KEY, good bool, person_id char(32) REFERENCES person (id) ON DELETE CASCADE)`,
	},
	db.Postgres: {
		`CREATE TABLE person (id uuid PRIMARY KEY, name text UNIQUE, "order" integer, seen timestamptz, more text)`,
		`CREATE TABLE visit (id uuid PRIMARY KEY, good boolean, person_id uuid REFERENCES person (id) ON DELETE CASCADE)`,
	},
}

func TestExistingTablesAreCompleted(t *testing.T) {
	for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
		run(t, d, func(tx *db.Tx) error {
			for _, s := range append(existing[d.Kind()], `INSERT INTO person (id, name) VALUES (#1, 'Ann'), (#2, 'Bob')`,
				`INSERT INTO visit (id, person_id) VALUES (#6, #1)`) {
				if _, err := tx.Exec(t.Context(), expand(s)); err != nil {
					return err
				}
			}
			return nil
		})
		initialize(t, d, school())
		if got := ids(t, d, dirty); got != "126" {
			t.Errorf("%s: dirty rows %q, want all that were there", d.Kind(), got)
		}
		apply(t, d, `UPDATE person SET _morango_dirty_bit = FALSE`, `UPDATE visit SET _morango_dirty_bit = FALSE`)
		run(t, d, func(tx *db.Tx) error {
			if _, err := tx.Exec(t.Context(), `UPDATE person SET more = 'not in the profile'`); err != nil {
				return err
			}
			_, err := tx.Exec(t.Context(), expand(`DELETE FROM person WHERE id = #1`))
			return err
		})
		if got, want := ids(t, d, dirty)+"/"+ids(t, d, gone), "/16"; got != want {
			t.Errorf("%s: captured %q, want %q: the deleted row and the one that a cascade took", d.Kind(), got, want)
		}
	}
}

func TestTablesThatCannotBeSyncedAreNamed(t *testing.T) {
	for _, c := range []struct {
		table string
		kinds []db.Kind
		want  string
	}{
		{`CREATE TABLE person (id integer PRIMARY KEY, name text, "order" integer, seen text)`, []db.Kind{db.SQLite, db.Postgres}, "32 hex digits"},
		{`CREATE TABLE person (id uuid PRIMARY KEY, name text, "order" integer, seen text)`, []db.Kind{db.SQLite}, "32 hex digits"},
		{`CREATE TABLE person (name text PRIMARY KEY, id char(32), "order" integer, seen text)`, []db.Kind{db.SQLite, db.Postgres}, "primary key is (name)"},
		{`CREATE TABLE person (id char(32), name char(32), "order" integer, seen text, PRIMARY KEY (id, name))`, []db.Kind{db.SQLite, db.Postgres}, "primary key is (id, name)"},
		{`CREATE TABLE person (id char(32), name text, "order" integer, seen text)`, []db.Kind{db.SQLite, db.Postgres}, "primary key is ()"},
		{`CREATE TABLE person (id text PRIMARY KEY, name text, seen text)`, []db.Kind{db.SQLite}, "no column order"},
	} {
		for _, kind := range c.kinds {
			d := dbtest.New(t)
			if kind == db.Postgres {
				d = dbtest.Postgres(t)
			}
			run(t, d, func(tx *db.Tx) error { _, err := tx.Exec(t.Context(), c.table); return err })
			err := d.Write(t.Context(), func(tx *db.Tx) error { return app.CreateTables(t.Context(), tx, school()) })
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "table person") {
				t.Errorf("%s: %s gave %v, want %q", kind, c.table, err, c.want)
			}
		}
	}
}
