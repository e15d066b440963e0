package app_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// physical lists what the tables of the test app are made of: columns with type,
// nullability, default and key, unique columns, foreign keys, and that each foreign
// key has an index. Names of indexes and constraints are left out: they are our own.
var physical = map[db.Kind][]string{
	db.SQLite: {
		`SELECT t.name || '.' || c.name || ' ' || c.type || ' ' || c."notnull" || c.pk || coalesce(c.dflt_value, '-')
			FROM sqlite_master t JOIN pragma_table_xinfo(t.name) c WHERE t.type = 'table' AND t.name LIKE 'facility%'`,
		`SELECT t.name || ' unique ' || c.name || i.partial FROM sqlite_master t JOIN pragma_index_list(t.name) i JOIN pragma_index_info(i.name) c
			WHERE t.type = 'table' AND t.name LIKE 'facility%' AND i."unique"`,
		`SELECT t.name || ' -> ' || f."table" || '.' || f."to" || f.on_delete || (t.sql LIKE '%' || f."from" || '%DEFERRABLE INITIALLY DEFERRED%') ||
				EXISTS (SELECT 1 FROM pragma_index_list(t.name) i JOIN pragma_index_info(i.name) c WHERE c.name = f."from" AND c.seqno = 0)
			FROM sqlite_master t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table' AND t.name LIKE 'facility%'`,
	},
	db.Postgres: {
		`SELECT concat_ws(' ', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attcollation, pg_get_expr(d.adbin, d.adrelid))
			FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
			WHERE c.relkind = 'r' AND c.relname LIKE 'facility%'`,
		`SELECT c.relname || ' ' || pg_get_constraintdef(o.oid) FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid WHERE c.relname LIKE 'facility%'`,
		`SELECT c.relname || ' ' || EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indkey[0] = o.conkey[1])
			FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid WHERE c.relname LIKE 'facility%' AND o.contype = 'f'`,
		`SELECT t.tgname FROM pg_trigger t WHERE NOT t.tgisinternal`,
	},
}

// Where the application captures changes, the tables we create are Django's.
func TestTablesAreDjangos(t *testing.T) {
	p := profile(t, "testapp.yaml")
	for ours, theirs := range map[*db.DB]*db.DB{dbtest.New(t): dbtest.Django(t), dbtest.Postgres(t): dbtest.PostgresDjango(t)} {
		before := describe(t, theirs)
		for _, d := range []*db.DB{ours, theirs} {
			run(t, d, func(tx *db.Tx) error { return app.CreateTables(t.Context(), tx, p) })
		}
		got, want := describe(t, ours), describe(t, theirs)
		if diff := cmp.Diff(want, got); diff != "" || len(want) < 30 {
			t.Errorf("%s: created (-Django's +ours):\n%s", ours.Kind(), diff)
		}
		if diff := cmp.Diff(before, want); diff != "" {
			t.Errorf("%s: Django's own tables were changed:\n%s", ours.Kind(), diff)
		}
	}
}

func describe(t *testing.T, d *db.DB) (lines []string) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		for _, query := range physical[d.Kind()] {
			found, err := texts(t, tx, query)
			if err != nil {
				return err
			}
			lines = append(lines, found...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

func texts(t *testing.T, tx *db.Tx, query string) (found []string, err error) {
	rows, err := tx.Query(t.Context(), query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		found = append(found, text)
	}
	return found, rows.Err()
}

// A table that the application keeps, and that lacks a Morango column, is refused.
func TestTablesOfTheApplicationAreOnlyChecked(t *testing.T) {
	for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
		p := school()
		p.Capture = model.CaptureApplication
		run(t, d, func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), existing[d.Kind()][0])
			return err
		})
		err := d.Write(t.Context(), func(tx *db.Tx) error { return app.CreateTables(t.Context(), tx, p) })
		if err == nil || !strings.Contains(err.Error(), "person has no column _morango_dirty_bit") || !strings.Contains(err.Error(), "capture: triggers") {
			t.Errorf("%s: got %v", d.Kind(), err)
		}
	}
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
