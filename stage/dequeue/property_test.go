package dequeue_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage/dequeue"
)

const session = "5e550000000000000000000000000aaa"

// drawRecord makes a version of a record, with few texts, so that equal content comes up.
func drawRecord(t *rapid.T, id string) record.Record {
	r := record.Record{
		ID: id, Profile: "facilitydata", Model: "user", Partition: "p", SourceID: "s",
		Serialized: rapid.SampledFrom([]string{
			`{"a": 1}`, `{"a": 2}`, `{"a": 3, "last_login": "2026-01-01T00:00:00Z"}`, `{"last_login": "2026-02-01T00:00:00Z"}`,
		}).Draw(t, "text"),
		Conflicting: rapid.SampledFrom([]string{"", "", "{\"a\": 3}\n"}).Draw(t, "conflicting"),
		Deleted:     rapid.IntRange(0, 3).Draw(t, "deleted") == 0,
		HardDeleted: rapid.IntRange(0, 5).Draw(t, "hard-deleted") == 0,
		Version:     tables.DrawVersion(t), History: counter.Counters{},
	}
	if r.HardDeleted && rapid.Bool().Draw(t, "blank") {
		r.Serialized, r.Conflicting = "{}", ""
	}
	for range rapid.IntRange(0, 3).Draw(t, "past") {
		v := tables.DrawVersion(t)
		r.History[v.Instance] = max(r.History[v.Instance], v.Counter)
	}
	r.History[r.Version.Instance] = max(r.History[r.Version.Instance], r.Version.Counter)
	return r
}

// load puts a store and the session's buffer into an empty database.
func load(t testing.TB, d *db.DB, store map[string]stored, arrived []record.Record) {
	t.Helper()
	rows := map[string][]tables.Row{"store": {}, "rmc": {}, "dmc": {}, "buffer": {}, "rmcb": {}}
	for id, s := range store {
		var last any
		if s.Session != "" {
			last = s.Session
		}
		rows["store"] = append(rows["store"], tables.Row{
			"id": id, "profile": s.Profile, "model_name": s.Model, "partition": s.Partition, "source_id": s.SourceID,
			"serialized": s.Serialized, "conflicting_serialized_data": s.Conflicting, "_self_ref_fk": s.SelfRef,
			"deleted": s.Deleted, "hard_deleted": s.HardDeleted, "dirty_bit": s.Dirty, "deserialization_error": s.Error,
			"last_saved_instance": s.Version.Instance, "last_saved_counter": s.Version.Counter, "last_transfer_session_id": last,
		})
		for instance, n := range s.History {
			rows["rmc"] = append(rows["rmc"], tables.Row{"store_model_id": id, "instance_id": instance, "counter": n})
		}
	}
	tables.Sessions(t, d, session)
	tables.LoadRows(t, d, 7, rows)
	tables.Write(t, d, func(tx *db.Tx) error {
		_, _, err := buffer.Put(t.Context(), tx, session, arrived)
		return err
	})
}

// drawCase makes a store and what arrives.
func drawCase(t *rapid.T) (store map[string]stored, arrived []record.Record) {
	store = map[string]stored{}
	for n := range rapid.IntRange(1, 8).Draw(t, "records") {
		id := tables.Number("c", n)
		inStore := rapid.IntRange(0, 4).Draw(t, "in store") > 0
		if inStore {
			store[id] = stored{Record: drawRecord(t, id), Dirty: rapid.Bool().Draw(t, "dirty"), Error: "old error"}
		}
		if !inStore || rapid.Bool().Draw(t, "arrives") {
			arrived = append(arrived, drawRecord(t, id))
		}
	}
	return store, arrived
}

var job = dequeue.Job{
	TransferSession: session, Filter: partition.Of("p"),
	Sender: dequeue.Known(counter.ByPartition{"p": sent}),
}

var sent = counter.Counters{"a" + tables.Number("", 1)[1:]: 4, tables.Instance(): 99}

// Whatever the store and the buffer hold, and however small the pages: dequeue does
// what its definition, and record.Compare, say.
func TestDequeueIsItsDefinition(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		rapid.Check(t, func(r *rapid.T) {
			store, arrived := drawCase(r)
			load(t, d, store, arrived)
			want := clone(store)
			rule := drawRule(t, r, &env)
			report, outcome := spec(want, arrived, nil, session, counter.Version{Instance: tables.Instance(), Counter: 8}, rule)
			for _, theirs := range arrived {
				checkRelation(r, store[theirs.ID].Record, theirs, outcome[theirs.ID])
			}
			got, err := dequeue.RunPaged(t.Context(), env, job, rapid.IntRange(1, 4).Draw(r, "page"))
			if err != nil {
				r.Fatal(err)
			}
			after := dump(t, d)
			if diff := cmp.Diff(report, got); diff != "" {
				r.Errorf("report (-want +got): %s", diff)
			}
			if diff := cmp.Diff(want, after.store()); diff != "" {
				r.Errorf("store (-want +got): %s", diff)
			}
			if n := tables.Counter(t, d); n != 7+min(report.Conflicts, 1) {
				r.Errorf("%d conflicts, and the counter is %d", report.Conflicts, n)
			}
			if len(after.Buffer)+len(after.RMCB) > 0 {
				r.Errorf("left in the buffer: %v %v", after.Buffer, after.RMCB)
			}
		})
	})
}

