package app_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/model"
)

// rows that exist and are clean before each change: persons 1 and 2, class 3, club
// 4, a group 5 of no model, visit 6 of person 2.
var before = []string{
	`INSERT INTO person (id, name, _morango_dirty_bit) VALUES ('` + id("1") + `', 'Ann', FALSE), ('` + id("2") + `', 'Bob', FALSE)`,
	`INSERT INTO "it's a ""group""" (id, kind, _morango_dirty_bit) VALUES
		('` + id("3") + `', 'class', FALSE), ('` + id("4") + `', 'club', FALSE), ('` + id("5") + `', 'other', FALSE)`,
	`INSERT INTO visit (id, person_id, _morango_dirty_bit) VALUES ('` + id("6") + `', '` + id("2") + `', FALSE)`,
}

// change is what a program does, and what must have been captured afterwards: ids of
// dirty rows and of deletions recorded of rows that are not there.
type change struct {
	name, statement string
	dirty, gone     string
}

// expand puts ids in place of #1 and so on.
func expand(text string) string {
	for _, digit := range strings.Split("123456789", "") {
		text = strings.ReplaceAll(text, "#"+digit, "'"+id(digit)+"'")
	}
	return text
}

var changes = []change{
	{"insert", `INSERT INTO person (id, name) VALUES (#7, 'Cid')`, "7", ""},
	{"insert as clean", `INSERT INTO person (id, name, _morango_dirty_bit) VALUES (#7, 'Cid', FALSE)`, "7", ""},
	{"insert by select", `INSERT INTO visit (id, person_id, good, _morango_dirty_bit) SELECT #7, person_id, good, FALSE FROM visit`, "7", ""},
	{"update", `UPDATE person SET name = 'Cid' WHERE id = #1`, "1", ""},
	{"update all", `UPDATE person SET "order" = 1`, "12", ""},
	{"update to the same", `UPDATE person SET name = name WHERE id = #1`, "1", ""},
	{"update that says clean", `UPDATE person SET name = 'Cid', _morango_dirty_bit = FALSE WHERE id = #1`, "1", ""},
	{"update of a local column", `UPDATE person SET seen = '2026-01-01 00:00:00'`, "", ""},
	{"update of the partition", `UPDATE person SET _morango_partition = 'x' WHERE id = #1`, "1", ""},
	{"update of the id", `UPDATE person SET id = #8 WHERE id = #1`, "8", "1"},
	{"update of the id to the same", `UPDATE person SET id = id WHERE id = #1`, "1", ""},
	{"delete", `DELETE FROM person WHERE id = #1`, "", "1"},
	{"delete all", `DELETE FROM visit; DELETE FROM person`, "", "126"},
	{"delete twice", `DELETE FROM person WHERE id = #1; INSERT INTO person (id, name) VALUES (#1, 'Ann'); DELETE FROM person WHERE id = #1`, "", "1"},
	{"delete and insert again", `DELETE FROM person WHERE id = #1; INSERT INTO person (id, name) VALUES (#1, 'Ann')`, "1", ""},
	{"delete in a shared table", `DELETE FROM "it's a ""group"""`, "", "34"},
	{"leave a shared table's models", `UPDATE "it's a ""group""" SET kind = 'other' WHERE id IN (#3, #5)`, "35", ""},
	{"upsert that inserts", `INSERT INTO person (id, name) VALUES (#7, 'Cid') ON CONFLICT (name) DO UPDATE SET "order" = 1`, "7", ""},
	{"upsert that updates", `INSERT INTO person (id, name) VALUES (#7, 'Ann') ON CONFLICT (name) DO UPDATE SET "order" = 1`, "1", ""},
	{"upsert that does nothing", `INSERT INTO person (id, name) VALUES (#7, 'Ann') ON CONFLICT DO NOTHING`, "", ""},
	{"roll back", `BEGIN; DELETE FROM person WHERE id = #1; UPDATE person SET name = 'x'; ROLLBACK`, "", ""},
}

