package lacking_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store/lacking"
)

// Keys are listed by the index of partitions, and records looked up at them, whatever the engine knows of the table.
func TestPlansOfKeys(t *testing.T) {
	for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
		env := tables.Env(t, d)
		tables.LoadRecords(t, d, nil)
		tables.Write(t, d, func(tx *db.Tx) error {
			into := db.Insert{Table: "morango_store", Columns: strings.Fields(`id profile model_name partition source_id serialized conflicting_serialized_data
				_self_ref_fk deleted hard_deleted last_saved_instance last_saved_counter dirty_bit deserialization_error`)}
			var rows [][]any
			for n := range 20_000 {
				rows = append(rows, []any{tables.Number("c", n*7919%65536), "facilitydata", "user", fmt.Sprintf("p:%d", n%100), "s", strings.Repeat("x", 500), "",
					"", false, false, tables.Number("a", 1), n, false, ""})
			}
			return tx.InsertAll(t.Context(), into, rows)
		})
		job := lacking.Job{Profile: env.Profile, Filter: partition.Parse("p:1 p:2")}
		later := job
		later.After = lacking.Cursor(env.DB, env.Profile, 1, tables.Number("c", 1))
		for _, analyze := range []bool{false, true} {
			tables.Write(t, d, func(tx *db.Tx) error {
				if analyze {
					if _, err := tx.Exec(t.Context(), `ANALYZE`); err != nil {
						return err
					}
				}
				if err := tx.LookUp(t.Context()); err != nil {
					return err
				}
				for _, job := range []lacking.Job{job, later} {
					list, page, listArgs, pageArgs := lacking.KeyQueries(tx, env.DB, job, 1, 500, []int64{1, 2, 3})
					for _, c := range []struct {
						query            string
						args             []any
						sqlite, postgres string
					}{
						{list, listArgs, "COVERING INDEX morango_store_partition (partition>? AND partition<?)", "morango_store_partition"},
						{page, pageArgs, "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)", "= ANY"},
					} {
						want, plan := c.sqlite, strings.Join(dbtest.Plan(t, tx, c.query, c.args...), "\n")
						if d.Kind() == db.Postgres {
							want = c.postgres
						}
						if !strings.Contains(plan, want) || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "SCAN s") ||
							c.query == page && d.Kind() == db.Postgres && !strings.Contains(plan, "morango_store_group") {
							t.Errorf("%s, analyzed %v, after %q: no %q, or more:\n%s\n%s", d.Kind(), analyze, job.After, want, c.query, plan)
						}
					}
				}
				return nil
			})
		}
	}
}
