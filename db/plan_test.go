package db_test

import (
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
