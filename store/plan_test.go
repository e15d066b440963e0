package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store"
)

// Who saved last, and what the receiver lacks, is found by an index. PostgreSQL chooses by
// what it knows of the rows: here 20,000 of two instances. SQLite does too when somebody had it look at them.
func TestPlans(t *testing.T) {
	analyzed := dbtest.New(t)
	for _, d := range []*db.DB{dbtest.New(t), analyzed, dbtest.Postgres(t)} {
		tables.Env(t, d)
		tables.Write(t, d, func(tx *db.Tx) error {
			var rows [][]any
			for i := range 20_000 {
				rows = append(rows, []any{fmt.Sprintf("%04x%028x", i*7919%65536, i), "p", "m", fmt.Sprintf("p:%d", i%100), "s",
					fmt.Sprintf("%032x", 0xa0+i%2), i, false, false, false, "", "", strings.Repeat("x", 100), ""})
			}
			into := db.Insert{Table: "morango_store", Columns: strings.Fields(`id profile model_name partition source_id last_saved_instance
				last_saved_counter deleted hard_deleted dirty_bit _self_ref_fk deserialization_error serialized conflicting_serialized_data`)}
			return tx.InsertAll(t.Context(), into, rows)
		})
		tables.Write(t, d, func(tx *db.Tx) error {
			if d.Kind() == db.Postgres || d == analyzed {
				if _, err := tx.Exec(t.Context(), `ANALYZE`); err != nil {
					return err
				}
			}
			under, args := tx.PrefixCond("s.partition", partition.Of("p:1"), 1)
			counting, countArgs := store.CountUnderQuery(tx, "p:1", 1000)
			window, windowArgs := store.WindowQuery(tx, store.Lacking{Filter: partition.Parse("p:1 p:2")}, ida(0), 5000)
			for _, c := range []struct {
				query  string
				args   []any
				sqlite []string
				column string // of the index on PostgreSQL
			}{
				{store.CountSaved, []any{ida(0), 19_900, 1000}, []string{"COVERING INDEX morango_store_last_saved (last_saved_instance=? AND last_saved_counter>?)"}, "last_saved_counter >"},
				{store.CountClaimed, []any{ida(0), 100, 1000}, []string{"COVERING INDEX morango_store_last_saved (last_saved_instance=? AND last_saved_counter<?)"}, "last_saved_counter <="},
				{store.ListSaved(tx), []any{ida(0), 19_900}, []string{"INDEX morango_store_last_saved (last_saved_instance=? AND last_saved_counter>?)"}, "last_saved_counter >"},
				{store.Saved(tx), []any{db.JSONList([]string{ida(0), ida(7)})}, []string{
					"COVERING INDEX morango_store_last_saved (last_saved_instance=?)",
					"COVERING INDEX morango_store_last_saved (last_saved_instance>?)",
				}, "last_saved_instance >"},
				{counting, countArgs, []string{"COVERING INDEX morango_store_partition (partition>? AND partition<?)"}, "partition >="},
				{strings.Replace(store.ListUnder(tx), "(FILTER)", under, 1), args, []string{"INDEX morango_store_partition (partition>? AND partition<?)"}, "partition >="},
				{window, windowArgs, []string{"INDEX morango_store_partition (partition>? AND partition<?)"}, "partition >="},
			} {
				wants := c.sqlite
				if d.Kind() == db.Postgres {
					wants = []string{"Index Cond:", c.column}
				}
				plan := strings.Join(dbtest.Plan(t, tx, c.query, c.args...), "\n")
				for _, want := range wants {
					if !strings.Contains(plan, want) || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "TEMP B-TREE") && c.query != window {
						t.Errorf("%s: no %q, or more:\n%s\n%s", d.Kind(), want, c.query, plan)
					}
				}
			}
			return nil
		})
	}
}

func ida(n int) string { return fmt.Sprintf("%032x", 0xa0+n) }
