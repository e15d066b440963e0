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
	} {
		err := errors.Join(run(), server.Crash(false))
		server.Start()
		if err := errors.Join(err, run()); err != nil {
			t.Error(err)
		}
	}
}
