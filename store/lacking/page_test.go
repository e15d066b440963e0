package lacking_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"modernc.org/sqlite"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store"
	"github.com/morango-go/morango/store/lacking"
	"github.com/morango-go/morango/wire"
)

func drawClaims(t *rapid.T) counter.ByPartition {
	claims := counter.ByPartition{}
	for range rapid.IntRange(0, 4).Draw(t, "claims") {
		prefix, v := rapid.SampledFrom([]string{"", "p", "p:1", "q", "ü"}).Draw(t, "prefix"), tables.DrawVersion(t)
		if claims[prefix] == nil {
			claims[prefix] = counter.Counters{}
		}
		claims[prefix][v.Instance] = v.Counter
	}
	return claims
}

// ordered puts records into the order in which they travel, of which SQLite knows only by
// that in which they were put into the store.
func ordered(t *rapid.T, env stage.Env, records []record.Record) []record.Record {
	if env.DB.Kind() == db.SQLite {
		return records
	}
	groups := map[string]int64{}
	err := env.DB.Read(t.Context(), func(tx *db.Tx) error {
		grouped, err := tx.HasIndex(t.Context(), "morango_store_group")
		for _, r := range records {
			var hash int64
			if grouped && err == nil {
				err = tx.QueryRow(t.Context(), `SELECT hashtextextended($1::text, 0)`, r.Partition).Scan(&hash)
			}
			groups[r.ID] = hash
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rank := func(r record.Record) int {
		n := slices.IndexFunc(env.Profile.Models, func(m *model.Model) bool { return m.Name == r.Model })
		return (n + len(env.Profile.Models) + 1) % (len(env.Profile.Models) + 1) // that is none is the last
	}
	records = slices.Clone(records)
	slices.SortFunc(records, func(a, b record.Record) int {
		if by := rank(a) - rank(b); by != 0 || rank(a) == len(env.Profile.Models) {
			return cmp.Or(by, strings.Compare(a.ID, b.ID))
		}
		return cmp.Or(cmp.Compare(groups[a.ID], groups[b.ID]), strings.Compare(a.ID, b.ID))
	})
	return records
}

// drawModels has records be of some models of the profile, and of one that it does not have.
func drawModels(t *rapid.T, env stage.Env, records []record.Record) {
	names := []string{"nobodys"}
	for _, m := range env.Profile.Models {
		names = append(names, m.Name)
	}
	for i := range records {
		records[i].Model = rapid.SampledFrom(names).Draw(t, "model")
	}
}

// However the records are found and cut into pages and requests, they are those that the
// receiver does not claim, each once, in order, with their histories.
func TestPages(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		rapid.Check(t, func(r *rapid.T) {
			all := rapid.Permutation(tables.DrawRecords(r, 12)).Draw(r, "stored")
			drawModels(r, env, all)
			other := tables.DrawRecord(r, tables.Number("d", 1))
			other.Profile = "another"
			tables.LoadRecords(t, d, append(slices.Clone(all), other))
			job := lacking.Job{Profile: env.Profile, Receiver: drawClaims(r),
				Filter: rapid.SampledFrom([]partition.Filter{{}, partition.All(), partition.Of("p"), partition.Of("p:1", "ü"), partition.Of("p:%")}).Draw(r, "filter")}
			var want []record.Record
			for _, one := range ordered(r, env, all) {
				if (job.Filter.IsZero() || job.Filter.Contains(one.Partition)) && !job.Receiver.Covers(one.Partition, one.Version) {
					want = append(want, one)
				}
			}
			var got []record.Record
			for last := false; !last; { // request after request
				pages := drawWay(r)
				rows, enough := rapid.IntRange(1, 5).Draw(r, "rows"), rapid.IntRange(1, 20).Draw(r, "pages")
				bytes := rapid.SampledFrom([]int{1, 10, 1 << 20}).Draw(r, "bytes")
				left := want[len(got):]
				n, err := lacking.Count(t.Context(), env.DB, job)
				if err != nil || n < int64(len(left)) || n != int64(len(left)) && d.Kind() == db.SQLite && hasIndex(r, d) && job.After == "" {
					r.Errorf("%d records counted of %d: %v", n, len(left), err)
				}
				err = pages(t.Context(), env.DB, job, rows, bytes, func(p lacking.Page) error {
					if beyond := len(p.Records) - 1; beyond > 0 && beyond*len(`{"a": 1}`) >= bytes {
						r.Errorf("page of %d records where %d bytes are enough", len(p.Records), bytes)
					}
					if len(p.Records) > rows || len(p.Records) > 0 && p.After <= job.After || p.After < job.After || last || !wire.ValidCursor(p.After) {
						r.Errorf("page of %d records after %s to %s", len(p.Records), job.After, p.After)
					}
					got, job.After, last = append(got, p.Records...), p.After, p.Last
					if enough--; enough == 0 {
						return errEnough
					}
					return nil
				})
				if err != nil && !errors.Is(err, errEnough) {
					r.Fatal(err)
				}
				if len(got) > len(want) || last != (err == nil) && !last {
					r.Fatalf("%d records of %d, last %v, %v", len(got), len(want), last, err)
				}
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				r.Errorf("up to %s (-want +got): %s", job.After, diff)
			}
		})
	})
}

var errEnough = errors.New("enough")

// way reads pages of so many rows and bytes.
type way func(ctx context.Context, d *db.DB, job lacking.Job, rows, bytes int, yield func(lacking.Page) error) error

// wayOf is by lists of at most so many ids, or, where there are any keys, by so many of these in one go.
func wayOf(changed, under, keys int64) way {
	return func(ctx context.Context, d *db.DB, job lacking.Job, rows, bytes int, yield func(lacking.Page) error) error {
		if keys > 0 {
			return lacking.PagesByKeys(ctx, d, job, rows, bytes, keys, yield)
		}
		return lacking.PagesBy(ctx, d, job, rows, bytes, changed, under, yield)
	}
}

// drawWay draws whether records are found by a list, by keys, or by reading the whole store.
func drawWay(r *rapid.T) way {
	lists := rapid.SampledFrom([][2]int64{{-1, -1}, {-1, 100}, {100, -1}, {3, 3}}).Draw(r, "lists")
	return wayOf(lists[0], lists[1], rapid.SampledFrom([]int64{0, 1, 3, 100}).Draw(r, "keys"))
}

func hasIndex(t *rapid.T, d *db.DB) (has bool) {
	err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		has, err = tx.HasIndex(t.Context(), "morango_store_last_saved")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return has
}

// Pages end when their reader has enough, and leave no reading behind that goes on beside it: what
// is read, which the driver tells when the transaction has ended, follows from the pages wanted.
func TestPagesEnd(t *testing.T) {
	var readings atomic.Int64
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, dsn string) error {
		if strings.Contains(dsn, t.Name()) && strings.Contains(dsn, "_query_only") {
			conn.(sqlite.HookRegisterer).RegisterRollbackHook(func() { readings.Add(1) })
		}
		return nil
	})
	d := dbtest.New(t)
	env := tables.Env(t, d)
	var records []record.Record
	for n := range 10 {
		v := counter.Version{Instance: tables.Number("a", 1), Counter: 1}
		records = append(records, record.Record{ID: tables.Number("c", n), Profile: "facilitydata", Model: "user", Partition: "p", SourceID: "s",
			Serialized: "{}", Version: v, History: counter.Counters{v.Instance: 1}})
	}
	tables.LoadRecords(t, d, records)
	for n := range 200 {
		lists := [][2]int64{{-1, -1}, {100, 100}}[n%2]
		pages, before := 0, readings.Load()
		err := lacking.PagesBy(t.Context(), env.DB, lacking.Job{Profile: env.Profile}, 3, 1<<20, lists[0], lists[1], func(lacking.Page) error {
			pages++
			return errEnough
		})
		if now := readings.Load() - before; pages != 1 || now != 3 || !errors.Is(err, errEnough) { // a look, the page, and the next one
			t.Fatalf("%d pages in %d readings, %v", pages, now, err)
		}
	}
}

