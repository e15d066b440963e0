package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/queue"
)

const session, other = "5e550000000000000000000000000aaa", "5e550000000000000000000000000bbb"

func id(kind string, n int) string { return fmt.Sprintf("%s%0*d", kind, 32-len(kind), n) }

// fill makes a store of records c1 to cn in partitions p:0 to p:9, saved by instance
// a1 with counters 1 to n.
func fill(t *testing.T, d *db.DB, n int) stage.Env {
	t.Helper()
	env := tables.Env(t, d)
	tables.Sessions(t, d, session, other)
	var store, rmc []tables.Row
	for i := 1; i <= n; i++ {
		store = append(store, tables.Row{
			"id": id("c", i), "profile": "facilitydata", "model_name": "user", "partition": fmt.Sprintf("p:%d", i%10),
			"source_id": "s", "serialized": "{}", "conflicting_serialized_data": "", "_self_ref_fk": "",
			"deleted": false, "hard_deleted": false, "dirty_bit": false, "deserialization_error": "",
			"last_saved_instance": id("a", 1), "last_saved_counter": i, "last_transfer_session_id": nil,
		})
		rmc = append(rmc, tables.Row{"store_model_id": id("c", i), "instance_id": id("a", 1), "counter": i})
	}
	state := map[string]json.RawMessage{}
	for name, rows := range map[string][]tables.Row{"store": store, "rmc": rmc} {
		text, err := json.Marshal(rows)
		if err != nil {
			t.Fatal(err)
		}
		state[name] = text
	}
	tables.Load(t, d, 0, state)
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
	TransferSession: session, Profile: "facilitydata", Filter: partition.Of("p"),
	Receiver: counter.ByPartition{"p:1": {id("a", 1): 15}},
}

// Run again, queue starts from an empty buffer, and leaves other sessions alone.
func TestQueueStartsAnew(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := fill(t, d, 30)
		everything := job
		everything.TransferSession, everything.Receiver = other, nil
		for _, step := range []struct {
			job  queue.Job
			want int64
		}{{everything, 30}, {job, 28}, {job, 28}} { // c1 and c11 are claimed
			n, err := queue.Run(t.Context(), env, step.job)
			if err != nil {
				t.Fatal(err)
			}
			if n != step.want || count(t, d, step.job.TransferSession) != step.want {
				t.Errorf("%d records queued, want %d", n, step.want)
			}
		}
		if n := count(t, d, other); n != 30 {
			t.Errorf("%d records left to the other session, want 30", n)
		}
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
				counters[id("a", i)] = 5
			}
			many.Receiver[fmt.Sprintf("p:%d", p)] = counters
		}
		if n, err := queue.Run(t.Context(), env, many); err != nil || n != 25 {
			t.Errorf("%d records queued, want 25; %v", n, err)
		}
	})
}

// When queue cannot finish, the buffer is as it was.
func TestQueueIsAllOrNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := fill(t, d, 10)
		if _, err := queue.Run(t.Context(), env, job); err != nil {
			t.Fatal(err)
		}
		ended := errors.New("ended")
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			again := job
			again.Filter = partition.Of("p:3")
			if n, err := queue.Join(t.Context(), tx, again); err != nil || n != 1 {
				t.Errorf("%d records queued, want 1; %v", n, err)
			}
			return ended
		})
		if !errors.Is(err, ended) {
			t.Fatal(err)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := queue.Run(cancelled, env, job); !errors.Is(err, context.Canceled) {
			t.Errorf("with a cancelled context: %v", err)
		}
		if n := count(t, d, session); n != 9 {
			t.Errorf("%d records in the buffer, want the 9 from before", n)
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
				err = d.Write(t.Context(), func(tx *db.Tx) error { return save(t.Context(), tx, i) })
			}
			done <- err
		}()
		for range 10 {
			if _, err := queue.Run(t.Context(), env, job); err != nil {
				t.Fatal(err)
			}
			histories := map[any]map[any]any{}
			for _, h := range tables.Dump(t, d, "rmcb") {
				if histories[h["model_uuid"]] == nil {
					histories[h["model_uuid"]] = map[any]any{}
				}
				histories[h["model_uuid"]][h["instance_id"]] = h["counter"]
			}
			for _, b := range tables.Dump(t, d, "buffer") {
				if n := histories[b["model_uuid"]][b["last_saved_instance"]]; n != b["last_saved_counter"] {
					t.Fatalf("record %v is queued in version %v with history up to %v", b["model_uuid"], b["last_saved_counter"], n)
				}
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// save gives some records a new version.
func save(ctx context.Context, tx *db.Tx, round int) error {
	if err := tx.Lock(ctx, partition.Of("p"), false); err != nil {
		return err
	}
	for _, query := range []string{
		`UPDATE morango_store SET last_saved_counter = $1 WHERE partition = 'p:3'`,
		`UPDATE morango_recordmaxcounter SET counter = $1 WHERE store_model_id IN (
			SELECT id FROM morango_store WHERE partition = 'p:3')`,
	} {
		if _, err := tx.Exec(ctx, query, 1000+round); err != nil {
			return err
		}
	}
	return nil
}

// A narrow filter must be served by the index on the partition, a list by that of ids, and
// claims and histories be looked up, not scanned.
func TestPlans(t *testing.T) {
	dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for _, query := range []string{queue.MakeClaims, `CREATE INDEX morango_queue_claim_instance ON morango_queue_claim (instance_id, counter)`} {
				if _, err := tx.Exec(t.Context(), query); err != nil {
					return err
				}
			}
			condition, args := tx.PrefixCond("s.partition", partition.Of("p:1"), 3)
			fill := strings.Replace(queue.FillBuffer, "(FILTER)", condition, 1)
			plan := dbtest.Plan(t, tx, fill, append([]any{session, "facilitydata"}, args...)...)
			wantLine(t, plan, "SEARCH s USING INDEX", "(partition>? AND partition<?)")
			wantLine(t, plan, "SEARCH c USING INDEX", "(instance_id=? AND counter>?)")
			plan = dbtest.Plan(t, tx, queue.FillRecords+`s.id IN `+tx.IDs(2), session, db.JSONList([]string{id("c", 1)}))
			wantLine(t, plan, "SEARCH s USING INDEX", "(id=?)")
			plan = dbtest.Plan(t, tx, queue.FillHistories, session)
			wantLine(t, plan, "SEARCH b USING", "(transfer_session_id=?)")
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
