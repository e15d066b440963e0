package app_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
)

const storeRow = `INSERT INTO morango_store (id, profile, model_name, partition, source_id, last_saved_instance, last_saved_counter,
	deleted, hard_deleted, dirty_bit, _self_ref_fk, deserialization_error, serialized, conflicting_serialized_data)
	VALUES ($1, 'school', 'person', 'p', 's', $1, 1, %s, '', '', '', '')`

// Only rows count that are there, and in the store, without any flag.
func TestAsStored(t *testing.T) {
	for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
		initialize(t, d, school())
		if err := write(t, d, "insert", "person", person("1", "a", 1), person("2", "b", 1), person("3", "c", 1), person("4", "d", 1),
			person("5", "e", 1), person("6", "f", 1), person("7", "g", 1)); err != nil {
			t.Fatal(err)
		}
		for digit, flags := range map[string]string{"1": "FALSE, FALSE, FALSE", "2": "TRUE, FALSE, FALSE", "3": "FALSE, TRUE, FALSE",
			"4": "FALSE, FALSE, TRUE", "5": "FALSE, FALSE, FALSE", "7": "FALSE, FALSE, FALSE", "8": "FALSE, FALSE, FALSE"} {
			apply(t, d, fmt.Sprintf(strings.ReplaceAll(storeRow, "$1", "'"+id(digit)+"'"), flags))
		}
		apply(t, d, "UPDATE person SET _morango_dirty_bit = TRUE WHERE id = '"+id("5")+"'")
		for digit, want := range map[string]int{"1": 1, "2": 0, "3": 0, "4": 0, "5": 0, "6": 0, "7": 1, "8": 0, "9": 0} {
			tables.Write(t, d, func(tx *db.Tx) error {
				got, err := app.AsStored(t.Context(), tx, "person", []string{id(digit)})
				if got != want {
					t.Errorf("%s: %d of row %s", d.Kind(), got, digit)
				}
				return err
			})
		}
	}
}

// In a part of a long job PostgreSQL goes by the ids, whatever it knew of the tables.
func TestAsStoredIsLookedUp(t *testing.T) {
	d := dbtest.Postgres(t)
	initialize(t, d, school())
	apply(t, d, "ANALYZE")
	err := d.WritePart(t.Context(), t, func(tx *db.Tx) error {
		plan := strings.Join(dbtest.Plan(t, tx, app.AsStoredQuery(tx, "person"), db.JSONList([]string{id("1")})), "\n")
		if strings.Contains(plan, "Seq Scan") || strings.Count(plan, "Index Cond") != 2 {
			t.Errorf("reads more than the ids:\n%s", plan)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
