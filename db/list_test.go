package db_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/partition"
)

const (
	fillNonces = `INSERT INTO morango_nonce (id, timestamp, ip)
		SELECT md5(n::text)::uuid, now(), repeat('x', 90) FROM generate_series(1, $1::integer) n`
	readWhole = `SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'morango_nonce'`
)

// PostgreSQL keeps no plan of a statement with a list that it made when the table was empty:
// it looks the ids up, also in a table whose rows nobody has counted.
func TestListsAreLookedUp(t *testing.T) {
	d := dbtest.Postgres(t)
	for name, cond := range map[string]func(*db.Tx) string{
		"in":    func(tx *db.Tx) string { return "id IN " + tx.IDs(1) },
		"among": func(tx *db.Tx) string { return tx.AmongIDs("id", 1) },
	} {
		ids := make([]string, 500)
		for i := range ids {
			ids[i] = fmt.Sprintf("%032x", i)
		}
		undone := errors.New("undone")
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			query := `SELECT COUNT(*) FROM morango_nonce WHERE ` + cond(tx)
			var found, before, after int64
			for range 10 { // from the sixth run on it may keep a plan
				if err := tx.QueryRow(t.Context(), query, db.JSONList(ids)).Scan(&found); err != nil {
					return err
				}
			}
			if _, err := tx.Exec(t.Context(), fillNonces, 50_000); err != nil {
				return err
			}
			err := errors.Join(tx.QueryRow(t.Context(), readWhole).Scan(&before),
				tx.QueryRow(t.Context(), query, db.JSONList(ids)).Scan(&found),
				tx.QueryRow(t.Context(), readWhole).Scan(&after))
			if err == nil && (before != after || found != 0) {
				err = fmt.Errorf("%s: %d rows read one after the other, %d found", name, after-before, found)
			}
			return errors.Join(err, undone)
		})
		if !errors.Is(err, undone) || err.Error() != undone.Error() {
			t.Error(err)
		}
	}
}

// Both forms of a list of ids pick the same rows on both engines.
func TestAmongIDs(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		write(t, d, func(tx *db.Tx) error {
			var rows [][]any
			for _, id := range []string{idA, idB} {
				rows = append(rows, []any{id, "facilitydata"})
			}
			return tx.InsertAll(t.Context(), db.Insert{Table: "morango_deletedmodels", Columns: []string{"id", "profile"}}, rows)
		})
		for list, want := range map[string]int{db.JSONList(nil): 0, db.JSONList([]string{idB, idB}): 1, db.JSONList([]string{idA, idB}): 2} {
			err := d.Read(t.Context(), func(tx *db.Tx) error {
				var n int
				err := tx.QueryRow(t.Context(), `SELECT COUNT(*) FROM morango_deletedmodels WHERE `+tx.AmongIDs("id", 1), list).Scan(&n)
				if n != want {
					t.Errorf("%d rows of %s", n, list)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// A walk goes by the index, where PostgreSQL expects that hardly a row matches, and where it
// has never counted the rows.
func TestWalkIndex(t *testing.T) {
	const page = `SELECT ip FROM morango_nonce WHERE id > $1 AND ip || '' = 'x' ORDER BY id LIMIT 100`
	d := dbtest.Postgres(t)
	write(t, d, func(tx *db.Tx) error {
		if _, err := tx.Exec(t.Context(), fillNonces, 20_000); err != nil {
			return err
		}
		for _, counted := range []string{"", "ANALYZE morango_nonce"} {
			if _, err := tx.Exec(t.Context(), counted); err != nil {
				return err
			}
			sorts := func() bool {
				return slices.ContainsFunc(dbtest.Plan(t, tx, page, idA), func(line string) bool { return sortLine.MatchString(line) })
			}
			if !sorts() {
				t.Error("it does not sort, whatever is said: this test shows nothing")
			}
			if err := tx.WalkIndex(t.Context()); err != nil {
				return err
			}
			if sorts() {
				t.Error("the rows are sorted")
			}
			if _, err := tx.Exec(t.Context(), `SET LOCAL enable_sort = on`); err != nil {
				return err
			}
		}
		return nil
	})
}

var sortLine = regexp.MustCompile(`\bSort\b`)

// The statements of TestPartsLookUp. Constraints are looked at as at the commit.
const (
	child = `CREATE TABLE child (n integer PRIMARY KEY, parent uuid NOT NULL REFERENCES morango_nonce (id) DEFERRABLE INITIALLY DEFERRED);
		INSERT INTO morango_nonce (id, timestamp, ip) VALUES ('` + idB + `', now(), ''); ANALYZE morango_nonce`
	refer = `INSERT INTO child (n, parent) SELECT n, md5(n::text)::uuid FROM generate_series($1::integer, $2) n`
	look  = `SET CONSTRAINTS ALL IMMEDIATE`
)

// A part of a long job looks rows up, also those that a foreign key refers to, where the
// server has planned for a table without rows, and also after it has taken locks.
func TestPartsLookUp(t *testing.T) {
	d := dbtest.Postgres(t)
	exec := func(tx *db.Tx, query string, args ...any) error {
		_, err := tx.Exec(t.Context(), query, args...)
		return err
	}
	write(t, d, func(tx *db.Tx) error { return exec(tx, child) })
	find := func(tx *db.Tx) (err error) {
		for range 10 { // from the sixth on the server may keep its plan
			err = errors.Join(err, exec(tx, `SELECT ip FROM morango_nonce WHERE id = $1`, idA))
		}
		return err
	}
	for name, part := range []func(*db.Tx) error{
		func(tx *db.Tx) (err error) {
			for n := range 10 {
				err = errors.Join(err, exec(tx, `INSERT INTO child (n, parent) VALUES ($1, $2)`, -n, idB))
			}
			return err
		},
		func(tx *db.Tx) error { return errors.Join(exec(tx, fillNonces, 5000), exec(tx, refer, 1, 100)) },
		func(tx *db.Tx) error { return exec(tx, refer, 101, 200) },
	} {
		for _, locks := range []bool{true, false} {
			undone := errors.New("undone")
			err := d.WritePart(t.Context(), t, func(tx *db.Tx) (err error) {
				if locks {
					err = tx.Lock(t.Context(), partition.Of("p"), false)
				}
				var was, is int64
				err = errors.Join(err, tx.QueryRow(t.Context(), readWhole).Scan(&was), part(tx), find(tx), exec(tx, look),
					tx.QueryRow(t.Context(), readWhole).Scan(&is))
				if err == nil && is != was {
					err = fmt.Errorf("%d rows read one after the other", is-was)
				}
				if err == nil && locks {
					err = undone
				}
				return err
			})
			if err != nil && !errors.Is(err, undone) {
				t.Errorf("part %d, with locks %t: %v", name, locks, err)
			}
		}
	}
}
