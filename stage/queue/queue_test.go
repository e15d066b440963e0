package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	sessions "github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/queue"
)

const session, other = "5e550000000000000000000000000aaa", "5e550000000000000000000000000bbb"

// fill makes a store of records c1 to cn in partitions p:0 to p:9, saved by instance
// a1 with counters 1 to n.
func fill(t *testing.T, d *db.DB, n int) stage.Env {
	t.Helper()
	env := tables.Env(t, d)
	tables.Sessions(t, d, session, other)
	var records []record.Record
	for i := 1; i <= n; i++ {
		v := counter.Version{Instance: tables.Number("a", 1), Counter: int64(i)}
		records = append(records, record.Record{
			ID: tables.Number("c", i), Profile: "facilitydata", Model: "user", Partition: fmt.Sprintf("p:%d", i%10),
			SourceID: "s", Serialized: "{}", Version: v, History: counter.Counters{v.Instance: v.Counter},
		})
	}
	tables.LoadRecords(t, d, records)
	return env
}

func count(t *testing.T, d *db.DB, session string) (n int64) {
	t.Helper()
	tables.Write(t, d, func(tx *db.Tx) (err error) {
		n, err = buffer.Count(t.Context(), tx, session)
		return err
	})
	return n
}

var job = queue.Job{
	TransferSession: session, Filter: partition.Of("p"),
	Receiver: counter.ByPartition{"p:1": {tables.Number("a", 1): 15}},
}

// filled asserts that the session's buffer has so many records, each with its history, and that it is
// noted how many.
func filled(t *testing.T, d *db.DB, session string, want int64) {
	t.Helper()
	if n := count(t, d, session); n != want {
		t.Errorf("%d records in the buffer of %s, want %d", n, session, want)
	}
	tables.Write(t, d, func(tx *db.Tx) error {
		row, err := sessions.GetTransfer(t.Context(), tx, session)
		if n := row.Queued().Records; n != want {
			t.Errorf("%d records are noted, want %d", n, want)
		}
		page, pageErr := buffer.Page(t.Context(), tx, session, "", int(want))
		for _, r := range page {
			if r.History[r.Version.Instance] != r.Version.Counter {
				t.Errorf("record %s is queued in version %v with history %v", r.ID, r.Version, r.History)
			}
		}
		return errors.Join(err, pageErr)
	})
}

// Run again, queue adds nothing, and it leaves other sessions alone.
func TestQueueAgain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := fill(t, d, 30)
		everything := job
		everything.TransferSession, everything.Receiver = other, nil
		for _, step := range []struct {
			job  queue.Job
			want int64
		}{{everything, 30}, {job, 28}, {job, 28}} { // c1 and c11 are claimed
			n, err := queue.Run(t.Context(), env, step.job)
			if err != nil || n != step.want {
				t.Fatalf("%d records queued, want %d: %v", n, step.want, err)
			}
			filled(t, d, step.job.TransferSession, step.want)
		}
		filled(t, d, other, 30)
	})
}

// What an earlier version of the program has put into the buffer, which noted nothing, goes first.
func TestQueueAfterEarlierVersion(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := fill(t, d, 30)
		v := counter.Version{Instance: tables.Number("a", 1), Counter: 7}
		tables.Write(t, d, func(tx *db.Tx) error {
			_, _, err := buffer.Put(t.Context(), tx, session, []record.Record{
				{ID: tables.Number("c", 7), Profile: "facilitydata", Model: "user", Partition: "p:7", Version: v, History: counter.Counters{v.Instance: 7}},
				{ID: tables.Number("d", 1), Profile: "facilitydata", Model: "user", Partition: "p:1", Version: v, History: counter.Counters{v.Instance: 7}},
			})
			return err
		})
		if n, err := queue.Run(t.Context(), env, job); err != nil || n != 28 {
			t.Errorf("%d records queued, want 28: %v", n, err)
		}
		filled(t, d, session, 28)
	})
}

// run is queue.Run in parts of so many rows.
type run func(ctx context.Context, env stage.Env, job queue.Job, rows int) (int64, error)

// eachWay runs a test with a list of what is to travel, without, and with one list after the other.
func eachWay(t *testing.T, test func(t *testing.T, d *db.DB, run run)) {
	by := func(listed int64) run {
		return func(ctx context.Context, env stage.Env, job queue.Job, rows int) (int64, error) {
			return queue.RunBy(ctx, env, job, rows, listed)
		}
	}
	windows := func(ctx context.Context, env stage.Env, job queue.Job, rows int) (int64, error) {
		return queue.RunInWindows(ctx, env, job, rows, 137)
	}
	for name, run := range map[string]run{"listed": by(10_000), "compared": by(-1), "in windows": windows} {
		t.Run(name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, d *db.DB) { test(t, d, run) })
		})
	}
}

