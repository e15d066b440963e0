package app_test

import (
	"fmt"
	"testing"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/model"
)

// fillAll fills in the ids of all models of a profile.
func fillAll(t *testing.T, d *db.DB, p *model.Profile) {
	t.Helper()
	run(t, d, func(tx *db.Tx) error {
		n := 0
		for _, m := range p.Models {
			random := func() string { n++; return fmt.Sprintf("%032x", n) }
			if err := app.FillIDs(t.Context(), tx, p, m, random); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestFillIDsByTheRules(t *testing.T) {
	for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
		p := school()
		initialize(t, d, p)
		run(t, d, func(tx *db.Tx) error {
			for _, s := range []string{
				`INSERT INTO person (id, name) VALUES (#1, 'Ann')`,
				`INSERT INTO person (id, name, _morango_source_id) VALUES (#2, 'Bob', 'mine')`,
				`INSERT INTO person (id, name, _morango_partition) VALUES (#7, 'Cid', 'there')`,
				`INSERT INTO "it's a ""group""" (id, kind, name) VALUES (#3, 'class', 'c')`,
				`INSERT INTO "it's a ""group""" (id, kind, name, parent_id) VALUES (#4, 'club', 'c', #3)`,
				`INSERT INTO "it's a ""group""" (id, kind, name) VALUES (#5, 'other', 'c')`,
				`INSERT INTO visit (id, person_id) VALUES (#6, #1)`,
				`INSERT INTO visit (id) VALUES (#9)`,
			} {
				if _, err := tx.Exec(t.Context(), expand(s)); err != nil {
					return err
				}
			}
			return nil
		})
		fillAll(t, d, p)
		const filled = `
			SELECT id, _morango_source_id, _morango_partition FROM person UNION ALL
			SELECT id, _morango_source_id, _morango_partition FROM "it's a ""group""" UNION ALL
			SELECT id, _morango_source_id, _morango_partition FROM visit`
		for row, want := range map[string]string{
			"1": "Ann " + id("1") + ":person",
			"2": "mine " + id("2") + ":person",
			"7": "Cid there",
			"3": "c top",
			"4": "c " + id("3") + ":sub",
			"5": " ", // no model's row
			"6": "00000000000000000000000000000001 " + id("1") + ":visit",
			"9": " ", // its partition needs a person: serialize reports it
		} {
			var source, partition string
			err := d.Read(t.Context(), func(tx *db.Tx) error {
				query := `SELECT _morango_source_id, _morango_partition FROM (` + filled + `) f WHERE id = $1`
				return tx.QueryRow(t.Context(), query, id(row)).Scan(&source, &partition)
			})
			if got := source + " " + partition; err != nil || got != want {
				t.Errorf("%s: row %s has %q (%v), want %q", d.Kind(), row, got, err, want)
			}
		}
	}
}

// Rows that lack ids are all found, also where pages end among those that have a partition, whose
// ids come before those of rows that have none.
func TestFillIDsByPartition(t *testing.T) {
	const rows = 1203
	for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
		p := school()
		initialize(t, d, p)
		person, _ := p.Model("person")
		run(t, d, func(tx *db.Tx) error {
			for i := range rows {
				_, err := tx.Exec(t.Context(), `INSERT INTO person (id, name, _morango_partition) VALUES ($1, $2, $3)`,
					fmt.Sprintf("%032x", i), fmt.Sprint("p", i), map[bool]string{true: "x"}[i < rows/2])
				if err != nil {
					return err
				}
			}
			if err := app.FillIDs(t.Context(), tx, p, person, func() string { return "" }); err != nil {
				return err
			}
			var filled int
			query := `SELECT count(*) FROM person WHERE _morango_source_id = name AND _morango_partition IN ('x', id || ':person')`
			if d.Kind() == db.Postgres {
				query = `SELECT count(*) FROM person WHERE _morango_source_id = name AND _morango_partition IN ('x', replace(id::text, '-', '') || ':person')`
			}
			if err := tx.QueryRow(t.Context(), query).Scan(&filled); err != nil {
				return err
			}
			if filled != rows {
				t.Errorf("%s: %d rows have got ids, want %d", d.Kind(), filled, rows)
			}
			return nil
		})
	}
}

// Rows that are clean, and the partition that is meant to be empty, are left alone;
// more rows than a page are all filled in.
func TestFillIDsPagesThroughDirtyRows(t *testing.T) {
	for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
		fillPages(t, d)
	}
}

func fillPages(t *testing.T, d *db.DB) {
	const rows = 1203
	p := profile(t, "testapp.yaml") // facility has the empty partition
	initialize(t, d, p)
	facility, _ := p.Model("facility")
	run(t, d, func(tx *db.Tx) error {
		for i := range rows {
			_, err := tx.Exec(t.Context(), `INSERT INTO facility_profile_facility (id, name, now_date, _morango_dirty_bit, _morango_source_id, _morango_partition) VALUES ($1, $2, $3, $4, '', '')`,
				fmt.Sprintf("%032x", i), fmt.Sprint("f", i), "2026-01-01 00:00:00", i != 7)
			if err != nil {
				return err
			}
		}
		for range 2 {
			if err := app.FillIDs(t.Context(), tx, p, facility, func() string { return "" }); err != nil {
				return err
			}
		}
		var filled int
		query := `SELECT count(*) FROM facility_profile_facility WHERE _morango_source_id = name AND _morango_partition = '' AND _morango_dirty_bit`
		if err := tx.QueryRow(t.Context(), query).Scan(&filled); err != nil {
			return err
		}
		if filled != rows-1 {
			t.Errorf("%s: %d rows have got a source id, want %d", d.Kind(), filled, rows-1)
		}
		return nil
	})
}
