package db_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
)

const (
	addNonce    = `INSERT INTO morango_nonce (id, timestamp, ip) VALUES ($1, $2, '')`
	countNonces = `SELECT count(*) FROM morango_nonce`
	idA         = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	idB         = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func write(t *testing.T, d *db.DB, f func(*db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, d *db.DB, query string, args ...any) (n int) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.QueryRow(t.Context(), query, args...).Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWriteCommitsOrLeavesNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		add := func(id string) func(*db.Tx) error {
			return func(tx *db.Tx) error { _, err := tx.Exec(ctx, addNonce, id, tx.Time(time.Now())); return err }
		}
		write(t, d, add(idA))
		refused := errors.New("no")
		err := d.Write(ctx, func(tx *db.Tx) error { return errors.Join(add(idB)(tx), refused) })
		if !errors.Is(err, refused) {
			t.Errorf("Write gave %v, want the error of its function", err)
		}
		func() {
			defer func() { _ = recover() }()
			_ = d.Write(ctx, func(tx *db.Tx) error { _ = add(idB)(tx); panic("halfway") })
		}()
		if n := count(t, d, countNonces); n != 1 {
			t.Errorf("%d rows, want the one that was committed", n)
		}
		write(t, d, add(idB)) // the connection of the panic is free again
		if err := d.Write(ctx, add(idA)); !db.IsConstraint(err) {
			t.Errorf("writing a row twice gave %v, want a broken constraint", err)
		}
	})
}

func TestReadSeesOneSnapshotWhileOthersWrite(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		err := d.Read(ctx, func(tx *db.Tx) error {
			for range 3 {
				var n int
				if err := tx.QueryRow(ctx, countNonces).Scan(&n); err != nil {
					return err
				}
				if n != 0 {
					t.Errorf("a snapshot changed: %d rows", n)
				}
				write(t, d, func(w *db.Tx) error {
					_, err := w.Exec(ctx, `DELETE FROM morango_nonce`)
					_, err2 := w.Exec(ctx, addNonce, idA, w.Time(time.Now()))
					return errors.Join(err, err2)
				})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, d, countNonces); n != 1 {
			t.Errorf("%d rows after the writes, want 1", n)
		}
	})
}

func TestReadRefusesWrites(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		err := d.Read(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), addNonce, idA, tx.Time(time.Now()))
			return err
		})
		if err == nil {
			t.Error("a write in Read succeeded")
		}
	})
}

// Every writer reads a counter and writes it back raised: what is lost when two of
// them run on the same state.
func TestConcurrentWritersLoseNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const writers, rounds = 6, 8
		write(t, d, func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO morango_databasemaxcounter (instance_id, partition, counter) VALUES ($1, '', 0)`, idA)
			return err
		})
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				for range rounds {
					if err := d.Write(t.Context(), func(tx *db.Tx) error { return raise(t.Context(), tx) }); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		if n := count(t, d, `SELECT counter FROM morango_databasemaxcounter`); n != writers*rounds {
			t.Errorf("the counter is %d after %d raises", n, writers*rounds)
		}
	})
}

func raise(ctx context.Context, tx *db.Tx) error {
	var n int
	if err := tx.QueryRow(ctx, `SELECT counter FROM morango_databasemaxcounter WHERE instance_id = $1`, idA).Scan(&n); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE morango_databasemaxcounter SET counter = $1 WHERE instance_id = $2`, n+1, idA)
	return err
}

func TestOpenRefusesWithAHint(t *testing.T) {
	folder := t.TempDir()
	text := filepath.Join(folder, "notes.txt")
	if err := os.WriteFile(text, []byte("this is plainly not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(folder, "short")
	if err := os.WriteFile(short, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		target  string
		options db.Options
		want    string
	}{
		{text, db.Options{}, "is not a SQLite database"},
		{short, db.Options{}, "is not a SQLite database"},
		{folder, db.Options{}, "is a folder"},
		{filepath.Join(folder, "none"), db.Options{MustExist: true}, "morango init"},
		{"sqlite:" + filepath.Join(folder, "none"), db.Options{ReadOnly: true}, "there is no database"},
		{filepath.Join(folder, "no", "where"), db.Options{}, "create it first"},
		{":memory:", db.Options{}, "not a file"},
		{"", db.Options{}, "not a file"},
		{"mysql://root:secret@host/x", db.Options{}, "not supported"},
		{"postgres://me:secret@[host/x", db.Options{}, "cannot be read"},
		{"postgres://me:secret@host/x?sslmode=sometimes&password=secret", db.Options{}, "sslmode"},
		{"postgres://me:secret@127.0.0.1:1/x?connect_timeout=5", db.Options{}, "check that it runs"},
	} {
		_, err := db.Open(t.Context(), c.target, c.options)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%q) gave %v, want an error with %q and no password", c.target, err, c.want)
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 2 {
		t.Errorf("a refused database left files behind: %v %v", entries, err)
	}
}

func TestAnyPathAndReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a %41 ?&#;'é.db")
	d, err := db.Open(t.Context(), "sqlite:"+path, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Create(t.Context(), db.LayoutLean), d.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal("the file has another name: ", err)
	}
	d, err = db.Open(t.Context(), path, db.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if layout, err := d.Attach(t.Context()); layout != db.LayoutLean || err != nil {
		t.Errorf("read-only Attach gave %q, %v", layout, err)
	}
	if err := d.Write(t.Context(), func(*db.Tx) error { return nil }); err == nil || !strings.Contains(err.Error(), "reading only") {
		t.Errorf("Write on a read-only database gave %v", err)
	}
	if d.Path() != path || d.Kind() != db.SQLite {
		t.Errorf("Path is %q, Kind %q", d.Path(), d.Kind())
	}
}

// A commit that is acknowledged must survive a power cut, on every connection, and what a
// large statement puts aside goes to a file.
func TestSettings(t *testing.T) {
	d := dbtest.New(t)
	write(t, d, func(tx *db.Tx) error {
		for pragma, want := range map[string]string{
			"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "page_size": "8192", "temp_store": "0",
		} {
			var got string
			if err := tx.QueryRow(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %s (%v), want %s", pragma, got, err, want)
			}
		}
		return nil
	})
}