// A long job is done in parts. Interrupted after any of them it goes on there, and each record that no
// receiver would take is counted once.
func TestQueueGoesOn(t *testing.T) {
	const rows = 500
	eachWay(t, func(t *testing.T, d *db.DB, run run) {
		env := fill(t, d, rows)
		sifted := job
		sifted.Unsound = func(page []record.Record) (left []sessions.Omitted) {
			for _, r := range page {
				if r.Version.Counter%100 == 7 {
					left = append(left, sessions.Omitted{ID: r.ID, Model: r.Model, Reason: "unsound", Version: r.Version})
				}
			}
			return left
		}
		var parts []int64
		for ended := false; !ended; {
			ctx, stop := context.WithCancel(t.Context())
			env.Events = func(ev stage.Event) {
				if ev.Status == stage.Started && ev.Done > 0 {
					parts = append(parts, ev.Done)
					stop()
				}
			}
			n, err := run(ctx, env, sifted, 100)
			stop()
			if len(parts) > rows {
				t.Fatalf("it begins again and again: %v", parts[:10])
			}
			if ended = err == nil; ended && n != rows-2-5 {
				t.Errorf("%d records queued, want %d", n, rows-2-5)
			} else if !ended && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		if len(parts) < 2 || !slices.IsSorted(parts) {
			t.Errorf("the buffer had %v records after its parts", parts)
		}
		filled(t, d, session, rows-2-5)
		tables.Write(t, d, func(tx *db.Tx) error {
			row, err := sessions.GetTransfer(t.Context(), tx, session)
			if left := row.LeftOut().Unsent; left.Total != 5 {
				t.Errorf("%d records are left out, want 5", left.Total)
			}
			return err
		})
	})
}

// result is what became of a run: the session's total, nil before the stage is complete.
type result struct {
	total *int64
	err   error
}

// Two processes of one database fill one buffer, and others write. When one of them finds that it ends, the
// buffer is complete, and then it does not change any more.
func TestTwoQueueAtOnce(t *testing.T) {
	const rows = 600
	eachWay(t, func(t *testing.T, d *db.DB, run run) {
		env := fill(t, d, rows)
		ctx, stop := context.WithCancel(t.Context())
		saving, atOnce := make(chan error, 1), make(chan result, 2)
		go func() {
			var err error
			for i := 0; err == nil && ctx.Err() == nil; i++ {
				err = d.Write(t.Context(), func(tx *db.Tx) error {
					return errors.Join(save(t.Context(), tx, rows+i), create(t.Context(), tx, rows+i))
				})
			}
			saving <- err
		}()
		for range cap(atOnce) {
			go func() {
				row := sessions.Transfer{ID: session}
				_, err := run(t.Context(), env, job, 50)
				if err == nil {
					_, err = env.Complete(t.Context(), &row, stage.Queuing, nil, func(_ *db.Tx, row *sessions.Transfer) error {
						n := row.Queued().Records
						row.RecordsTotal = &n
						return nil
					})
				}
				atOnce <- result{row.RecordsTotal, err}
			}()
		}
		for range cap(atOnce) {
			switch r := <-atOnce; {
			case r.err != nil:
				t.Fatal(r.err)
			case r.total == nil || *r.total < rows-2:
				t.Fatalf("of %d records not all are queued: %v", rows-2, r.total)
			default:
				filled(t, d, session, *r.total)
			}
		}
		stop()
		if err := <-saving; err != nil {
			t.Error(err)
		}
		before := count(t, d, session)
		if n, err := queue.Run(t.Context(), env, job); err != nil || n != before {
			t.Errorf("%d records queued when the stage is complete with %d: %v", n, before, err)
		}
		filled(t, d, session, before)
	})
}

// While a run is about a window, another has come further: it goes on from there.
func TestQueueBeyondItsWindow(t *testing.T) {
	const rows = 600
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := fill(t, d, rows)
		another, began := env, false
		env.Events = func(ev stage.Event) {
			if ev.Done == 0 || began {
				return
			}
			began = true
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			another.Events = func(ev stage.Event) {
				if ev.Done > 400 {
					stop()
				}
			}
			if _, err := queue.RunInWindows(ctx, another, job, 50, 170); !errors.Is(err, context.Canceled) {
				t.Errorf("the other run: %v", err)
			}
		}
		if n, err := queue.RunInWindows(t.Context(), env, job, 50, 137); err != nil || n != rows-2 {
			t.Errorf("%d records queued, want %d: %v", n, rows-2, err)
		}
		filled(t, d, session, rows-2)
	})
}

