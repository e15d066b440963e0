package lacking_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store/lacking"
)

// inTail says whether a version lies in a tail.
func inTail(tail lacking.Tail, v counter.Version) bool {
	return v.Instance == tail.Instance && v.Counter > tail.From && v.Counter <= tail.To
}

// A tail has what its instance saved, each once, in the order of the counters, with its history, however it is
// cut into pages, and goes on after each of them, also when the rows have got other numbers. What is
// not in it comes in the pages without it.
func TestFollow(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		rapid.Check(t, func(r *rapid.T) {
			all := tables.DrawRecords(r, 12)
			other := tables.DrawRecord(r, tables.Number("d", 1))
			other.Profile = "another"
			tables.LoadRecords(t, d, append(slices.Clone(all), other))
			job := lacking.Job{Profile: env.Profile, Receiver: drawClaims(r),
				Filter: rapid.SampledFrom([]partition.Filter{{}, partition.Of("p"), partition.Of("p:1", "ü")}).Draw(r, "filter")}
			tail := lacking.Tail{Instance: tables.Number("a", 1), From: int64(rapid.IntRange(0, 4).Draw(r, "from"))}
			tail.To = tail.From + int64(rapid.IntRange(0, 4).Draw(r, "length"))
			want, rest := map[string]record.Record{}, map[string]record.Record{}
			for _, one := range all {
				switch wanted := (job.Filter.IsZero() || job.Filter.Contains(one.Partition)) && !job.Receiver.Covers(one.Partition, one.Version); {
				case wanted && inTail(tail, one.Version):
					want[one.ID] = one
				case wanted:
					rest[one.ID] = one
				}
			}
			rows, bytes := rapid.IntRange(1, 5).Draw(r, "rows"), rapid.SampledFrom([]int{1, 10, 1 << 20}).Draw(r, "bytes")
			got := followInParts(r, env, job, tail, rows, bytes)
			if diff := cmp.Diff(want, got); diff != "" {
				r.Errorf("-want +got: %s", diff)
			}
			job.Sent = tail
			got = map[string]record.Record{}
			err := lacking.PagesBy(t.Context(), env.DB, job, rows, bytes, 5, 5, func(p lacking.Page) error {
				for _, one := range p.Records {
					got[one.ID] = one
				}
				return nil
			})
			if diff := cmp.Diff(rest, got); err != nil || diff != "" {
				r.Errorf("%v, what is left (-want +got): %s", err, diff)
			}
		})
	})
}

// followInParts reads a tail to its end, again and again from where it stood.
func followInParts(r *rapid.T, env stage.Env, job lacking.Job, tail lacking.Tail, rows, bytes int) map[string]record.Record {
	got, counter, enough := map[string]record.Record{}, int64(0), errors.New("enough")
	for tries := 0; ; tries++ {
		pages := rapid.IntRange(1, 4).Draw(r, "pages")
		err := lacking.FollowBy(context.Background(), env.DB, job, tail, rows, bytes, func(p lacking.Page) error {
			if len(p.Records) > rows || len(p.Records) > 0 && p.After <= job.After || p.After < job.After || !lacking.InTail(p.After) || p.Last {
				r.Errorf("page of %d records after %s to %s", len(p.Records), job.After, p.After)
			}
			for _, one := range p.Records {
				if _, twice := got[one.ID]; twice || one.Version.Counter < counter {
					r.Errorf("%s at %d, after %d, twice: %v", one.ID, one.Version.Counter, counter, twice)
				}
				got[one.ID], counter = one, one.Version.Counter
			}
			job.After = p.After
			if pages--; pages == 0 {
				return enough
			}
			return nil
		})
		if err == nil {
			return got
		}
		if !errors.Is(err, enough) || tries > 100 {
			r.Fatal(err)
		}
	}
}

// saved is a record that an instance saved at a counter.
func saved(n int, at int64) record.Record {
	v := counter.Version{Instance: tables.Number("a", 1), Counter: at}
	return record.Record{ID: tables.Number("c", n), Profile: "facilitydata", Model: "user", Partition: "p", SourceID: "s",
		Serialized: "{}", Version: v, History: counter.Counters{v.Instance: at}}
}

