package serialize_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage/serialize"
)

// TestNothingToDoWaitsForNobody holds that a run with nothing to do takes no lock: it runs
// while another transaction holds them all. A run that waits ends with the context.
func TestNothingToDoWaitsForNobody(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := peer(t, d)
		addFacilities(t, d, "a", "b")
		run(t, env)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		tables.Write(t, d, func(tx *db.Tx) error {
			if err := tx.Lock(ctx, partition.All(), false); err != nil {
				return err
			}
			_, err := serialize.Run(ctx, env, partition.Of("any"), nil)
			return err
		})
	})
}

// TestARecordThatComesMeanwhile holds that a record that somebody writes, without the locks,
// after the transaction has begun, is then known: serialize begins
// anew and keeps what it holds.
func TestARecordThatComesMeanwhile(t *testing.T) {
	d := dbtest.Postgres(t) // on SQLite nobody else writes during a transaction
	env := peer(t, d)
	names := numbered(0, 600) // more than a page
	addFacilities(t, d, names...)
	var ids []string
	for _, name := range names {
		ids = append(ids, facilityID(name))
	}
	last := slices.Max(ids)
	now, readings := env.Now, 0
	env.Now = func() time.Time {
		if readings++; readings == 2 { // after the first page
			tables.Write(t, d, func(tx *db.Tx) error {
				_, err := tx.Exec(t.Context(), `INSERT INTO morango_store (id, profile, model_name, partition, source_id, serialized,
						conflicting_serialized_data, _self_ref_fk, last_saved_instance, last_saved_counter, deleted, hard_deleted,
						dirty_bit, deserialization_error) VALUES ($1, 'facilitydata', 'facility', '', 's', '{"kept": 1}', '', '', $2, 9,
						FALSE, FALSE, FALSE, '')`, last, fmt.Sprintf("%032x", 5))
				return err
			})
		}
		return now()
	}
	report := run(t, env)
	if readings < 2 || report.New != 599 || report.Changed != 1 {
		t.Errorf("%d readings of the clock, report %+v, want 599 new records and a changed one", readings, report)
	}
	const kept = `SELECT count(*) FROM morango_store WHERE id = $1 AND serialized LIKE '{"kept": 1, "%' AND last_saved_counter < 9`
	if n := count(t, d, kept, last); n != 1 {
		t.Error("the record lost what it held")
	}
	settled(t, d)
}

// TestKnownBehindFresh holds that records that the store knows are found to be known, and keep
// what it holds of them, also behind so many fresh ones that it is not asked any more.
func TestKnownBehindFresh(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := peer(t, d)
		names := numbered(0, 1300)
		addFacilities(t, d, names...)
		run(t, env)
		ids := make([]string, len(names)) // in the order in which they are taken
		for i, name := range names {
			ids[i] = facilityID(name)
		}
		if d.Kind() == db.Postgres {
			slices.Sort(ids)
		}
		tables.Write(t, d, func(tx *db.Tx) error {
			for _, query := range []string{`DELETE FROM morango_recordmaxcounter WHERE store_model_id IN ` + tx.IDs(1),
				`DELETE FROM morango_store WHERE id IN ` + tx.IDs(1)} {
				if _, err := tx.Exec(t.Context(), query, db.JSONList(ids[:600])); err != nil {
					return err
				}
			}
			for _, query := range []string{`UPDATE morango_store SET serialized = '{"kept": 1}'`,
				`UPDATE facility_profile_facility SET _morango_dirty_bit = TRUE`} {
				if _, err := tx.Exec(t.Context(), query); err != nil {
					return err
				}
			}
			return nil
		})
		if report := run(t, env); report.New != 600 || report.Changed != 700 {
			t.Errorf("report %+v, want 600 new records and 700 changed ones", report)
		}
		if n := count(t, d, `SELECT count(*) FROM morango_store WHERE serialized LIKE '{"kept": 1, "%'`); n != 700 {
			t.Errorf("%d records kept what the store held, want 700", n)
		}
		settled(t, d)
	})
}

// TestAHistoryWithoutARecord holds that what is left of a history, whose record is gone by
// the hand of somebody who does not mind foreign keys, keeps no row from being serialized.
func TestAHistoryWithoutARecord(t *testing.T) {
	d := dbtest.New(t)
	env := peer(t, d)
	addFacilities(t, d, "a", "b")
	raw, err := sql.Open("sqlite", d.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.ExecContext(t.Context(), `INSERT INTO morango_recordmaxcounter VALUES ($1, $2, 0)`, facilityID("b"), tables.Instance()); err != nil {
		t.Fatal(err)
	}
	if report := run(t, env); report.New != 2 {
		t.Errorf("report %+v, want two new records", report)
	}
	settled(t, d)
}

// TestDigestsOfWhatIsWrittenAreStale holds that the kept digests of partitions in which
// records are written, new or known, are computed again.
func TestDigestsOfWhatIsWrittenAreStale(t *testing.T) {
	for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
		env := peer(t, d)
		for _, name := range []string{"new", "changed"} {
			tables.Write(t, d, func(tx *db.Tx) error {
				_, err := tx.Exec(t.Context(), `UPDATE morango_digest SET records = 7`)
				return err
			})
			if name == "new" {
				addFacilities(t, d, "a")
			} else {
				tables.Write(t, d, func(tx *db.Tx) error {
					_, err := tx.Exec(t.Context(), `UPDATE facility_profile_facility SET _morango_dirty_bit = TRUE`)
					return err
				})
			}
			if report := run(t, env); report.Records != 1 {
				t.Errorf("report %+v, want one record", report)
			}
			if n := count(t, d, `SELECT count(*) FROM morango_digest WHERE partition = '' AND records IS NULL`); n != 1 {
				t.Errorf("%s: the digest of a record that is %s counts as true", d.Kind(), name)
			}
		}
	}
}
