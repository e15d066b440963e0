package serialize_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/serialize"
	"github.com/morango-go/morango/store"
)

// Every row of a database that Kolibri made, serialized anew by us, gives the very
// text that Kolibri gave it.
func TestKolibrisRowsKeepTheirText(t *testing.T) {
	const folder = "../../testdata/kolibri"
	profile, err := model.LoadFile(folder + "/facilitydata.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := kolibri(t, folder+"/kolibri-server.sqlite3.gz")
	before := tables.Dump(t, d, "store")
	tables.Write(t, d, func(tx *db.Tx) error {
		for _, m := range profile.Models {
			if _, err := tx.Exec(t.Context(), "UPDATE "+db.Quote(m.Table)+" SET _morango_dirty_bit = TRUE"); err != nil {
				return err
			}
		}
		return nil
	})
	env := stage.Env{
		DB: d, Profile: profile, Machine: store.Machine{SystemID: "system", NodeID: "node"},
		Now: time.Now, Rand: bytes.NewReader(nil),
	}
	report, err := serialize.Run(t.Context(), env, partition.Filter{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if report.LeftOutTotal != 0 || report.Changed < 200 || report.New != 0 {
		t.Errorf("report %+v: want more than 200 changed records and nothing else", report)
	}
	after := tables.Dump(t, d, "store")
	byID := map[any]tables.Row{}
	for _, row := range after {
		byID[row["id"]] = row
	}
	for _, row := range before {
		for _, column := range []string{"serialized", "_self_ref_fk", "partition", "source_id"} {
			if diff := cmp.Diff(row[column], byID[row["id"]][column]); diff != "" {
				t.Errorf("%s of %s %v (-Kolibri +ours):\n%s", column, row["model_name"], row["id"], diff)
			}
		}
	}
	if !ident.Valid(byID[before[0]["id"]]["last_saved_instance"].(string)) {
		t.Error("the records are stamped by nobody")
	}
}

// kolibri opens a copy of a packed database.
func kolibri(t *testing.T, packed string) *db.DB {
	t.Helper()
	file, err := os.Open(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "kolibri.sqlite3")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := db.Open(t.Context(), name, db.Options{MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}
