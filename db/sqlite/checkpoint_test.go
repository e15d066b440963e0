package sqlite

import (
	"context"
	"database/sql"
	"errors"
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
		if err := e.checkpoints.begun(t.Context(), nil); err != nil { // the bounds stay
			t.Fatal(err)
		}
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

// A large file has a longer WAL than a small one, from the next transactions on.
func TestBoundsOfTheWAL(t *testing.T) {
	for _, c := range []struct {
		pages int
		want  bounds
	}{{0, bounds{16_000, 64 << 20}}, {79_999, bounds{16_000, 64 << 20}}, {80_000, bounds{20_000, 20_000 * 8192 * 3 / 2}}, {1_000_000, bounds{32_000, 32_000 * 8192 * 3 / 2}}} {
		if got := boundsOf(c.pages, 8192); got != c.want {
			t.Errorf("a file of %d pages has the bounds %v, want %v", c.pages, got, c.want)
		}
	}
	e := small(t)
	set := func() (b bounds) {
		tx, err := e.Begin(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		err = errors.Join(tx.QueryRowContext(t.Context(), `PRAGMA wal_autocheckpoint`).Scan(&b.pages),
			tx.QueryRowContext(t.Context(), `PRAGMA journal_size_limit`).Scan(&b.bytes))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if got := set(); got != boundsOf(0, 512) {
		t.Errorf("a small file has the bounds %v, want %v", got, boundsOf(0, 512))
	}
	write(t, e, 90_000)
	for want := boundsOf(90_001, 512); set() != want; runtime.Gosched() {
		e.checkpoints.looked = e.checkpoints.looked.Add(-lookEvery)
	}
}
