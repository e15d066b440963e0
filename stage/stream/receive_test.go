package stream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/dequeue"
	"github.com/morango-go/morango/stage/stream"
)

const transferID = "5e550000000000000000000000000aaa"

// at puts the transfer session at a stage, at the beginning of its stream.
func at(t *testing.T, d *db.DB, s stage.Stage) (row session.Transfer) {
	t.Helper()
	tables.Write(t, d, func(tx *db.Tx) (err error) {
		if row, err = session.GetTransfer(t.Context(), tx, transferID); err != nil {
			return err
		}
		row.RecordsTransferred = 0
		return errors.Join(session.SetStage(t.Context(), tx, transferID, string(s), string(stage.Completed), row.LastTime),
			session.SetProgress(t.Context(), tx, transferID, session.Progress{}, row.LastTime), session.SetCursor(t.Context(), tx, row, ""))
	})
	return row
}

// merger merges conflicts as the receiver of a stream does.
func merger(env stage.Env) stream.Merger {
	return func(ctx context.Context, tx *db.Tx, records []record.Record) (stream.Report, error) {
		r, err := dequeue.Merge(ctx, tx, env, transferID, records)
		return stream.Report{Conflicts: r.Conflicts, Joined: r.Joined}, err
	}
}

func receiver(env stage.Env, apply stream.Applier) *stream.Receiver {
	return &stream.Receiver{Env: env, Merge: merger(env), Apply: apply}
}

// content is what two databases must agree in: versions that were made here have other
// counters where there were more transactions.
func content(t *testing.T, d *db.DB) map[string][]tables.Row {
	all := map[string][]tables.Row{"store": tables.Dump(t, d, "store"), "rmc": tables.Dump(t, d, "rmc")}
	for _, row := range all["store"] {
		if row["last_saved_instance"] == tables.Instance() {
			row["last_saved_counter"] = "new"
		}
	}
	for _, row := range all["rmc"] {
		if row["instance_id"] == tables.Instance() {
			row["counter"] = "new"
		}
	}
	for _, rows := range all {
		slices.SortFunc(rows, func(a, b tables.Row) int {
			key := func(row tables.Row) string { return fmt.Sprint(row["id"], row["store_model_id"], row["instance_id"]) }
			return strings.Compare(key(a), key(b))
		})
	}
	return all
}

// However arriving records are cut into chunks, repeated and interrupted, and however few
// pages of one there is time for, the store becomes what it becomes by way of the buffer.
func TestReceiveAsDequeue(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		tables.Sessions(t, d, transferID)
		now, slow := env.Now(), false
		env.Now = func() time.Time {
			if slow {
				now = now.Add(time.Minute) // more than any part may take
			}
			return now
		}
		rapid.Check(t, func(r *rapid.T) {
			slow = rapid.Bool().Draw(r, "slow")
			store, arrived := tables.DrawRecords(r, 10), tables.DrawRecords(r, 10)
			tables.LoadRecords(t, d, store)
			tables.Write(t, d, func(tx *db.Tx) error {
				_, _, err := buffer.Put(t.Context(), tx, transferID, arrived)
				return err
			})
			job := dequeue.Job{TransferSession: transferID, Filter: partition.All(), Sender: dequeue.Known(counter.ByPartition{})}
			if _, err := dequeue.Run(t.Context(), env, job); err != nil {
				t.Fatal(err)
			}
			want := content(t, d)

			tables.LoadRecords(t, d, store)
			have, total := receiveAll(t, r, env, arrived)
			if diff := cmp.Diff(want, content(t, d)); diff != "" {
				r.Fatalf("-by the buffer +by the stream: %s", diff)
			}
			if int(have.RecordsTransferred) != len(arrived) || *have.RecordsTotal != have.RecordsTransferred || !stage.Reached(have, stage.Transferring) {
				r.Fatalf("%d records of %d, at %s %s", have.RecordsTransferred, len(arrived), have.Stage, have.Status)
			}
			if n := buffered(t, d); n > 0 || int(total.New+total.FastForwards+total.Stale) > len(arrived) {
				r.Fatalf("%d records left in the buffer, %v", n, total)
			}
		})
	})
}

