package lacking_test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/store/lacking"
)

// A cursor that this side has not given out is refused; each that it has is read as it was.
func TestCursors(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		tables.LoadRecords(t, d, plain(3))
		id := tables.Number("c", 1)
		none := func(lacking.Page) error { return nil }
		row, rank, end := "b0000-8000000000000001-", "b0000-0001-", "-0000000000000000"
		bad := []string{"a", "b", "z", "-", id, "b0000", rank + id, row[:22], row, row + id[1:], row + id, row + id + "-", row + id[1:] + end, row + id + end[1:], row + id + end[:16],
			row + id + end + "0", row + id + end + "-", rank + id + end[:16], rank + id + end + "0", "b0000-1-" + id + end, "b0000-10000-" + id + end,
			"bffff-8000000000000009-" + id + end, "bffff-0001-" + id + end, "bffff-00018000000000000000-" + id + end, "b0000-00018000000000000000" + end, "b0000-0001800000000000000-" + id + end,
			"b0000-000180000000000000000-" + id + end, "b0000-100008000000000000000-" + id + end}
		for _, wrong := range []string{"c0000-8000000000000001-", "b000-8000000000000001-", "b00000-8000000000000001-", "b0000-800000000000001-", "b0000-80000000000000001-"} {
			bad = append(bad, wrong+id+end)
		}
		for _, cursor := range bad {
			err := lacking.Pages(t.Context(), env.DB, lacking.Job{Profile: env.Profile, After: cursor}, 10, none)
			if !errors.Is(err, lacking.ErrCursor) || strings.Contains(err.Error(), "SELECT") {
				t.Errorf("%s: %v", cursor, err)
			}
		}
	})
}

// plain are records of one model, saved one after the other.
func plain(n int) (records []record.Record) {
	for i := range n {
		v := counter.Version{Instance: tables.Number("a", 1), Counter: int64(i + 1)}
		records = append(records, record.Record{ID: tables.Number("c", i), Profile: "facilitydata", Model: "user", Partition: "p", SourceID: "s",
			Serialized: "{}", Version: v, History: counter.Counters{v.Instance: v.Counter}})
	}
	return records
}

// read reads a page after a cursor, and asserts that there are at most rows records.
func read(t *testing.T, d *db.DB, after string, rows int, lists int64) (ids []string, to string) {
	t.Helper()
	job := lacking.Job{Profile: tables.Profile(t), After: after}
	err := lacking.PagesBy(t.Context(), d, job, rows, 1<<20, lists, lists, func(p lacking.Page) error {
		for _, r := range p.Records {
			ids = append(ids, r.ID)
		}
		to = p.After
		return errEnough
	})
	if !errors.Is(err, errEnough) || to <= after {
		t.Fatalf("%d records from %s to %s: %v", len(ids), after, to, err)
	}
	return ids, to
}

// remove takes records out of the store, as nothing of ours does.
func remove(t testing.TB, d *db.DB, ids ...string) {
	t.Helper()
	tables.Write(t, d, func(tx *db.Tx) error {
		var failed error
		for _, id := range ids {
			for _, query := range []string{`DELETE FROM morango_recordmaxcounter WHERE store_model_id = $1`, `DELETE FROM morango_store WHERE id = $1`} {
				_, err := tx.Exec(t.Context(), query, id)
				failed = errors.Join(failed, err)
			}
		}
		return failed
	})
}

// renumber gives the rows new numbers, from 1 on, as VACUUM may do, and with it another schema
// version.
func renumber(t testing.TB, d *db.DB) {
	t.Helper()
	tables.Write(t, d, func(tx *db.Tx) error {
		if _, err := tx.Exec(t.Context(), `CREATE TABLE passing (x); DROP TABLE passing`); err != nil {
			return err
		}
		for n := 1; ; n++ { // none of them gets a number that one has still
			moved, err := tx.Exec(t.Context(), `UPDATE morango_store SET rowid = $1 WHERE rowid = (SELECT MIN(rowid) FROM morango_store WHERE rowid >= $1)`, n)
			if moved == 0 || err != nil {
				return err
			}
		}
	})
}

