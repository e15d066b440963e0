package serialize_test

import (
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage/serialize"
)

func BenchmarkSerialize(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchmark(b, dbtest.New(b)) })
	b.Run("postgres", func(b *testing.B) { benchmark(b, dbtest.Postgres(b)) })
}

func benchmark(b *testing.B, d *db.DB) {
	env := tables.Env(b, d)
	tables.Load(b, d, 0, nil)
	const rows = 10000
	addFacilities(b, d, numbered(0, rows)...)
	for b.Loop() {
		b.StopTimer()
		tables.Write(b, d, func(tx *db.Tx) error {
			for _, query := range []string{"DELETE FROM morango_recordmaxcounter", "DELETE FROM morango_store",
				"UPDATE facility_profile_facility SET _morango_dirty_bit = TRUE"} {
				if _, err := tx.Exec(b.Context(), query); err != nil {
					return err
				}
			}
			return nil
		})
		b.StartTimer()
		if _, err := serialize.Run(b.Context(), env, partition.Filter{}, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}
