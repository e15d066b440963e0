package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store"
)

const (
	fillStore = `INSERT INTO morango_store (id, profile, model_name, partition, source_id, last_saved_instance, last_saved_counter, deleted,
			hard_deleted, dirty_bit, _self_ref_fk, deserialization_error, serialized, conflicting_serialized_data)
		SELECT md5('' || n)::uuid, 'p', 'm', 'p:' || n / 50, '', $1, n, FALSE, FALSE, FALSE, '', '', repeat('x', 500), ''
		FROM generate_series($2::integer, $3) n`
	fillHistories = `INSERT INTO morango_recordmaxcounter (store_model_id, instance_id, counter) SELECT id, last_saved_instance, 1 FROM morango_store`
	fillDigests   = `INSERT INTO morango_digest (partition, records) SELECT DISTINCT partition, NULL::bigint FROM morango_store`
	readWhole     = `SELECT COALESCE(SUM(seq_tup_read), 0) FROM pg_stat_xact_user_tables
		WHERE relname IN ('morango_store', 'morango_recordmaxcounter')`
)

const manyRows = 10_000

// pageJobs are what is done for each page, or for each partition, by name.
func pageJobs(t *testing.T) map[string]func(*db.Tx) error {
	some := make([]string, 300)
	for i := range some {
		some[i] = fmt.Sprintf("%032x", i)
	}
	return map[string]func(tx *db.Tx) error{
		"histories": func(tx *db.Tx) error {
			return store.Histories(t.Context(), tx, some, func(string, string, int64) {})
		},
		"stale digests": func(tx *db.Tx) error {
			found, err := store.StaleDigests(t.Context(), tx, partition.All(), nil, 100, 1000)
			if err == nil && (len(found) != 100 || found[50].Records != 50) {
				err = fmt.Errorf("%d digests: %v", len(found), found[50])
			}
			return err
		},
		"few under a prefix": func(tx *db.Tx) error {
			n, err := store.CountUnder(t.Context(), tx, partition.Of("p:7", "p:8", "p:9"), 40)
			if err == nil && n != 41 {
				err = fmt.Errorf("counted %d", n)
			}
			return err
		},
		"few lacking": func(tx *db.Tx) error {
			claims := counter.ByPartition{"": {ida(0): manyRows - 10}}
			ids, ok, err := store.Lacking{Profile: "p", Receiver: claims}.Find(t.Context(), tx, 1000, -1)
			if err == nil && (!ok || len(ids) != 10) {
				err = fmt.Errorf("%d ids", len(ids))
			}
			return err
		},
	}
}

// filled is a PostgreSQL database with many rows, of which the server knows what it found
// when there were so many; 0: nothing.
func filled(t *testing.T, counted int) *db.DB {
	d := dbtest.Postgres(t)
	tables.Env(t, d)
	tables.Write(t, d, func(tx *db.Tx) (err error) {
		exec := func(query string, args ...any) {
			if err == nil {
				_, err = tx.Exec(t.Context(), query, args...)
			}
		}
		if counted > 0 {
			exec(fillStore, ida(0), 1, counted)
			exec(`ANALYZE morango_store`)
		}
		exec(fillStore, ida(0), counted+1, manyRows)
		exec(fillHistories)
		exec(fillDigests)
		return err
	})
	return d
}

// On PostgreSQL no statement that is run for each page, or for each partition, reads a whole
// table, whatever the server believes of it: a table is filled faster than it counts.
func TestNoPageReadsATableWhole(t *testing.T) {
	for _, counted := range []int{0, 10, manyRows} {
		d := filled(t, counted)
		for name, job := range pageJobs(t) {
			err := d.Read(t.Context(), func(tx *db.Tx) error {
				var before, after int64
				err := errors.Join(tx.QueryRow(t.Context(), readWhole).Scan(&before), job(tx), tx.QueryRow(t.Context(), readWhole).Scan(&after))
				if err == nil && before != after {
					err = fmt.Errorf("%d rows read one after the other", after-before)
				}
				return err
			})
			if err != nil {
				t.Errorf("%s, analyzed at %d rows: %v", name, counted, err)
			}
		}
	}
}
