package db_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
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