// The store is read in the order of rows, without sorting; histories and versions by record.
func TestPlans(t *testing.T) {
	dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		tables.Write(t, d, func(tx *db.Tx) error {
			job := lacking.Job{Profile: env.Profile, Filter: partition.Of("p:1"), After: lacking.Cursor(env.DB, env.Profile, 1, tables.Number("c", 1)), Receiver: counter.ByPartition{"p": {tables.Number("a", 1): 5}}}
			whole, args := lacking.WholeQuery(tx, env.DB, job, 0, 500)
			ids := db.JSONList([]string{tables.Number("c", 1)})
			plans := map[string][]string{
				"whole":     dbtest.Plan(t, tx, whole, args...),
				"histories": dbtest.Plan(t, tx, store.HistoriesOf(tx), ids),
			}
			wants := map[string]string{
				"whole":     "SEARCH s USING INTEGER PRIMARY KEY (rowid>?)",
				"histories": "(store_model_id=?)",
			}
			for name, plan := range plans {
				text := strings.Join(plan, "\n")
				if !strings.Contains(text, wants[name]) || strings.Contains(text, "TEMP B-TREE") || strings.Contains(text, "SCAN morango") {
					t.Errorf("%s:\n%s", name, text)
				}
			}
			return nil
		})
	})
}

