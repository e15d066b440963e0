// Package dbtest makes throwaway databases for tests.
//
// It belongs to the tables layer and imports db. Only tests import it.
package dbtest

import (
	"testing"

	"github.com/morango-go/morango/db"
)

// New returns an empty lean SQLite database in a temporary folder.
func New(t testing.TB) *db.DB { t.Helper(); panic("not written") }

// Django returns an empty SQLite database with the tables that Django makes for
// the reference, those of the test application included.
func Django(t testing.TB) *db.DB { t.Helper(); panic("not written") }

// SQLite runs f on an empty database of each SQLite layout.
func SQLite(t *testing.T, f func(*testing.T, *db.DB)) { t.Helper(); panic("not written") }

// Each runs f on an empty database of each layout and engine.
func Each(t *testing.T, f func(*testing.T, *db.DB)) { t.Helper(); panic("not written") }