// vacuum has SQLite write its file anew. Whether it gives rows new numbers is its affair.
func vacuum(t testing.TB, d *db.DB) {
	t.Helper()
	other, err := sql.Open("sqlite", d.Path()+"?_pragma=busy_timeout(10000)")
	if err == nil {
		_, err = other.ExecContext(t.Context(), "VACUUM")
		err = errors.Join(err, other.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Where rows have other numbers now the reading begins again, and cursors go on rising. Where
// the record that it stood at is where it was, it goes on.
func TestVacuum(t *testing.T) {
	dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
		tables.Env(t, d)
		for _, lists := range []int64{-1, 100} {
			tables.LoadRecords(t, d, plain(10))
			first, at := read(t, d, "", 6, lists)
			remove(t, d, first[0], first[2])
			vacuum(t, d)
			renumber(t, d) // now the row in which the sixth record was has the eighth
			again, to := read(t, d, at, 100, lists)
			if len(again) != 8 || !strings.HasPrefix(at, "b0000-") || !strings.HasPrefix(to, "b0001-") {
				t.Errorf("after %s: %d records, to %s", at, len(again), to)
			}
			tables.LoadRecords(t, d, plain(10))
			_, at = read(t, d, "", 6, lists)
			vacuum(t, d)
			renumber(t, d)
			if again, to = read(t, d, at, 100, lists); len(again) != 4 || !strings.HasPrefix(to, "b0000-") {
				t.Errorf("with nothing moved, after %s: %d records, to %s", at, len(again), to)
			}
		}
	})
}

// A program with other models has another order: there too the reading begins again.
func TestOtherModels(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		tables.LoadRecords(t, d, plain(10))
		_, at := read(t, d, "", 6, -1)
		profile := *env.Profile
		profile.Models = append(slices.Clone(profile.Models), &model.Model{Name: "another"})
		env.Profile = &profile
		want, n := 10, 0
		if d.Kind() == db.SQLite {
			want = 4
		}
		err := lacking.Pages(t.Context(), env.DB, lacking.Job{Profile: env.Profile, After: at}, 100, func(p lacking.Page) error {
			n += len(p.Records)
			return nil
		})
		if err != nil || n != want {
			t.Errorf("%d records, %v", n, err)
		}
	})
}

// Rows with numbers that a program gave them, below zero too, are read in their order.
func TestNegativeRows(t *testing.T) {
	dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
		tables.Env(t, d)
		tables.LoadRecords(t, d, plain(6))
		tables.Write(t, d, func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `UPDATE morango_store SET rowid = rowid - 4`)
			return err
		})
		for _, lists := range []int64{-1, 100} {
			var all []string
			for at := ""; len(all) < 6; {
				var ids []string
				ids, at = read(t, d, at, 2, lists)
				all = append(all, ids...)
			}
			if !slices.IsSorted(all) || len(all) != 6 {
				t.Errorf("%v", all)
			}
		}
	})
}

// A record that has moved since it, or its row, was listed comes all the same, though pages end before it
// in the order of now.
func TestListedMoves(t *testing.T) {
	dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		for _, keys := range []int64{0, 3, 8, 100} {
			tables.LoadRecords(t, d, plain(8))
			got := map[string]bool{}
			job := lacking.Job{Profile: env.Profile, Filter: partition.Of("p")}
			err := wayOf(100, 100, keys)(t.Context(), env.DB, job, 8, 1, func(p lacking.Page) error {
				for _, r := range p.Records {
					got[r.ID] = true
				}
				if len(got) > 1 {
					return nil
				}
				return d.Write(t.Context(), func(tx *db.Tx) error {
					_, err := tx.Exec(t.Context(), `UPDATE morango_store SET rowid = rowid + 100 WHERE id = $1`, tables.Number("c", 5))
					return err
				})
			})
			if err != nil || len(got) != 8 {
				t.Errorf("%d keys in one go: %d records, %v", keys, len(got), err)
			}
		}
	})
}