var sqliteChanges = []change{
	{"replace", `REPLACE INTO person (id, name) VALUES (#1, 'Cid')`, "1", ""},
	{"replace as clean", `REPLACE INTO person (id, name, _morango_dirty_bit) VALUES (#1, 'Cid', 0)`, "1", ""},
	{"replace through a unique column", `REPLACE INTO person (id, name) VALUES (#7, 'Ann')`, "7", "1"},
	{"replace of two", `REPLACE INTO person (id, name) VALUES (#1, 'Bob')`, "1", "2"},
	{"update or replace", `UPDATE OR REPLACE person SET name = 'Ann' WHERE id = #2`, "2", "1"},
	{"update or replace of the id", `UPDATE OR REPLACE person SET id = #1 WHERE id = #2`, "1", "2"},
	{"insert or ignore", `INSERT OR IGNORE INTO person (id, name) VALUES (#7, 'Ann')`, "", ""},
	{"insert or abort after a deletion", `DELETE FROM person WHERE id = #1; INSERT INTO person (id, name) VALUES (#1, 'Ann');
		UPDATE OR ABORT person SET id = #8 WHERE id = #1`, "8", "1"},
}

var postgresChanges = []change{
	{"truncate", `TRUNCATE visit`, "", "6"},
	{"truncate more", `TRUNCATE person, visit`, "", "126"},
	{"truncate a shared table", `TRUNCATE "it's a ""group"""`, "", "34"},
}

// program is a connection that knows nothing of the engine.
func program(t *testing.T, driver, source string) *sql.DB {
	t.Helper()
	p, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestEveryStatementIsCaptured(t *testing.T) {
	for _, recursive := range []string{"off", "on"} {
		t.Run("sqlite, recursive triggers "+recursive, func(t *testing.T) {
			d := dbtest.New(t)
			initialize(t, d, school())
			other := program(t, "sqlite", "file:"+d.Path()+"?_busy_timeout=20000&_pragma=recursive_triggers("+recursive+")")
			captured(t, d, other, append(changes, sqliteChanges...))
		})
	}
	t.Run("postgres", func(t *testing.T) {
		url := dbtest.PostgresURL(t)
		d, err := db.Open(t.Context(), url, db.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		initialize(t, d, school())
		captured(t, d, program(t, "pgx", url), append(changes, postgresChanges...))
	})
}

func captured(t *testing.T, d *db.DB, other *sql.DB, changes []change) {
	for _, c := range changes {
		apply(t, d, append([]string{`DELETE FROM visit`, `DELETE FROM person`, `DELETE FROM "it's a ""group"""`,
			`DELETE FROM morango_deletedmodels`}, before...)...)
		if got := ids(t, d, dirty) + ids(t, d, gone); got != "" {
			t.Fatalf("the engine's own writes were captured: %s", got)
		}
		if _, err := other.Exec(expand(c.statement)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := ids(t, d, dirty); got != c.dirty {
			t.Errorf("%s: dirty rows %q, want %q", c.name, got, c.dirty)
		}
		if got := ids(t, d, gone); got != c.gone {
			t.Errorf("%s: recorded deletions %q, want %q", c.name, got, c.gone)
		}
	}
}

// The engine's writes, of whatever kind, are not captured, and the transaction's
// next ones are when capture is on again.
func TestCaptureOffAndOn(t *testing.T) {
	for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
		initialize(t, d, school())
		apply(t, d, before...)
		apply(t, d, expand(`UPDATE person SET name = 'x' WHERE id = #1`), expand(`DELETE FROM visit`),
			expand(`UPDATE person SET id = #8 WHERE id = #2`), expand(`INSERT INTO person (id, name, _morango_dirty_bit) VALUES (#7, 'y', FALSE)`))
		if got := ids(t, d, dirty) + ids(t, d, gone); got != "" {
			t.Errorf("%s: captured %q of the engine's own writes", d.Kind(), got)
		}
		run(t, d, func(tx *db.Tx) error {
			for _, step := range []struct {
				on        bool
				statement string
			}{{false, `DELETE FROM person WHERE id = #7`}, {true, `DELETE FROM person WHERE id = #8`}, {false, `UPDATE person SET name = 'z'`}} {
				if err := tx.Capture(t.Context(), step.on); err != nil {
					return err
				}
				if _, err := tx.Exec(t.Context(), expand(step.statement)); err != nil {
					return err
				}
			}
			return nil
		})
		if got, want := ids(t, d, dirty)+"/"+ids(t, d, gone), "/8"; got != want {
			t.Errorf("%s: captured %q, want %q", d.Kind(), got, want)
		}
		run(t, d, func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), expand(`DELETE FROM person WHERE id = #1`))
			return err
		})
		if got := ids(t, d, gone); got != "18" {
			t.Errorf("%s: after a commit capture is not on again: deletions %q", d.Kind(), got)
		}
	}
}

