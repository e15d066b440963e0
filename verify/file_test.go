package verify_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/verify"
)

// A value that its column cannot hold is told, on SQLite, where there can be one.
func TestUnreadableRow(t *testing.T) {
	chain := certificates(t)
	dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d, chain)
		h.do(facility+`now_date = 'yesterday', _morango_dirty_bit = FALSE WHERE id = $1`, h.ids[1])
		if r := h.verify(); r.Of(verify.RowUnreadable).Count != 1 || len(r.Found) != 1 {
			t.Errorf("found %+v", r.Found)
		}
	})
}

// A file that is damaged is told of, also when parts of it cannot be read any more; and a
// repair leaves it alone.
func TestDamagedFile(t *testing.T) {
	d := dbtest.New(t)
	h := newHouse(t, d, certificates(t))
	copied := filepath.Join(t.TempDir(), "copy.sqlite3")
	h.do(`INSERT INTO morango_nonce (id, timestamp, ip) VALUES ($1, '2026-01-01 00:00:00', '')`, spare)
	h.unchecked(`VACUUM INTO '` + copied + `'`)
	text, err := os.ReadFile(copied)
	must(t, err)
	const page = 8192
	var root int64
	must(t, d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT rootpage FROM sqlite_master WHERE name = 'morango_store_partition'`).Scan(&root)
	}))
	other, err := db.Open(t.Context(), copied, db.Options{})
	must(t, err)
	must(t, other.Read(t.Context(), func(tx *db.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT rootpage FROM sqlite_master WHERE name = 'morango_store_partition'`).Scan(&root)
	}))
	must(t, other.Close())
	for i := (root-1)*page + 8; i < root*page; i++ {
		text[i] = 0xa5
	}
	must(t, os.WriteFile(copied, text, 0o600))
	other, err = db.Open(t.Context(), copied, db.Options{})
	must(t, err)
	defer other.Close()
	r, err := verify.Run(t.Context(), other, h.env.Profile, verify.Options{})
	if err != nil || r.Clean() || r.Of(verify.File).Count == 0 {
		t.Errorf("found %+v, %v", r.Found, err)
	}
	done, err := verify.Repair{DB: other, Profile: h.env.Profile, Renew: h.renew, Settle: h.settle}.Run(t.Context(), verify.Options{})
	if err != nil || len(done.Mended) > 0 || done.Left.Of(verify.File).Count == 0 {
		t.Errorf("repaired %+v, %v", done, err)
	}
}
