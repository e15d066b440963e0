//go:build unix

package db_test

import (
	"errors"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
)

// After a restart of the PostgreSQL server the first transaction takes a new connection
// instead of failing on one that is left over.
func TestServerRestarts(t *testing.T) {
	server := dbtest.NewServer(t)
	d, err := db.Open(t.Context(), server.URL(""), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	nothing := func(*db.Tx) error { return nil }
	for _, run := range []func() error{
		func() error { return d.Read(t.Context(), nothing) },
		func() error { return d.Write(t.Context(), nothing) },
		func() error {
			return d.Ask(t.Context(), func(tx *db.Tx) error { return tx.QueryRow(t.Context(), `SELECT 1`).Scan(new(int)) })
		},
	} {
		err := errors.Join(run(), server.Crash(false))
		server.Start()
		if err := errors.Join(err, run()); err != nil {
			t.Error(err)
		}
	}
}

// What Write has committed outlives the server, also where the server is told not to
// wait for its disk.
func TestCommitsSurvive(t *testing.T) {
	server := dbtest.NewServer(t, "synchronous_commit=off", "wal_writer_delay=10s")
	d, err := db.Open(t.Context(), server.URL(""), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if err := d.Create(t.Context(), db.LayoutLean); err != nil {
		t.Fatal(err)
	}
	noted := func(query string, into ...any) error {
		return d.Write(t.Context(), func(tx *db.Tx) error {
			if len(into) > 0 {
				return tx.QueryRow(t.Context(), query).Scan(into...)
			}
			_, err := tx.Exec(t.Context(), query)
			return err
		})
	}
	if err := errors.Join(noted(`INSERT INTO morango_deletedmodels (id, profile) VALUES ('00000000000000000000000000000001', 'p')`), server.Crash(true)); err != nil {
		t.Fatal(err)
	}
	server.Start()
	var rows int
	if err := noted(`SELECT count(*) FROM morango_deletedmodels`, &rows); err != nil || rows != 1 {
		t.Errorf("%d rows of 1 that was committed (%v)", rows, err)
	}
}
