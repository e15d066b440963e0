package serialize_test

import (
	"testing"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
)

// However slow the machine, a transaction holds the database for no longer than one page
// of rows takes beyond its time.
func TestOnASlowMachineEachPageIsATransaction(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := peer(t, d)
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		env.Now = func() time.Time {
			now = now.Add(db.PartTime)
			return now
		}
		addFacilities(t, d, numbered(0, 1600)...)
		if r := run(t, env); r.New != 1600 {
			t.Fatalf("report %+v", r)
		}
		if n := count(t, d, `SELECT count(DISTINCT last_saved_counter) FROM morango_store`); n < 2 {
			t.Errorf("all was written in %d transaction", n)
		}
	})
}
