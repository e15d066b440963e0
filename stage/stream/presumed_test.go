package stream_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/stream"
)

// mixed are chunks of new records. The second has a record in two versions. The store has three of the fourth: of one an older
// version, of one the same, and of one a version that neither has seen of the other; and one of the last.
func mixed() (chunks []stream.Chunk, held []record.Record) {
	c, _ := arrivals(7, 10)
	later := c.Pages[1].Records[0]
	later.Version = counter.Version{Instance: tables.Number("a", 1), Counter: 2}
	later.History = counter.Counters{later.Version.Instance: 2}
	c.Pages[2].Records[0] = later
	held = append(slices.Clone(c.Pages[4].Records[:3]), c.Pages[6].Records[0])
	older := counter.Version{Instance: tables.Number("a", 2), Counter: 1}
	held[0].Version, held[0].History = older, counter.Counters{older.Instance: 1}
	seen := &c.Pages[4].Records[0]
	seen.History = maps.Clone(seen.History)
	seen.History[older.Instance] = 1
	held[2].Version, held[2].History = older, counter.Counters{older.Instance: 1}
	held[2].Serialized = `{"a": 1}`
	for _, pages := range []int{1, 2, 1, 1, 1, 1} {
		var one stream.Chunk
		one, c = c.Cut(pages)
		chunks = append(chunks, one)
	}
	return chunks, held
}

// After a chunk of nothing but new records SQLite's store is not asked after those of the next. When that has some of them all
// is taken back, and done again with asking, and comes to the same; and then it takes two such chunks until nobody asks.
func TestPresumedNew(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		tables.Sessions(t, d, transferID)
		chunks, held := mixed()
		run := func(one bool) (goes []int, total stream.Report, after map[string][]tables.Row) {
			tables.LoadRecords(t, d, held)
			have, apply := at(t, d, stage.Queuing), &applier{}
			same := receiver(env, apply)
			for _, c := range chunks {
				v, before := same, len(apply.came)
				if !one {
					v = receiver(env, apply)
				}
				var report stream.Report
				var err error
				if have, report, err = v.Receive(t.Context(), have, c); err != nil || report.Pages != len(c.Pages) {
					t.Fatal(report, err)
				}
				goes = append(goes, len(apply.came)-before)
				total.New, total.Stale, total.FastForwards = total.New+report.New, total.Stale+report.Stale, total.FastForwards+report.FastForwards
				total.Conflicts += report.Conflicts
			}
			return goes, total, content(t, d)
		}
		_, asked, want := run(false)
		goes, presumed, got := run(true)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-asked +presumed: %s", diff)
		}
		if asked != presumed || presumed.New != 65 || presumed.Stale != 2 || presumed.FastForwards != 2 || presumed.Conflicts != 1 {
			t.Errorf("reports differ, asked %+v, presumed %+v", asked, presumed)
		}
		wantGoes := []int{1, 2, 1, 1, 1, 1} // each version of a chunk's record has one
		if d.Kind() == db.SQLite {
			wantGoes[3] = 2
		}
		if diff := cmp.Diff(wantGoes, goes); diff != "" {
			t.Errorf("-goes +of each chunk: %s", diff)
		}
	})
}
