package serialize_test

import (
	"testing"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage/serialize"
)

// However slow the machine, a transaction holds the database for no longer than one page
// of rows takes beyond its time: it learns how long writing takes.
func TestOnASlowMachineEachPageIsATransaction(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := peer(t, d)
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		env.Now = func() time.Time {
			now = now.Add(4 * db.PartTime) // more than any part may take
			return now
		}
		addFacilities(t, d, numbered(0, 1600)...)
		if r := run(t, env); r.New != 1600 {
			t.Fatalf("report %+v", r)
		}
		if n := count(t, d, `SELECT count(DISTINCT last_saved_counter) FROM morango_store`); n != 4 {
			t.Errorf("all was written in %d transactions, want one for each page", n)
		}
	})
}

// A run goes on piece by piece, of as few rows as wished, and claims only when all is done.
func TestPieceByPiece(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := peer(t, d)
		env.SerializeRows = 3
		addFacilities(t, d, numbered(0, 10)...)
		r, err := serialize.Begin(t.Context(), env, partition.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		for n, more := int64(0), true; more; {
			if more, err = r.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			if r.Report().Records > n+3 || count(t, d, `SELECT count(*) FROM morango_store`) != r.Report().Records {
				t.Fatalf("report %+v after %d records", r.Report(), n)
			}
			claims := count(t, d, `SELECT count(*) FROM morango_databasemaxcounter`)
			if n = r.Report().Records; (claims > 0) != !more || r.Serialized() && n < 10 {
				t.Errorf("%d records, %d claims, more: %v", n, claims, more)
			}
		}
		if n := count(t, d, `SELECT count(DISTINCT last_saved_counter) FROM morango_store`); n != 4 || r.Report().New != 10 {
			t.Errorf("%d counters, report %+v", n, r.Report())
		}
		settled(t, d)
	})
}

// On a fast machine transactions become as long as their time allows.
func TestTransactionsGrow(t *testing.T) {
	d := dbtest.New(t)
	env := peer(t, d)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	env.Now = func() time.Time {
		now = now.Add(db.PartTime / 5)
		return now
	}
	addFacilities(t, d, numbered(0, 4000)...)
	run(t, env)
	if n := count(t, d, `SELECT count(DISTINCT last_saved_counter) FROM morango_store`); n != 2 {
		t.Errorf("all was written in %d transactions, want a short one and one of the rest", n)
	}
}
