package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"
	"runtime"
	"testing"
)

// small makes a database of small pages, so that little is many.
func small(t *testing.T) *Engine {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.db")
	d, err := sql.Open("sqlite", path+"?_pragma=page_size(512)")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Exec(`CREATE TABLE a (b)`); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	e, err := Open(t.Context(), path, false, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// write commits so many pages.
func write(t *testing.T, e *Engine, pages int) {
	t.Helper()
	tx, err := e.Begin(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), `INSERT INTO a VALUES (zeroblob($1))`, pages*508); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// wal is how many pages the WAL has, and how many of them are in the file too.
func wal(t *testing.T, e *Engine) (pages, copied int) {
	t.Helper()
	var busy int
	if err := e.readers.QueryRowContext(context.Background(), `PRAGMA wal_checkpoint(NOOP)`).Scan(&busy, &pages, &copied); err != nil {
		t.Fatal(err)
	}
	return pages, copied
}

// What was committed is copied into the file while the writer has a transaction open, by
// somebody else.
func TestCheckpointsBesideTheWriter(t *testing.T) {
	e := small(t)
	write(t, e, backlog/2)
	write(t, e, backlog)
	tx, err := e.Begin(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	for copied := 0; copied < backlog; _, copied = wal(t, e) {
		e.checkpoints.looked = e.checkpoints.looked.Add(-lookEvery)
		e.checkpoints.begun()
		runtime.Gosched()
	}
}

// However long somebody writes without a rest, the WAL begins anew.
func TestTheWALBeginsAnew(t *testing.T) {
	e := small(t)
	for pages, written := 0, 0; pages >= written; pages, _ = wal(t, e) {
		write(t, e, backlog/4)
		written += backlog / 4
		if written > 100*backlog {
			t.Fatalf("of %d pages that were written one after the other %d are in the WAL", written, pages)
		}
	}
}
