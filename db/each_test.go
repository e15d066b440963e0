package db_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
)

func TestEach(t *testing.T) {
	d := dbtest.New(t)
	write(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `CREATE TABLE each (id TEXT PRIMARY KEY, n INTEGER NOT NULL); INSERT INTO each VALUES ('a', 0), ('b', 0), ('c', 0)`)
		return err
	})
	const statement = `UPDATE OR FAIL each SET n = ? + ? WHERE id = ?`
	write(t, d, func(tx *db.Tx) error {
		idle, err := tx.Each(t.Context(), statement, []any{10}, [][]any{{1, "a"}, {2, "nobody"}, {3, "c"}})
		if diff := cmp.Diff([][]any{{2, "nobody"}}, idle); diff != "" {
			t.Errorf("rows for which nothing changed (-want +got):\n%s", diff)
		}
		return err
	})
	var a, b, c int
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT (SELECT n FROM each WHERE id = 'a'), (SELECT n FROM each WHERE id = 'b'),
			(SELECT n FROM each WHERE id = 'c')`).Scan(&a, &b, &c)
	})
	if err != nil || a != 11 || b != 0 || c != 13 {
		t.Errorf("%d, %d, %d, error %v, want 11, 0, 13", a, b, c, err)
	}
	err = d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Each(t.Context(), statement, []any{10}, [][]any{{1, "a"}, {nil, "b"}})
		return err
	})
	if !db.IsConstraint(err) {
		t.Errorf("error %v, want that of a refused row", err)
	}
}
