// Package dbtest makes throwaway databases for tests.
//
// It belongs to the tables layer and imports db. Only tests import it.
package dbtest

import (
	_ "embed"
	"path/filepath"
	"testing"

	"github.com/morango-go/morango/db"
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

// The tables that Django makes for the reference, those of the test application
// included.
//
//go:embed testdata/django-sqlite.sql
var djangoSQLite string

// Django returns an empty SQLite database with the tables that Django makes for
// the reference, those of the test application included.
func Django(t testing.TB) *db.DB {
	t.Helper()
	d := open(t, filepath.Join(t.TempDir(), "django.sqlite3"))
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), djangoSQLite)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
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
}
