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
		records := plain(20_000)
		for i := range records {
			records[i].Partition, records[i].Serialized = fmt.Sprintf("p:%d", i%100), strings.Repeat("x", 500)
		}
		tables.LoadRecords(t, d, records)
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
