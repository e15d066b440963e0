package db_test

import (
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
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
