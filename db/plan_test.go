package db_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/partition"
)

// In the lean layout the index of partitions serves prefixes, in whatever language
// the database sorts.
func TestPrefixesAreFoundByIndex(t *testing.T) {
	for _, c := range []struct {
		d             *db.DB
		explain, want string
	}{
		{dbtest.New(t), "EXPLAIN QUERY PLAN ", "SEARCH morango_store USING COVERING INDEX morango_store_partition"},
		{dbtest.Postgres(t), "EXPLAIN ", "Index Cond: ((partition >= '"},
	} {
		write(t, c.d, func(tx *db.Tx) error {
			if c.d.Kind() == db.Postgres { // an empty table is read whole when that is allowed
				if _, err := tx.Exec(t.Context(), `SET LOCAL enable_seqscan = off`); err != nil {
					return err
				}
			}
			cond, args := tx.PrefixCond("partition", partition.Of(idA), 1)
			rows, err := tx.Query(t.Context(), c.explain+`SELECT partition FROM morango_store WHERE `+cond, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			columns, err := rows.Columns()
			if err != nil {
				return err
			}
			var plan strings.Builder
			for rows.Next() {
				line, into := make([]string, len(columns)), make([]any, len(columns))
				for i := range line {
					into[i] = &line[i]
				}
				if err := rows.Scan(into...); err != nil {
					return err
				}
				plan.WriteString(line[len(line)-1] + "\n")
			}
			if !strings.Contains(plan.String(), c.want) {
				t.Errorf("%s:\n%swant %s", c.d.Kind(), plan.String(), c.want)
			}
			return rows.Err()
		})
	}
}

// A query that is to be planned for its values leaves no prepared statement behind, of which the
// server would keep a plan for any; another does.
func TestPlannedAnew(t *testing.T) {
	d := dbtest.Postgres(t)
	write(t, d, func(tx *db.Tx) error {
		kept := func(run func(ctx context.Context, query string, args ...any) *sql.Row, query string) (n int) {
			for i := range 8 {
				var got int
				if err := run(t.Context(), query, i).Scan(&got); err != nil || got != i+1 {
					t.Fatalf("%s: %d, %v", query, got, err)
				}
			}
			if err := tx.QueryRow(t.Context(), `SELECT COUNT(*) FROM pg_prepared_statements WHERE statement = $1`, query).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := kept(tx.QueryRowAnew, `SELECT 1 + $1::int`); n != 0 {
			t.Errorf("%d statements were kept", n)
		}
		if n := kept(tx.QueryRow, `SELECT $1::int + 1`); n != 1 {
			t.Errorf("%d statements were kept, not 1", n)
		}
		return nil
	})
}
