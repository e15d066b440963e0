package db_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
)

// marking writes rows into a database and marks its state.
type marking struct {
	t    *testing.T
	d    *db.DB
	rows int
}

func (m *marking) add(tx *db.Tx) error {
	m.rows++
	return tx.InsertAll(m.t.Context(), nonces, [][]any{{fmt.Sprintf("%032x", m.rows), tx.Time(time.Unix(int64(m.rows), 0)), ""}})
}

// marked writes, and returns the mark of what it leaves behind.
func (m *marking) marked() (mark string) {
	write(m.t, m.d, func(tx *db.Tx) (err error) {
		if err = tx.Capture(m.t.Context(), false); err == nil {
			if err = m.add(tx); err == nil {
				mark, err = tx.Mark(m.t.Context())
			}
		}
		return err
	})
	return mark
}

func (m *marking) unchanged(mark string) (same bool) {
	write(m.t, m.d, func(tx *db.Tx) (err error) {
		same, err = tx.Unchanged(m.t.Context(), mark)
		return err
	})
	return same
}

// A mark holds as long as nobody writes: neither this process nor another, neither after
// the marked transaction nor beside it.
func TestMark(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		m := &marking{t: t, d: d}
		held := false
		for try := 0; try < 5000 && !held; try++ { // others use the PostgreSQL server as well
			held = m.unchanged(m.marked())
		}
		if !held || m.unchanged("") {
			t.Errorf("a mark held: %v; none at all held: %v", held, m.unchanged(""))
		}
		between := map[string]func(){"this process": func() { write(t, d, m.add) }}
		if d.Kind() == db.SQLite {
			between["another process"] = func() {
				other, err := db.Open(t.Context(), d.Path(), db.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer other.Close()
				write(t, other, m.add)
			}
		}
		for who, writes := range between {
			mark := m.marked()
			if writes(); m.unchanged(mark) {
				t.Errorf("a mark held although %s had written", who)
			}
		}
		if d.Kind() == db.SQLite {
			return
		}
		var mark string // of a transaction during another, that is done after it
		write(t, d, func(tx *db.Tx) error {
			if err := m.add(tx); err != nil {
				return err
			}
			mark = m.marked()
			return nil
		})
		if m.unchanged(mark) {
			t.Error("a mark held although another transaction had been under way")
		}
	})
}