// There is no limit on the number of claims.
func TestQueueTakesManyClaims(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := fill(t, d, 30)
		many := job
		many.Receiver = counter.ByPartition{}
		for p := range 40 {
			counters := counter.Counters{}
			for i := range 100 {
				counters[tables.Number("a", i)] = 5
			}
			many.Receiver[fmt.Sprintf("p:%d", p)] = counters
		}
		if n, err := queue.Run(t.Context(), env, many); err != nil || n != 25 {
			t.Errorf("%d records queued, want 25; %v", n, err)
		}
	})
}

// What a transaction that commits while queue runs has saved is either queued with
// its history or not at all.
func TestQueueBesideAWriter(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := fill(t, d, 200)
		done := make(chan error, 1)
		go func() {
			var err error
			for i := 0; err == nil && i < 20; i++ {
				err = d.Write(t.Context(), func(tx *db.Tx) error { return save(t.Context(), tx, 1000+i) })
			}
			done <- err
		}()
		for n := range 10 {
			one := job
			one.TransferSession = tables.Number("5e", n)
			tables.Sessions(t, d, one.TransferSession)
			if _, err := queue.Run(t.Context(), env, one); err != nil {
				t.Fatal(err)
			}
			filled(t, d, one.TransferSession, 198)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// create makes a record that lies behind those that are there, and before some.
func create(ctx context.Context, tx *db.Tx, at int) error {
	for _, query := range []string{
		`INSERT INTO morango_store (id, profile, model_name, partition, source_id, serialized, conflicting_serialized_data, _self_ref_fk,
			deleted, hard_deleted, dirty_bit, deserialization_error, last_saved_instance, last_saved_counter)
			SELECT $1, profile, model_name, partition, source_id, serialized, conflicting_serialized_data, _self_ref_fk,
			deleted, hard_deleted, dirty_bit, deserialization_error, last_saved_instance, $2 FROM morango_store WHERE id = $3`,
		`INSERT INTO morango_recordmaxcounter (store_model_id, instance_id, counter)
			SELECT $1, instance_id, $2 FROM morango_recordmaxcounter WHERE store_model_id = $3`,
	} {
		if _, err := tx.Exec(ctx, query, tables.Number(fmt.Sprint(at%10), at), at, tables.Number("c", 9)); err != nil {
			return err
		}
	}
	return nil
}

// save gives some records a new version.
func save(ctx context.Context, tx *db.Tx, at int) error {
	if err := tx.Lock(ctx, partition.Of("p"), false); err != nil {
		return err
	}
	for _, query := range []string{
		`UPDATE morango_store SET last_saved_counter = $1 WHERE partition = 'p:3'`,
		`UPDATE morango_recordmaxcounter SET counter = $1 WHERE store_model_id IN (
			SELECT id FROM morango_store WHERE partition = 'p:3')`,
	} {
		if _, err := tx.Exec(ctx, query, at); err != nil {
			return err
		}
	}
	return nil
}

// A part must be read by its range of ids and no other index, a list by that of ids, and
// claims and histories be looked up, not scanned.
func TestPlans(t *testing.T) {
	dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for _, query := range []string{queue.MakeClaims, `CREATE INDEX morango_queue_claim_instance ON morango_queue_claim (instance_id, counter)`} {
				if _, err := tx.Exec(t.Context(), query); err != nil {
					return err
				}
			}
			from, to := tables.Number("c", 1), tables.Number("c", 9)
			fill, args := queue.FillRange(tx, partition.Of("p:1"))
			plan := dbtest.Plan(t, tx, fill, append([]any{session, "facilitydata", from, to}, args...)...)
			wantLine(t, plan, "SEARCH s USING INDEX", "(id>? AND id<?)")
			wantLine(t, plan, "SEARCH c USING INDEX", "(instance_id=? AND counter>?)")
			plan = dbtest.Plan(t, tx, queue.FillRecords+`s.id IN `+tx.IDs(2), session, db.JSONList([]string{tables.Number("c", 1)}))
			wantLine(t, plan, "SEARCH s USING INDEX", "(id=?)")
			plan = dbtest.Plan(t, tx, strings.Replace(queue.FillHistories, "(AFTER)", "b.model_uuid > $2", 1), session, from, to)
			wantLine(t, plan, "SEARCH b USING", "(transfer_session_id=? AND model_uuid>? AND model_uuid<?)")
			wantLine(t, plan, "SEARCH r USING", "(store_model_id=?)")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func wantLine(t *testing.T, plan []string, parts ...string) {
	t.Helper()
	for _, line := range plan {
		found := true
		for _, part := range parts {
			found = found && strings.Contains(line, part)
		}
		if found {
			return
		}
	}
	t.Errorf("no line with %q in the plan:\n%s", parts, strings.Join(plan, "\n"))
}