// A page has no more entries of histories than a frame can have, but for a record that has them
// alone.
func TestLongHistories(t *testing.T) {
	dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
		env, records := tables.Env(t, d), plain(4)
		for i := range records {
			for n := range 40_000 {
				records[i].History[tables.Number("b", n)] = 1
			}
		}
		tables.LoadRecords(t, d, records[:0])
		tables.Write(t, d, func(tx *db.Tx) error {
			for _, r := range records {
				var rows [][]any
				for instance, n := range r.History {
					rows = append(rows, []any{r.ID, instance, n})
				}
				into := db.Insert{Table: "morango_recordmaxcounter", Columns: []string{"store_model_id", "instance_id", "counter"}}
				_, err := tx.Exec(t.Context(), `INSERT INTO morango_store (id, profile, model_name, partition, source_id, serialized,
					conflicting_serialized_data, _self_ref_fk, deleted, hard_deleted, last_saved_instance, last_saved_counter, dirty_bit, deserialization_error)
					VALUES ($1, 'facilitydata', 'user', 'p', 's', '{}', '', '', 0, 0, $2, 1, 0, '')`, r.ID, r.Version.Instance)
				if err := errors.Join(err, tx.InsertAll(t.Context(), into, rows)); err != nil {
					return err
				}
			}
			return nil
		})
		for _, lists := range []int64{-1, 100} {
			sizes := []int{}
			err := lacking.PagesBy(t.Context(), env.DB, lacking.Job{Profile: env.Profile}, 100, 1<<20, lists, lists, func(p lacking.Page) error {
				if sizes = append(sizes, len(p.Records)); p.Last && len(p.Records) > 0 && p.Records[len(p.Records)-1].ID != records[3].ID {
					t.Errorf("the last is %s", p.Records[len(p.Records)-1].ID)
				}
				return nil
			})
			if sizes = slices.DeleteFunc(sizes, func(n int) bool { return n == 0 }); err != nil || !slices.Equal(sizes, []int{2, 2}) {
				t.Errorf("pages of %d records, %v", sizes, err)
			}
		}
	})
}

// Whatever others do to the store meanwhile, between pages and between requests, every record
// that was there at the beginning comes at the version that it had, or a newer one.
func TestPagesWhileOthersWrite(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		rapid.Check(t, func(r *rapid.T) {
			stored := rapid.Permutation(plain(rapid.IntRange(1, 12).Draw(r, "records"))).Draw(r, "stored")
			drawModels(r, env, stored)
			for i := range stored {
				stored[i].Partition = rapid.SampledFrom([]string{"p", "p:1", "q"}).Draw(r, "partition")
			}
			tables.LoadRecords(t, d, stored)
			job, got := lacking.Job{Profile: env.Profile, Filter: rapid.SampledFrom([]partition.Filter{{}, partition.Of("p")}).Draw(r, "filter")}, map[string]int64{}
			w := others{t: t, d: d, records: map[string]record.Record{}, next: 100}
			due := map[string]int64{} // versions that have to come
			for _, one := range stored {
				if w.records[one.ID] = one; job.Filter.IsZero() || job.Filter.Contains(one.Partition) {
					due[one.ID] = one.Version.Counter
				}
			}
			for last, requests := false, 0; !last; requests++ {
				if requests > 200 {
					r.Fatal("it does not end")
				}
				pages := drawWay(r)
				rows, enough := rapid.IntRange(1, 4).Draw(r, "rows"), rapid.IntRange(1, 5).Draw(r, "pages")
				bytes := rapid.SampledFrom([]int{1, 10, 1 << 20}).Draw(r, "bytes")
				err := pages(t.Context(), env.DB, job, rows, bytes, func(p lacking.Page) error {
					if len(p.Records) > 0 && p.After <= job.After || p.After < job.After {
						r.Errorf("%d records after %s to %s", len(p.Records), job.After, p.After)
					}
					for _, one := range p.Records {
						got[one.ID] = max(got[one.ID], one.Version.Counter)
					}
					if w.meddle(r, requests < 20); p.Last {
						last = true
					}
					if job.After, enough = p.After, enough-1; enough == 0 {
						return errEnough
					}
					return nil
				})
				if err != nil && !errors.Is(err, errEnough) {
					r.Fatal(err)
				}
				w.meddle(r, requests < 20)
			}
			for id, n := range due {
				if _, there := w.records[id]; there && got[id] < n {
					r.Errorf("record %s came at %d, and was at %d", id, got[id], n)
				}
			}
		})
	})
}

// others are programs that write the store too.
type others struct {
	t       *testing.T
	d       *db.DB
	records map[string]record.Record // that are there
	next    int
}

