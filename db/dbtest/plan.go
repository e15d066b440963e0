package dbtest

import (
	"testing"

	"github.com/morango-go/morango/db"
)

// Plan returns the lines of the engine's plan for a statement, so that a test can hold
// it to the indexes it must use.
func Plan(t testing.TB, tx *db.Tx, query string, args ...any) []string {
	t.Helper()
	explain := "EXPLAIN QUERY PLAN "
	if tx.Kind() == db.Postgres {
		explain = "EXPLAIN "
	}
	rows, err := tx.Query(t.Context(), explain+query, args...)
	if err != nil {
		t.Fatalf("plan of %s: %v", query, err)
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var id, parent, unused int
		var line string
		into := []any{&id, &parent, &unused, &line}
		if tx.Kind() == db.Postgres {
			into = into[3:]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}
