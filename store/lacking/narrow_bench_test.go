package lacking_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store/lacking"
)

// facilities are those of which a portal has records, in turns of so many as come together.
const (
	facilities = 13
	perTurn    = 5_000
	perUser    = 50
)

// BenchmarkNarrow reads all that a portal has of one facility: one of 130,000 records in 13, of 2,000,000 with BENCH_LARGE=1.
func BenchmarkNarrow(b *testing.B) {
	n := 130_000
	if os.Getenv("BENCH_LARGE") != "" {
		n = 2_000_000
	}
	for name, d := range map[string]*db.DB{"sqlite": dbtest.New(b), "postgres": dbtest.Postgres(b)} {
		tables.Env(b, d)
		if err := fillFacilities(b.Context(), d, n); err != nil {
			b.Fatal(err)
		}
		job := lacking.Job{Profile: tables.Profile(b), Filter: partition.Of("f3")}
		for way, pages := range map[string]way{"whole": wayOf(-1, -1, 0), "keys": wayOf(-1, -1, 500_000)} {
			b.Run(name+"/"+way, func(b *testing.B) {
				for b.Loop() {
					read := 0
					err := pages(b.Context(), d, job, 500, 256<<10, func(p lacking.Page) error {
						read += len(p.Records)
						return nil
					})
					if err != nil || read < n/facilities-perTurn {
						b.Fatalf("%d records: %v", read, err)
					}
					b.ReportMetric(float64(read), "records")
				}
			})
		}
		b.Run(name+"/count", func(b *testing.B) {
			for b.Loop() {
				if _, err := lacking.Count(b.Context(), d, job); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func fillFacilities(ctx context.Context, d *db.DB, n int) error {
	records := db.Insert{Table: "morango_store", Columns: []string{"id", "profile", "model_name", "partition", "source_id", "serialized",
		"conflicting_serialized_data", "_self_ref_fk", "last_saved_instance", "last_saved_counter", "deleted", "hard_deleted", "dirty_bit", "deserialization_error"}}
	histories := db.Insert{Table: "morango_recordmaxcounter", Columns: []string{"store_model_id", "instance_id", "counter"}}
	text := fmt.Sprintf(`{"text": %q}`, strings.Repeat("x", 600))
	for i := 0; i < n; {
		var rows, saved [][]any
		for end := min(i+4*perTurn, n); i < end; i++ {
			facility := i / perTurn % facilities
			saver := tables.Number("a", facility)
			hash := md5.Sum(fmt.Append(nil, i))
			id, place := hex.EncodeToString(hash[:]), fmt.Sprintf("f%x:user:%x", facility, md5.Sum(fmt.Append(nil, i/perUser)))
			model := []string{"user", "contentsummarylog", "contentinteractionlog"}[i%perUser%3]
			rows = append(rows, []any{id, "facilitydata", model, place, id, text, "", "", saver, 1 + i/perTurn, false, false, false, ""})
			saved = append(saved, []any{id, saver, 1 + i/perTurn})
		}
		err := d.Write(ctx, func(tx *db.Tx) error {
			if err := tx.InsertAll(ctx, records, rows); err != nil {
				return err
			}
			return tx.InsertAll(ctx, histories, saved)
		})
		if err != nil {
			return err
		}
	}
	return d.Write(ctx, func(tx *db.Tx) error {
		if d.Kind() == db.SQLite {
			return nil
		}
		_, err := tx.Exec(ctx, `ANALYZE`)
		return err
	})
}
