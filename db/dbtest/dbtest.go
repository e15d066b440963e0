// Package dbtest makes throwaway databases for tests.
//
// It serves tests only. It imports db and, for the tables that Django made,
// internal/conformance.
package dbtest

import (
	"path/filepath"
	"regexp"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/internal/conformance"
)

// New returns an empty lean SQLite database in a temporary folder.
func New(t testing.TB) *db.DB {
	t.Helper()
	d := open(t, filepath.Join(t.TempDir(), "lean.sqlite3"))
	if err := d.Create(t.Context(), db.LayoutLean); err != nil {
		t.Fatal(err)
	}
	return d
}

// Django returns an empty SQLite database with the tables that Django made for the
// reference, as recorded, those of the test application included.
func Django(t testing.TB) *db.DB {
	t.Helper()
	d := open(t, filepath.Join(t.TempDir(), "django.sqlite3"))
	execute(t, d, string(conformance.File(t, "schema/sqlite.sql")))
	return d
}

// settings are the lines of a recorded PostgreSQL schema that change the connection
// and not the database: commands of psql and settings.
var settings = regexp.MustCompile(`(?m)^(\\|SET |SELECT pg_catalog\.set_config).*$`)

// djangoPostgres is the recorded schema of a PostgreSQL database that Django made.
func djangoPostgres(t testing.TB) string {
	return settings.ReplaceAllString(string(conformance.File(t, "schema/postgres.sql")), "")
}

// execute runs a script.
func execute(t testing.TB, d *db.DB, script string) {
	t.Helper()
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), script)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, target string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), target, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// SQLite runs f on an empty database of each SQLite layout.
func SQLite(t *testing.T, f func(*testing.T, *db.DB)) {
	t.Helper()
	t.Run("sqlite-lean", func(t *testing.T) { f(t, New(t)) })
	t.Run("sqlite-django", func(t *testing.T) { f(t, Django(t)) })
}

// Each runs f on an empty database of each layout and engine.
func Each(t *testing.T, f func(*testing.T, *db.DB)) {
	t.Helper()
	SQLite(t, f)
	t.Run("postgres-lean", func(t *testing.T) { f(t, Postgres(t)) })
	t.Run("postgres-django", func(t *testing.T) { f(t, PostgresDjango(t)) })
}
