package db_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/db/postgres"
	"github.com/morango-go/morango/db/sqlite"
)

func TestAttachFindsTheLayout(t *testing.T) {
	for want, d := range map[db.Layout]*db.DB{db.LayoutLean: dbtest.New(t), db.LayoutDjango: dbtest.Django(t)} {
		got, err := d.Attach(t.Context())
		if err != nil || got != want {
			t.Errorf("Attach gave layout %q and error %v, want %q", got, err, want)
		}
	}
	if got, err := dbtest.Postgres(t).Attach(t.Context()); err != nil || got != db.LayoutLean {
		t.Errorf("on PostgreSQL Attach gave layout %q and error %v, want lean", got, err)
	}
}

func TestCreateAgainChangesNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		before, err := d.Attach(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Create(t.Context(), db.LayoutLean); err != nil {
			t.Fatal(err)
		}
		if after, err := d.Attach(t.Context()); err != nil || after != before {
			t.Errorf("the layout was %q and is %q (%v)", before, after, err)
		}
	})
}

func TestAttachRefuses(t *testing.T) {
	for _, c := range []struct {
		name, change string
		want         error
	}{
		{"newer", `UPDATE morango_schema SET version = 1000`, db.ErrNewerSchema},
		{"no version", `DELETE FROM morango_schema`, db.ErrNotOurs},
		{"missing table", `DROP TABLE morango_nonce`, db.ErrNotOurs},
		{"missing column", `ALTER TABLE morango_store DROP COLUMN serialized`, db.ErrNotOurs},
		{"schema of something else", `ALTER TABLE morango_schema ADD COLUMN note text`, db.ErrNotOurs},
	} {
		for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
			t.Run(c.name+" "+string(d.Kind()), func(t *testing.T) {
				write(t, d, func(tx *db.Tx) error { _, err := tx.Exec(t.Context(), c.change); return err })
				if _, err := d.Attach(t.Context()); !errors.Is(err, c.want) {
					t.Errorf("Attach gave %v, want %v", err, c.want)
				}
				if err := d.Create(t.Context(), db.LayoutLean); !errors.Is(err, c.want) {
					t.Errorf("Create gave %v, want %v", err, c.want)
				}
			})
		}
	}
}

func TestADatabaseOfSomethingElse(t *testing.T) {
	d, err := db.Open(t.Context(), filepath.Join(t.TempDir(), "other.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Attach(t.Context()); !errors.Is(err, db.ErrNotInitialized) {
		t.Errorf("Attach to an empty file gave %v, want ErrNotInitialized", err)
	}
	write(t, d, func(tx *db.Tx) error { _, err := tx.Exec(t.Context(), `CREATE TABLE morango_store (x)`); return err })
	if _, err := d.Attach(t.Context()); !errors.Is(err, db.ErrNotOurs) {
		t.Errorf("Attach gave %v, want ErrNotOurs", err)
	}
	if err := d.Create(t.Context(), db.LayoutLean); !errors.Is(err, db.ErrNotOurs) {
		t.Errorf("Create gave %v, want ErrNotOurs", err)
	}
}

// A database with the first version of the lean layout is brought up to date when it
// is attached to, and keeps what it has.
func TestAttachUpdatesTheFirstVersion(t *testing.T) {
	for target, schema := range map[string]interface{ Migrations() ([]string, error) }{
		filepath.Join(t.TempDir(), "first.db"): sqlite.Dialect{}, dbtest.PostgresEmptyURL(t): postgres.Dialect{},
	} {
		d, err := db.Open(t.Context(), target, db.Options{})
		if err != nil {
			t.Fatal(err)
		}
		scripts, err := schema.Migrations()
		if err != nil {
			t.Fatal(err)
		}
		write(t, d, func(tx *db.Tx) error {
			for _, s := range []string{scripts[0], `INSERT INTO morango_schema (version) VALUES (1)`,
				`INSERT INTO morango_databasemaxcounter (instance_id, partition, counter) VALUES ('0123456789abcdef0123456789abcdef', 'p', 7)`} {
				if _, err := tx.Exec(t.Context(), s); err != nil {
					return err
				}
			}
			return nil
		})
		if layout, err := d.Attach(t.Context()); err != nil || layout != db.LayoutLean {
			t.Errorf("%s: Attach gave %q, %v", d.Kind(), layout, err)
		}
		var version, kept, columns int
		err = d.Read(t.Context(), func(tx *db.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT (SELECT max(version) FROM morango_schema),
				(SELECT max(counter) FROM morango_databasemaxcounter), (SELECT count(*) FROM morango_column)`).Scan(&version, &kept, &columns)
		})
		if err != nil || version != len(scripts) || version < 2 || kept != 7 || columns != 0 {
			t.Errorf("%s: version %d, counter %d, %d columns (%v)", d.Kind(), version, kept, columns, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
