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

// TestWhatRowsHaveInCommon holds that all rows get what they have in common, few or many of
// them, narrow or wide, with a conflict clause and without.
func TestWhatRowsHaveInCommon(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ids := func(from, to int) (rows [][]any) {
			for i := from; i < to; i++ {
				rows = append(rows, []any{fmt.Sprintf("%032x", i)})
			}
			return rows
		}
		into := func(profile, clause string) db.Insert {
			return db.Insert{Table: "morango_deletedmodels", Columns: []string{"id"}, RollsBack: true,
				Same: []db.Same{{Column: "profile", Value: profile}}, Conflict: clause}
		}
		write(t, d, func(tx *db.Tx) error { return tx.InsertAll(t.Context(), into("it's 1", ""), ids(0, 101)) })
		write(t, d, func(tx *db.Tx) error {
			return tx.InsertAll(t.Context(), into("2", "ON CONFLICT (id) DO UPDATE SET profile = excluded.profile"), ids(50, 150))
		})
		for profile, want := range map[string]int{"it's 1": 50, "2": 100} {
			if n := count(t, d, `SELECT count(*) FROM morango_deletedmodels WHERE profile = $1`, profile); n != want {
				t.Errorf("%d rows with %q, want %d", n, profile, want)
			}
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error { return tx.InsertAll(t.Context(), into("3", ""), ids(140, 240)) })
		if !db.IsConstraint(err) {
			t.Errorf("a key that is taken gave %v", err)
		}
		if n := count(t, d, `SELECT count(*) FROM morango_deletedmodels`); n != 150 {
			t.Errorf("%d rows, want 150", n)
		}
		instances := db.Insert{
			Table: "morango_instanceidmodel", Columns: []string{"id", "hostname", "node_id", "counter"},
			Same: []db.Same{
				{Column: "platform", Value: ""}, {Column: "sysversion", Value: "?1 $1"}, {Column: "current", Value: false},
				{Column: "db_path", Value: "p"}, {Column: "database_id", Value: idA}, {Column: "system_id", Value: "s"},
			},
		}
		write(t, d, func(tx *db.Tx) error {
			const known = `INSERT INTO morango_databaseidmodel (id, current, date_generated, initial_instance_id) VALUES ($1, TRUE, CURRENT_TIMESTAMP, '')`
			if _, err := tx.Exec(t.Context(), known, idA); err != nil {
				return err
			}
			return tx.InsertAll(t.Context(), instances, [][]any{{idA, "a", "n", int64(1)}, {idB, "b", "n", int64(2)}})
		})
		const fine = `SELECT count(*) FROM morango_instanceidmodel WHERE platform = '' AND sysversion = '?1 $1' AND NOT current
			AND db_path = 'p' AND system_id = 's' AND node_id = 'n' AND (hostname, counter) IN (('a', 1), ('b', 2))`
		if n := count(t, d, fine); n != 2 {
			t.Errorf("%d wide rows, want 2", n)
		}
	})
}
