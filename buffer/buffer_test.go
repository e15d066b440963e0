package buffer_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/record"
)

func id(digit string) string { return strings.Repeat(digit, 32) }

// records makes n records in id order, with histories of different lengths and texts
// that other ways of writing rows trip over.
func records(n int) (all []record.Record) {
	for i := range n {
		r := record.Record{
			ID: fmt.Sprintf("%032x", i), Profile: "facilitydata", Model: "facility", Partition: id("a") + ":fac",
			SourceID: "it's\ta \\N \\.", Serialized: `{"name": "é\n"}`, Deleted: i%2 == 0, HardDeleted: i%3 == 0,
			Version: counter.Version{Instance: id("1"), Counter: int64(i + 1)}, History: counter.Counters{id("1"): int64(i + 1)},
		}
		if i%5 == 0 {
			r.Conflicting, r.SelfRef, r.History[id("2")] = "{}\n", id("b"), counter.Greatest
		}
		all = append(all, r)
	}
	return all
}

func put(t *testing.T, d *db.DB, session string, list []record.Record) (added, repeated int, err error) {
	t.Helper()
	err = d.Write(t.Context(), func(tx *db.Tx) error {
		added, repeated, err = buffer.Put(t.Context(), tx, session, list)
		return err
	})
	return added, repeated, err
}

func read(t *testing.T, d *db.DB, f func(*db.Tx) ([]record.Record, error)) (list []record.Record) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		list, err = f(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRecordsComeBackAsTheyWent(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const n = 1203
		ours, other := id("c"), id("d")
		tables.Sessions(t, d, ours, other)
		all := records(n)
		shuffled := append(slices.Clone(all[n/2:]), all[:n/2]...)
		for session, list := range map[string][]record.Record{ours: shuffled, other: all[:3]} {
			if added, repeated, err := put(t, d, session, list); added != len(list) || repeated != 0 || err != nil {
				t.Fatalf("added %d, repeated %d, %v", added, repeated, err)
			}
		}
		var got []record.Record
		for after := ""; ; after = got[len(got)-1].ID {
			page := read(t, d, func(tx *db.Tx) ([]record.Record, error) { return buffer.Page(t.Context(), tx, ours, after, 500) })
			got = append(got, page...)
			if len(page) < 500 {
				break
			}
		}
		if diff := cmp.Diff(all, got); diff != "" {
			t.Errorf("by key (-put +got):\n%s", diff)
		}
		got = read(t, d, func(tx *db.Tx) ([]record.Record, error) { return buffer.PageOffset(t.Context(), tx, ours, 1000, 100) })
		if diff := cmp.Diff(all[1000:1100], got); diff != "" {
			t.Errorf("by offset (-put +got):\n%s", diff)
		}
	})
}

// What arrives again counts once; with other content it is refused, whole.
func TestPutAgain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		session := id("c")
		tables.Sessions(t, d, session)
		all := records(30)
		if _, _, err := put(t, d, session, all[:20]); err != nil {
			t.Fatal(err)
		}
		if added, repeated, err := put(t, d, session, append(all[10:], all[25])); added != 10 || repeated != 11 || err != nil {
			t.Errorf("added %d, repeated %d, %v; want 10, 11", added, repeated, err)
		}
		for _, change := range []func(*record.Record){
			func(r *record.Record) { r.Serialized = "{}" },
			func(r *record.Record) { r.History = counter.Counters{id("1"): 1, id("3"): 1} },
		} {
			again := records(31)
			change(&again[7])
			if _, _, err := put(t, d, session, again[7:]); !errors.Is(err, buffer.ErrDifferentContent) {
				t.Errorf("other content gave %v", err)
			}
		}
		count := func() (n int64) {
			err := d.Read(t.Context(), func(tx *db.Tx) (err error) { n, err = buffer.Count(t.Context(), tx, session); return err })
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := count(); n != 30 {
			t.Errorf("%d records are buffered, want 30", n)
		}
		tables.Write(t, d, func(tx *db.Tx) error { return buffer.Drop(t.Context(), tx, session) })
		if n := count(); n != 0 || len(tables.Dump(t, d, "rmcb")) != 0 {
			t.Errorf("%d records are left, and %d counters", n, len(tables.Dump(t, d, "rmcb")))
		}
	})
}