// On PostgreSQL a model is read in the order of ids, by their index, whatever the server knows of the table.
func TestPlansOfModels(t *testing.T) {
	for name, d := range map[string]*db.DB{"lean": dbtest.Postgres(t), "django": dbtest.PostgresDjango(t)} {
		env := tables.Env(t, d)
		tables.LoadRecords(t, d, nil)
		tables.Write(t, d, func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO morango_store (id, profile, model_name, partition, source_id, serialized,
				conflicting_serialized_data, _self_ref_fk, deleted, hard_deleted, last_saved_instance, last_saved_counter, dirty_bit, deserialization_error)
				SELECT md5(n::text)::uuid, 'facilitydata', CASE n % 50 WHEN 0 THEN 'facility' ELSE 'user' END, 'p:' || n % 100, 's', repeat('x', 500),
					'', '', FALSE, FALSE, $1, n, FALSE, '' FROM generate_series(1, 20000) n`, tables.Number("a", 1))
			return err
		})
		for _, analyze := range []bool{false, true} {
			tables.Write(t, d, func(tx *db.Tx) error {
				if analyze {
					if _, err := tx.Exec(t.Context(), `ANALYZE morango_store`); err != nil {
						return err
					}
				}
				if err := tx.WalkIndex(t.Context()); err != nil {
					return err
				}
				if plan := strings.Join(dbtest.Plan(t, tx, lacking.NextModel, "facility"), "\n"); name == "lean" && !strings.Contains(plan, "morango_store_group") {
					t.Errorf("the next model, analyzed %v:\n%s", analyze, plan)
				}
				for rank, m := range env.Profile.Models {
					for _, after := range []string{"", lacking.Cursor(env.DB, env.Profile, int64(rank), strings.Repeat("8", 32))} {
						query, args := lacking.WholeQuery(tx, env.DB, lacking.Job{Profile: env.Profile, After: after}, int64(rank), 500)
						plan := strings.Join(dbtest.Plan(t, tx, query, args...), "\n")
						if !strings.Contains(plan, "Index Scan using morango_store_") || strings.Contains(plan, "Sort") || strings.Contains(plan, "Seq Scan") {
							t.Errorf("%s, analyzed %v, %s after %q:\n%s\n%s", name, analyze, m.Name, after, query, plan)
						}
					}
				}
				return nil
			})
		}
	}
}