// On SQLite a flag that were left raised would blind the triggers for everybody: it
// cannot be committed.
func TestRaisedFlagCannotBeCommitted(t *testing.T) {
	d := dbtest.New(t)
	raw, err := program(t, "sqlite", "file:"+d.Path()+"?_foreign_keys=on").Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Adopt(db.SQLite, raw).Capture(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if err := raw.Commit(); !db.IsConstraint(err) {
		t.Errorf("the commit gave %v, want a broken constraint", err)
	}
	_ = raw.Rollback()
}

// While the engine writes with capture off, an application's write in another
// transaction is captured. SQLite lets only one of them write at a time.
func TestOthersAreCapturedMeanwhile(t *testing.T) {
	url := dbtest.PostgresURL(t)
	d, err := db.Open(t.Context(), url, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	initialize(t, d, school())
	apply(t, d, before...)
	other := program(t, "pgx", url)
	run(t, d, func(tx *db.Tx) error {
		if err := tx.Capture(t.Context(), false); err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), expand(`UPDATE person SET name = 'x' WHERE id = #1`)); err != nil {
			return err
		}
		_, err := other.Exec(expand(`UPDATE person SET name = 'y' WHERE id = #2`))
		return err
	})
	if got := ids(t, d, dirty); got != "2" {
		t.Errorf("dirty rows %q, want the other program's only", got)
	}
}

func TestTriggersFollowTheProfile(t *testing.T) {
	for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
		p := school()
		initialize(t, d, p)
		neighbour := &model.Profile{Name: "school_2", Capture: model.CaptureTriggers}
		initialize(t, d, neighbour) // its name begins like the other's: it must leave that one's triggers alone
		p.Models = p.Models[:3]     // visit leaves
		p.Models[0].Columns[5].Local = false
		initialize(t, d, p)
		initialize(t, d, p)
		apply(t, d, before...)
		run(t, d, func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), expand(`UPDATE person SET seen = NULL WHERE id = #1`))
			if err == nil {
				_, err = tx.Exec(t.Context(), `DELETE FROM visit`)
			}
			return err
		})
		if got, want := ids(t, d, dirty)+"/"+ids(t, d, gone), "1/"; got != want {
			t.Errorf("%s: captured %q, want %q", d.Kind(), got, want)
		}
		p.Capture = model.CaptureApplication
		run(t, d, func(tx *db.Tx) error {
			if err := app.CreateTriggers(t.Context(), tx, p); err != nil {
				return err
			}
			_, err := tx.Exec(t.Context(), `UPDATE person SET name = name || 'x'`)
			return err
		})
		if got := ids(t, d, dirty); got != "1" {
			t.Errorf("%s: triggers are left although the application captures: dirty rows %q", d.Kind(), got)
		}
	}
}