// receiveAll receives records in chunks as they are drawn, some of them twice.
func receiveAll(t *testing.T, r *rapid.T, env stage.Env, arrived []record.Record) (have session.Transfer, total stream.Report) {
	have = at(t, env.DB, stage.Queuing)
	receiver := receiver(env, nil)
	pages := drawPages(r, arrived)
	for before, rest := "", pages; ; {
		n := rapid.IntRange(0, len(rest)).Draw(r, "chunk")
		c := stream.Chunk{Before: before, After: before, Pages: slices.Clone(rest[:n]), Last: n == len(rest)}
		if n > 0 {
			c.After = rest[n-1].After
		}
		var report stream.Report
		for range rapid.IntRange(1, 2).Draw(r, "times") {
			var err error
			if have, report, err = receiver.Receive(t.Context(), have, c); err != nil {
				t.Fatal(err)
			}
			total.New, total.FastForwards, total.Stale = total.New+report.New, total.FastForwards+report.FastForwards, total.Stale+report.Stale
		}
		if stage.Reached(have, stage.Transferring) {
			return have, total
		}
		if rapid.Bool().Draw(r, "from the start") { // a request that comes again
			before, rest = "", pages
		} else {
			come, left := c.Cut(report.Pages)
			before, rest = come.After, append(left.Pages, rest[n:]...)
		}
	}
}

// drawPages cuts records into pages.
func drawPages(t *rapid.T, records []record.Record) (pages []stream.Page) {
	for len(records) > 0 {
		n := rapid.IntRange(1, len(records)).Draw(t, "page")
		pages = append(pages, stream.Page{Records: records[:n], After: records[n-1].ID})
		records = records[n:]
	}
	return pages
}

func buffered(t *testing.T, d *db.DB) (n int64) {
	t.Helper()
	tables.Write(t, d, func(tx *db.Tx) (err error) {
		n, err = buffer.Count(t.Context(), tx, transferID)
		return err
	})
	return n
}

// A chunk goes in whole or not at all, after what came before it, and at its stage.
func TestReceiveRefuses(t *testing.T) {
	dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		tables.Sessions(t, d, transferID)
		v := counter.Version{Instance: tables.Number("a", 1), Counter: 1}
		one := record.Record{ID: tables.Number("c", 1), Profile: "facilitydata", Model: "user", Partition: "p", SourceID: "s", Serialized: "{}", Version: v, History: counter.Counters{v.Instance: 1}}
		two := one
		two.ID = tables.Number("c", 2)
		mine := two // neither has seen the other
		mine.Serialized, mine.Version, mine.History = `{"a": 1}`, counter.Version{Instance: tables.Number("a", 2), Counter: 1}, counter.Counters{tables.Number("a", 2): 1}
		tables.LoadRecords(t, d, []record.Record{mine})
		before := content(t, d)
		c := stream.Chunk{After: tables.Number("c", 2), Pages: []stream.Page{{Records: []record.Record{one, two}, After: tables.Number("c", 2)}}}
		if _, _, err := receiver(env, nil).Receive(t.Context(), at(t, d, stage.Serializing), c); !errors.Is(err, stream.ErrNotReady) {
			t.Errorf("too early: %v", err)
		}
		late := c
		late.Before = tables.Number("c", 0)
		if _, _, err := receiver(env, nil).Receive(t.Context(), at(t, d, stage.Queuing), late); !errors.Is(err, stream.ErrGap) {
			t.Errorf("after a gap: %v", err)
		}
		broken := errors.New("broken")
		row := at(t, d, stage.Queuing)
		fails := stream.Receiver{Env: env, Merge: func(context.Context, *db.Tx, []record.Record) (stream.Report, error) {
			return stream.Report{}, broken
		}}
		_, _, err := fails.Receive(t.Context(), row, c)
		if diff := cmp.Diff(before, content(t, d)); diff != "" || !errors.Is(err, broken) {
			t.Errorf("%v: something was kept: %s", err, diff)
		}
		var cursor string
		tables.Write(t, d, func(tx *db.Tx) error {
			now, err := session.GetTransfer(t.Context(), tx, row.ID)
			cursor, _ = now.Cursor()
			return err
		})
		if cursor != "" {
			t.Errorf("the cursor stands at %s", cursor)
		}
		if _, _, err := receiver(env, nil).Receive(t.Context(), row, c); err != nil {
			t.Error(err)
		}
	})
}

// The versions of a chunk's records are looked up by their ids.
func TestPlans(t *testing.T) {
	dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
		tables.Write(t, d, func(tx *db.Tx) error {
			plan := strings.Join(dbtest.Plan(t, tx, stream.Versions+tx.AmongIDs("id", 1), db.JSONList([]string{tables.Number("c", 1)})), "\n")
			if !strings.Contains(plan, "(id=?)") || strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "SCAN morango") {
				t.Error(plan)
			}
			return nil
		})
	})
}