// VACUUM can give rows other numbers while a tail is read: none is passed over then.
func TestFollowAfterVacuum(t *testing.T) {
	d := dbtest.New(t)
	env := tables.Env(t, d)
	var records []record.Record
	for n := range 20 {
		records = append(records, saved(n, 1))
	}
	tables.LoadRecords(t, d, records)
	tables.Write(t, d, func(tx *db.Tx) error { // as after rows that are gone
		_, err := tx.Exec(t.Context(), `UPDATE morango_store SET rowid = rowid + 1000`)
		return err
	})
	tail, job, times := lacking.Tail{Instance: tables.Number("a", 1), To: 1}, lacking.Job{Profile: env.Profile}, map[string]int{}
	pages := 0
	err := lacking.Follow(t.Context(), env.DB, job, tail, 6, func(p lacking.Page) error {
		if p.After <= job.After {
			t.Errorf("%s after %s", p.After, job.After)
		}
		job.After = p.After
		for _, r := range p.Records {
			times[r.ID]++
		}
		if pages++; pages == 2 {
			tables.Write(t, d, func(tx *db.Tx) error {
				_, err := tx.Exec(t.Context(), `UPDATE morango_store SET rowid = rowid - 1000`)
				return err
			})
		}
		return nil
	})
	if err != nil || len(times) != 20 || slices.Max(slices.Collect(maps.Values(times))) != 2 {
		t.Errorf("%v: %v", err, times)
	}
}

// What refers to others comes after them, within what was saved in one transaction.
func TestFollowInOrderOfModels(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		var records []record.Record
		for n, m := range env.Profile.Models {
			r := saved(99-n, 1)
			r.Model = m.Name
			records = append(records, r)
		}
		tables.LoadRecords(t, d, records)
		var got []string
		err := lacking.Follow(t.Context(), env.DB, lacking.Job{Profile: env.Profile}, lacking.Tail{Instance: tables.Number("a", 1), To: 1}, 2, func(p lacking.Page) error {
			for _, r := range p.Records {
				got = append(got, r.Model)
			}
			return nil
		})
		var want []string
		for _, m := range env.Profile.Models {
			want = append(want, m.Name)
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got): %s", err, diff)
		}
	})
}

// A cursor that this side cannot have given out is refused: one beyond what it has saved, as
// after it was set back, too.
func TestFollowRefuses(t *testing.T) {
	d := dbtest.New(t)
	env := tables.Env(t, d)
	tables.LoadRecords(t, d, []record.Record{saved(1, 1), saved(2, 2)})
	tail := lacking.Tail{Instance: tables.Number("a", 1), To: 2}
	follow := func(after string) (last string, err error) {
		err = lacking.Follow(t.Context(), env.DB, lacking.Job{Profile: env.Profile, After: after}, tail, 1, func(p lacking.Page) error {
			last = p.After
			return nil
		})
		return last, err
	}
	end, err := follow("")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := follow(end); err != nil || again != end {
		t.Errorf("from its end to %s: %v", again, err)
	}
	beyond := strings.Replace(end, "3", "4", 1)
	for _, bad := range []string{beyond, "a", "b" + end[1:], end + "x", end + "-", strings.Replace(end, "0", "-", 1), strings.Repeat("a", 200), end + "-" + tables.Number("c", 1)} {
		if _, err := follow(bad); !errors.Is(err, lacking.ErrCursor) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// A tail is read by its index, without sorting.
func TestFollowPlans(t *testing.T) {
	dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
		tables.Write(t, d, func(tx *db.Tx) error {
			if lean, err := tx.HasIndex(t.Context(), "morango_store_last_saved"); err != nil || !lean {
				return err
			}
			query, args := lacking.TailQuery(lacking.Job{Profile: tables.Profile(t)}, lacking.Tail{Instance: tables.Number("a", 1), To: 9}, 3)
			for text, want := range map[string]string{
				strings.Join(dbtest.Plan(t, tx, query, args...), "\n"):                                                 "(last_saved_instance=? AND last_saved_counter=? AND rowid>?)",
				strings.Join(dbtest.Plan(t, tx, lacking.NextCounter, tables.Number("a", 1), int64(1), int64(9)), "\n"): "(last_saved_instance=? AND last_saved_counter>? AND last_saved_counter<?)",
			} {
				if !strings.Contains(text, want) || strings.Contains(text, "TEMP B-TREE") {
					t.Errorf("instead of %s:\n%s", want, text)
				}
			}
			return nil
		})
	})
}