// checkRelation holds an outcome against record.Compare.
func checkRelation(t *rapid.T, mine, theirs record.Record, outcome string) {
	want := map[record.Relation][]string{
		record.Same: {"stale"}, record.Older: {"stale"}, record.Newer: {"fast-forward"},
		record.Conflict: {"merged", "joined"},
	}[record.Compare(mine, theirs)]
	if mine.ID == "" {
		want = []string{"new"}
	}
	if !slices.Contains(want, outcome) {
		t.Errorf("%v against %v is %s, want %v", theirs, mine, outcome, want)
	}
}

// Two peers that merge versions of equal content end with one version.
func TestEqualContentIsJoined(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		mine, theirs := joinable(2), joinable(1)
		ends := map[string]record.Record{}
		for _, side := range [][2]record.Record{{mine, theirs}, {theirs, mine}} {
			load(t, d, map[string]stored{mine.ID: {Record: side[0]}}, side[1:])
			report, err := dequeue.Run(t.Context(), env, job)
			if err != nil {
				t.Fatal(err)
			}
			if report != (dequeue.Report{Joined: 1}) || tables.Counter(t, d) != 7 {
				t.Errorf("report %+v, counter %d", report, tables.Counter(t, d))
			}
			end := dump(t, d).store()[mine.ID]
			if end.Dirty {
				t.Errorf("the row is to be deserialized again, for nothing")
			}
			ends[side[0].Version.Instance] = end.Record
		}
		if diff := cmp.Diff(ends[mine.Version.Instance], ends[theirs.Version.Instance]); diff != "" {
			t.Errorf("the two sides differ: %s", diff)
		}
		if got := ends[mine.Version.Instance].Version; got != mine.Version {
			t.Errorf("version %v, want the greater one %v", got, mine.Version)
		}
	})
}

func joinable(instance int) record.Record {
	v := counter.Version{Instance: tables.Number("a", instance), Counter: 3}
	return record.Record{
		ID: tables.Number("c", 1), Profile: "facilitydata", Model: "user", Partition: "p", SourceID: "s",
		Serialized: "{}", Version: v, History: counter.Counters{v.Instance: v.Counter},
	}
}

// Ended at any point, dequeue leaves everything or nothing, never a claim without the
// rows; run again, it comes to the same end.
func TestDequeueIsAllOrNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		store, arrived := map[string]stored{}, []record.Record{}
		for n := range 6 {
			r := joinable(1)
			r.ID = tables.Number("c", n)
			arrived = append(arrived, r)
			if r.Serialized = `{"mine": true}`; n < 3 {
				r.Version = counter.Version{Instance: tables.Number("a", 2), Counter: 1}
				r.History = counter.Counters{r.Version.Instance: 1}
				store[r.ID] = stored{Record: r}
			}
		}
		want := clone(store)
		report, _ := spec(want, arrived, nil, session, counter.Version{Instance: tables.Instance(), Counter: 8}, record.Rule{})
		ended, stride := 0, 3
		if d.Kind() == db.Postgres { // each ended run costs a connection
			stride = 17
		}
		for limit := 1; ; limit += stride {
			load(t, d, store, arrived)
			before := dump(t, d)
			ctx := &expiring{Context: t.Context()}
			ctx.left.Store(int64(limit))
			_, err := dequeue.RunPaged(ctx, env, job, 2)
			after := dump(t, d)
			if err == nil {
				break
			}
			ended++
			if merged := cmp.Equal(want, after.store()) && len(after.Buffer) == 0; !merged {
				if diff := cmp.Diff(before.store(), after.store()); diff != "" || len(after.Buffer) != len(arrived) {
					t.Fatalf("ended at step %d, half is written: %s", limit, diff)
				}
				if len(after.DMC) > 0 {
					t.Fatalf("ended at step %d, claimed without the rows: %v", limit, after.DMC)
				}
			}
			again, err := dequeue.Run(t.Context(), env, job)
			if err != nil {
				t.Fatal(err)
			}
			if again != report && again != (dequeue.Report{}) {
				t.Errorf("ended at step %d and run again, the report is %+v", limit, again)
			}
			checkEnd(t, d, want)
		}
		if ended*stride < 50 {
			t.Errorf("dequeue was ended at %d points only", ended)
		}
		checkEnd(t, d, want)
	})
}

func checkEnd(t *testing.T, d *db.DB, want map[string]stored) {
	t.Helper()
	end := dump(t, d)
	if diff := cmp.Diff(want, end.store()); diff != "" {
		t.Errorf("store (-want +got): %s", diff)
	}
	claimed := maps.Clone(sent)
	delete(claimed, tables.Instance()) // above our own counter
	if diff := cmp.Diff(counter.ByPartition{"p": claimed}, end.claims()); diff != "" {
		t.Errorf("claims (-want +got): %s", diff)
	}
}

// expiring is a context that ends after it was looked at a number of times.
type expiring struct {
	context.Context
	left atomic.Int64
}

var errExpired = errors.New("expired")

func (c *expiring) Err() error {
	if c.left.Add(-1) < 0 {
		return errExpired
	}
	return c.Context.Err()
}

func (c *expiring) Done() <-chan struct{} {
	if c.left.Add(-1) < 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	return c.Context.Done()
}
