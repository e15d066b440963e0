package db_test

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
)

var nonces = db.Insert{Table: "morango_nonce", Columns: []string{"id", "timestamp", "ip"}}

func TestInsertAll(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		raising := nonces
		raising.Conflict = "ON CONFLICT (id) DO UPDATE SET ip = excluded.ip"
		rows := func(tx *db.Tx, from, to int, ip string) (all [][]any) {
			for i := from; i < to; i++ {
				all = append(all, []any{fmt.Sprintf("%032x", i), tx.Time(time.Unix(int64(i), 5000)), ip})
			}
			return all
		}
		write(t, d, func(tx *db.Tx) error {
			if err := tx.InsertAll(t.Context(), nonces, nil); err != nil {
				return err
			}
			return tx.InsertAll(t.Context(), nonces, rows(tx, 0, 700, "it's\tone\\n\n\\."))
		})
		write(t, d, func(tx *db.Tx) error { return tx.InsertAll(t.Context(), raising, rows(tx, 300, 1000, "two")) })
		for ip, want := range map[string]int{"it's\tone\\n\n\\.": 300, "two": 700} {
			if n := count(t, d, countNonces+` WHERE ip = $1`, ip); n != want {
				t.Errorf("%d rows with %q, want %d", n, ip, want)
			}
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error { return tx.InsertAll(t.Context(), nonces, rows(tx, 999, 1001, "three")) })
		if !db.IsConstraint(err) {
			t.Errorf("a key that is taken gave %v", err)
		}
		if n := count(t, d, countNonces); n != 1000 {
			t.Errorf("%d rows, want 1000", n)
		}
	})
}

// In a transaction of the caller's own there is no COPY, but the rows get in.
func TestInsertAllIntoTheCallersTransaction(t *testing.T) {
	pool, err := sql.Open("pgx", dbtest.PostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	raw, err := pool.Begin()
	if err != nil {
		t.Fatal(err)
	}
	tx := db.Adopt(db.Postgres, raw)
	row := []any{idA, tx.Time(time.Now()), ""}
	if err := tx.InsertAll(t.Context(), nonces, [][]any{row}); err != nil {
		t.Error(err)
	}
	if err := raw.Commit(); err != nil {
		t.Error(err)
	}
}