// meddle does one thing to the store. Records do not go but by hand, and later they do not
// any more, so that there is an end.
func (w *others) meddle(r *rapid.T, all bool) {
	var ids []string
	for id := range w.records {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	what := rapid.IntRange(0, 6).Draw(r, "meddle")
	if !all || what > 4 || len(ids) == 0 {
		return
	}
	one := w.records[rapid.SampledFrom(ids).Draw(r, "which")]
	w.next++
	switch what {
	case 0: // saved again
		one.Version.Counter = int64(w.next)
		w.exec(`UPDATE morango_store SET last_saved_counter = $1 WHERE id = $2`, one.Version.Counter, one.ID)
		w.records[one.ID] = one
	case 1:
		one.ID = tables.Number("e", w.next)
		w.insert(one)
	case 2: // as the reference replaces rows
		one.Version.Counter = int64(w.next)
		if w.d.Kind() != db.SQLite {
			return
		}
		w.exec(strings.Replace(insertion, "INSERT", "INSERT OR REPLACE", 1), one.ID, one.Model, one.Version.Instance, one.Version.Counter)
		w.records[one.ID] = one
	case 3:
		remove(w.t, w.d, one.ID)
		delete(w.records, one.ID)
	case 4:
		if w.d.Kind() == db.SQLite {
			vacuum(w.t, w.d) // this leaves the numbers alone, mostly
			renumber(w.t, w.d)
		}
	}
}

const insertion = `INSERT INTO morango_store (id, profile, model_name, partition, source_id, serialized,
	conflicting_serialized_data, _self_ref_fk, deleted, hard_deleted, last_saved_instance, last_saved_counter, dirty_bit, deserialization_error)
	VALUES ($1, 'facilitydata', $2, 'p', 's', '{}', '', '', FALSE, FALSE, $3, $4, FALSE, '')`

func (w *others) insert(one record.Record) {
	w.exec(insertion, one.ID, one.Model, one.Version.Instance, one.Version.Counter)
	w.records[one.ID] = one
}

func (w *others) exec(query string, args ...any) {
	w.t.Helper()
	tables.Write(w.t, w.d, func(tx *db.Tx) error {
		if _, err := tx.Exec(w.t.Context(), query, args...); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		return nil
	})
}

// A cursor of an earlier version, in which there were no groups, begins again where there are some now,
// and else goes on.
func TestEarlierCursors(t *testing.T) {
	for layout, d := range map[string]*db.DB{"lean": dbtest.Postgres(t), "django": dbtest.PostgresDjango(t)} {
		tables.Env(t, d)
		tables.LoadRecords(t, d, plain(10))
		_, at := read(t, d, "", 6, -1)
		const group = "8000000000000000-"
		parts := strings.SplitAfterN(at, "-", 3)
		if layout == "django" && !strings.HasSuffix(parts[1], group) {
			t.Fatalf("%s has no place for groups", at)
		}
		state := parts[2]
		if layout == "lean" { // that of the models alone
			state = state[:33] + "0123456700000000"
		}
		earlier := parts[0] + parts[1][:4] + "-" + state
		rest, to := read(t, d, earlier, 100, -1)
		want, epoch := 10, "b0001-"
		if layout == "django" {
			want, epoch = 4, "b0000-"
		}
		if len(rest) != want || !strings.HasPrefix(to, epoch) {
			t.Errorf("%s: after %s %d records, to %s", layout, earlier, len(rest), to)
		}
	}
}

// Where groups come out otherwise than when a cursor was given out the reading begins again.
func TestOtherGroups(t *testing.T) {
	d := dbtest.Postgres(t)
	tables.Env(t, d)
	tables.LoadRecords(t, d, plain(10))
	_, at := read(t, d, "", 6, -1)
	if rest, _ := read(t, d, at, 100, -1); len(rest) != 4 {
		t.Errorf("%d records are left", len(rest))
	}
	tables.Write(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE morango_store SET partition = 'elsewhere'`)
		return err
	})
	again, to := read(t, d, at, 100, -1)
	if len(again) != 10 || !strings.HasPrefix(at, "b0000-") || !strings.HasPrefix(to, "b0001-") {
		t.Errorf("after %s: %d records, to %s", at, len(again), to)
	}
}
