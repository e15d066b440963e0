package stream_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/stream"
)

// arrivals are pages of new records whose ids and partitions come in no order: users, and then facilities, to which users refer.
func arrivals(pages, each int) (c stream.Chunk, byModel map[string][]record.Record) {
	v := counter.Version{Instance: tables.Number("a", 1), Counter: 1}
	byModel = map[string][]record.Record{}
	for p := range pages {
		page := stream.Page{After: fmt.Sprintf("%04d", p)}
		for i := range each {
			n := (p*each + i) * 37 % (pages * each)
			r := record.Record{ID: tables.Number("c", n), Profile: "facilitydata", Model: "user", Partition: fmt.Sprintf("p:%d", n%7), SourceID: "s",
				Serialized: "{}", Version: v, History: counter.Counters{v.Instance: v.Counter}}
			if n%3 == 0 {
				r.Model = "facility"
			}
			byModel[r.Model] = append(byModel[r.Model], r)
			page.Records = append(page.Records, r)
		}
		c.Pages, c.After = append(c.Pages, page), page.After
	}
	return c, byModel
}

// inRows reads the ids of the store in the order of its rows.
func inRows(t *testing.T, d *db.DB) (ids []string) {
	t.Helper()
	tables.Write(t, d, func(tx *db.Tx) error {
		rows, err := tx.Query(t.Context(), `SELECT id FROM morango_store ORDER BY rowid`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id db.ID
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, string(id))
		}
		return rows.Err()
	})
	return ids
}

// applier notes the order of what it is to apply, which it takes as applied. As whoever writes rows it turns the capture of
// changes off.
type applier struct {
	came   [][]string
	meddle func(goOn func() error) error
}

func (a *applier) Begin(context.Context, *db.Tx) error { return nil }
func (a *applier) End(context.Context, *db.Tx) error   { return nil }
func (a *applier) Apply(ctx context.Context, tx *db.Tx, fresh, _ []*record.Record, goOn func() error) (applied []bool, err error) {
	var ids []string
	for _, r := range fresh {
		ids = append(ids, r.ID)
	}
	a.came = append(a.came, ids)
	if err := tx.Capture(ctx, false); err != nil {
		return nil, err
	}
	if a.meddle != nil {
		err = a.meddle(goOn)
	}
	return slices.Repeat([]bool{true}, len(fresh)), err
}

// The application gets records by models, targets first, and then by partitions, the store by models and then by ids; but trees
// come to both as they came.
func TestOrders(t *testing.T) {
	dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		tables.Sessions(t, d, transferID)
		c, byModel := arrivals(20, 100)
		apply := &applier{}
		_, report, err := receiver(env, apply).Receive(t.Context(), at(t, d, stage.Queuing), c)
		if err != nil || report.Applied != 2000 || report.Pages != len(c.Pages) {
			t.Fatal(report, err)
		}
		var applied, stored []string
		for _, m := range env.Profile.Models {
			came := byModel[m.Name]
			for _, order := range []struct {
				by   func(a, b record.Record) int
				want *[]string
			}{
				{func(a, b record.Record) int { return strings.Compare(a.Partition, b.Partition) }, &applied},
				{func(a, b record.Record) int { return strings.Compare(a.ID, b.ID) }, &stored},
			} {
				sorted := slices.Clone(came)
				if m.SelfReference() == nil {
					slices.SortStableFunc(sorted, order.by)
				}
				for _, r := range sorted {
					*order.want = append(*order.want, r.ID)
				}
			}
		}
		if diff := cmp.Diff([][]string{applied}, apply.came); diff != "" {
			t.Errorf("-by model and partition +as they were applied: %s", diff)
		}
		if diff := cmp.Diff(stored, inRows(t, d)); diff != "" {
			t.Errorf("-by model and id +in the store: %s", diff)
		}
	})
}

// While the store is written no foreign key is broken, by which capture is turned off: SQLite would look for what refers to
// each record.
func TestNothingIsBroken(t *testing.T) {
	d := dbtest.New(t)
	env := tables.Env(t, d)
	tables.Sessions(t, d, transferID)
	tables.Write(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `CREATE TRIGGER watch BEFORE INSERT ON morango_store WHEN EXISTS (SELECT 1 FROM morango_applying)
			BEGIN SELECT RAISE (FAIL, 'capture is off'); END`)
		return err
	})
	c, _ := arrivals(5, 10)
	if _, report, err := receiver(env, &applier{}).Receive(t.Context(), at(t, d, stage.Queuing), c); err != nil || report.Applied != 50 {
		t.Error(report, err)
	}
}

// Who wants to write while many pages are merged in one go has its turn at once: all is taken back, and done again page by
// page, on a slow machine one page in a transaction. In the end all has come once.
func TestDisturbed(t *testing.T) {
	for _, slow := range []bool{false, true} {
		dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
			env := tables.Env(t, d)
			tables.Sessions(t, d, transferID)
			now := env.Now()
			env.Now = func() time.Time {
				if slow {
					now = now.Add(time.Minute) // more than any part may take
				}
				return now
			}
			c, _ := arrivals(5, 10)
			have := at(t, d, stage.Queuing)
			wrote := make(chan error, 1)
			apply := &applier{}
			apply.meddle = func(goOn func() error) error {
				apply.meddle = nil
				go func() { wrote <- d.Write(t.Context(), untouched(t)) }()
				for t.Context().Err() == nil {
					if err := goOn(); err != nil {
						return err
					}
				}
				return t.Context().Err()
			}
			for last := 0; last < 50; {
				var report stream.Report
				var err error
				if have, report, err = receiver(env, apply).Receive(t.Context(), have, c); err != nil {
					t.Fatal(err)
				}
				if slow && last == 0 && report.Pages != 1 {
					t.Errorf("%d pages in a transaction for which one takes too long", report.Pages)
				}
				_, c = c.Cut(report.Pages)
				if last += int(report.New); int(have.RecordsTransferred) != last || len(inRows(t, d)) != last {
					t.Fatalf("%d records in the store, %d noted, %d reported", len(inRows(t, d)), have.RecordsTransferred, last)
				}
			}
			if err := <-wrote; err != nil {
				t.Fatal(err)
			}
			if len(apply.came) < 2 || len(apply.came[0]) != 50 || len(apply.came[1]) != 10 {
				t.Errorf("applied in goes of %v", apply.came)
			}
		})
	}
}

// untouched is a transaction that must not find a record in the store.
func untouched(t *testing.T) func(*db.Tx) error {
	return func(tx *db.Tx) error {
		var n int
		err := tx.QueryRow(t.Context(), `SELECT COUNT(*) FROM morango_store`).Scan(&n)
		if err == nil && n > 0 {
			t.Errorf("who came found %d records of what is taken back", n)
		}
		return err
	}
}
