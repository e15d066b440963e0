package verify

import (
	"fmt"
	"strings"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store"
)

// What is compared after a sync is found by an index on both engines, in the lean layout as
// in Django's: the records by their id, those of a partition by it (but for Django's tables
// on PostgreSQL, where a prefix is found by a scan), and digests, where they are kept.
// PostgreSQL chooses by what it knows of the rows: here 10,000 in 768 partitions.
func TestPlans(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		filled(t, d, 10_000)
		execute(t, d, `UPDATE morango_store SET partition = partition || ':' || substr(source_id, 1, 2)`)
		filter := partition.Of("part:1:7")
		run(t, d, func(tx *db.Tx) error {
			if d.Kind() == db.Postgres {
				if _, err := tx.Exec(t.Context(), `ANALYZE`); err != nil {
					return err
				}
			}
			under, args := tx.PrefixCond("partition", filter, 1)
			two := []any{db.JSONList([]string{"part:1:7f", "part:2:00"})}
			lean := keptHere(t, tx)
			for _, c := range []struct {
				query string
				args  []any
				known bool // also in Django's layout on PostgreSQL
			}{
				{fmt.Sprintf(spanEnd, glanceRecords), []any{saver}, true},
				{fmt.Sprintf(countAfter, glanceRecords), []any{saver}, true},
				{withinSpan, []any{saver, "ab" + saver[2:]}, true},
				{underPartition + tx.Among("partition", 1), two, true},
				{underPartition + under, args, false},
			} {
				if lean || d.Kind() == db.SQLite || c.known {
					indexed(t, tx, c.query, c.args...)
				}
			}
			return nil
		})
	})
}

func keptHere(t *testing.T, tx *db.Tx) bool {
	t.Helper()
	kept, err := store.KeepsDigests(t.Context(), tx)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// indexed fails the test where a statement reads a table whole, or sorts.
func indexed(t *testing.T, tx *db.Tx, query string, args ...any) {
	t.Helper()
	plan := strings.Join(dbtest.Plan(t, tx, query, args...), "\n")
	index := "USING INDEX"
	if tx.Kind() == db.Postgres {
		index = "Index Cond:"
	}
	plan = strings.ReplaceAll(plan, "USING COVERING INDEX", index)
	if !strings.Contains(plan, index) || strings.Contains(plan, "Seq Scan on") || strings.Contains(plan, "SCAN morango") || strings.Contains(plan, "TEMP B-TREE") {
		t.Errorf("%s: not by an index:\n%s\n%s", tx.Kind(), query, plan)
	}
}
