package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/store"
)

// A thousand records, a hundred each in ten partitions, are looked at in windows where the filter has more than a list may
// take, but so few that to look at all of these again for each window is less than to look at the whole store.
func TestWindows(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var records []record.Record
		for i := range 1000 {
			v := counter.Version{Instance: ida(i % 2), Counter: int64(i + 1)}
			records = append(records, record.Record{ID: fmt.Sprintf("%04x%028x", i*7919%65536, i), Profile: "p", Model: "m",
				Partition: fmt.Sprintf("p:%d", i%10), SourceID: "s", Serialized: "{}", Version: v, History: counter.Counters{v.Instance: v.Counter}})
		}
		records[0].ID = ident.Lowest
		tables.Env(t, d)
		tables.LoadRecords(t, d, records)
		finds := d.Kind() == db.SQLite || !strings.Contains(t.Name(), "django")
		tables.Write(t, d, func(tx *db.Tx) error {
			for _, c := range []struct {
				filter string
				ids    int64
				want   bool
			}{{"p:1", 30, true}, {"p:1", 20, true}, {"p:1", 10, false}, {"p", 30, false}, {"p:1 p:2 p:3", 60, false}, {"p:1 p:2 p:3", 150, true}, {"p:1", -1, false}} {
				got, err := store.Lacking{Profile: "p", Filter: partition.Parse(c.filter)}.Windows(t.Context(), tx, c.ids)
				if err != nil || got != (c.want && finds) {
					t.Errorf("under %s, %d at a time: %v, %v", c.filter, c.ids, got, err)
				}
			}
			for _, c := range []struct {
				filter      string
				most, times int64
				want        bool
			}{{"p:1", 100, 10, true}, {"p:1", 99, 10, false}, {"p:1", 100, 11, false}, {"p:1 p:2", 1000, 5, true}, {"p", 1000, 1, true}, {"", 1000, 1, false}, {"p:1", 0, 1, false}} {
				got, err := store.Lacking{Profile: "p", Filter: partition.Parse(c.filter)}.Few(t.Context(), tx, c.most, c.times)
				if err != nil || got != (c.want && finds) {
					t.Errorf("under %s, at most %d and one in %d: %v, %v", c.filter, c.most, c.times, got, err)
				}
			}
			l := store.Lacking{Profile: "p", Filter: partition.Parse("p:0 p:3"), Receiver: counter.ByPartition{"p:3": {ida(1): 500}}}
			want, _, err := l.Find(t.Context(), tx, -1, 1000)
			if err != nil || len(want) != 150 || want[0] != ident.Lowest {
				t.Fatalf("%d records are lacking: %v", len(want), err)
			}
			var got []string
			for end := ""; end != ident.Highest; {
				ids, next, err := l.Window(t.Context(), tx, end, 7)
				if err != nil || next <= end {
					t.Fatalf("after %s a window up to %s: %v", end, next, err)
				}
				got, end = append(got, ids...), next
			}
			if !slices.Equal(got, want) {
				t.Errorf("windows have %d ids, in one list are %d", len(got), len(want))
			}
			return nil
		})
	})
}
