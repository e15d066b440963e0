package dequeue_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage/dequeue"
)

// given is the input of a case.
type given struct {
	Instance struct {
		ID      string
		Counter int64
	} `json:"current_instance"`
	Session string `json:"transfer_session_id"`
	Other   string `json:"other_transfer_session_id"`
	Filter  []string
	V2      bool `json:"v2_format"`
	FSIC    json.RawMessage
	State   map[string]json.RawMessage

	before  state
	outside bool // the FSIC names partitions outside the filter
	claims  counter.ByPartition
}

func TestConformanceDequeue(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		conformance.Run(t, "dequeue", func(t *conformance.T, c conformance.Case) {
			in, recorded, ok := read(t, c)
			if ok && c.ExpectedPostgres != nil && d.Kind() == db.Postgres {
				t.Deviates(6)
			}
			tables.Sessions(t, d, in.Session, in.Other)
			tables.Load(t, d, in.Instance.Counter, in.State)
			if in.claim(t) != nil { // when the FSIC arrives, so nothing is dequeued
				t.True(!ok, "the reference dequeues something")
				return
			}
			report, err := dequeue.Run(t.Context(), env, dequeue.Job{
				TransferSession: in.Session, Filter: partition.Of(in.Filter...), Sender: dequeue.Known(in.claims),
			})
			if err != nil {
				t.Fatal(err)
			}
			w := in.want()
			got := dump(t, d)
			t.Equal("report", report, w.report)
			t.Equal("counter", tables.Counter(t, d), w.counter)
			t.Equal("store", got.store(), w.store)
			checkClaims(t, got.claims(), w.claims)
			checkOthers(t, in, got)
			if !ok {
				t.Deviates(8)
				t.True(w.report.Orphans > 0, "the reference fails, and no counter is without a record")
				return
			}
			w.holdAgainst(t, in, recorded)
		})
	})
}

// read decodes a case. Our instance id is a hash and cannot be chosen, so it stands
// in for the case's. ok is false where the reference failed.
func read(t *conformance.T, c conformance.Case) (in *given, recorded map[string]json.RawMessage, ok bool) {
	in = &given{}
	t.Decode(c.Input, in)
	as := func(text json.RawMessage) json.RawMessage {
		return bytes.ReplaceAll(text, []byte(in.Instance.ID), []byte(tables.Instance()))
	}
	var mapped given
	t.Decode(as(c.Input), &mapped)
	for name, into := range mapped.before.all() {
		t.Decode(mapped.State[name], into)
	}
	var out struct{ OK map[string]json.RawMessage }
	t.Decode(as(c.Expected), &out)
	return &mapped, out.OK, out.OK != nil
}

// all names the tables.
func (s *state) all() map[string]*[]row {
	return map[string]*[]row{"store": &s.Store, "rmc": &s.RMC, "dmc": &s.DMC, "buffer": &s.Buffer, "rmcb": &s.RMCB}
}

// claim reads the sender's FSIC. One that names partitions outside the filter would
// be refused when it arrives; here the records are still merged, without it.
func (in *given) claim(t *conformance.T) error {
	f, err := counter.Parse(in.FSIC)
	if err == nil && f.IsLegacy() == in.V2 {
		err = errors.New("the other form of FSIC was agreed")
	}
	if f.Check(partition.Of(in.Filter...)) != nil {
		t.Deviates(3)
		in.outside = true
		return err
	}
	in.claims = f.Expand(partition.Of(in.Filter...))
	return err
}

// want is the outcome by the definition of dequeue.
type want struct {
	store   map[string]stored
	outcome map[string]string
	report  dequeue.Report
	counter int64
	claims  counter.ByPartition
}

func (in *given) want() want {
	w := want{store: in.before.store(), counter: in.Instance.Counter, claims: in.before.claims()}
	records, loose := in.before.buffer(in.Session)
	next := counter.Version{Instance: tables.Instance(), Counter: w.counter + 1}
	w.report, w.outcome = spec(w.store, records, loose, in.Session, next, record.Rule{})
	if w.report.Conflicts > 0 {
		w.counter++
	}
	for prefix, counters := range in.claims {
		for instance, n := range counters {
			if instance != tables.Instance() || n <= w.counter {
				w.claims = w.claims.Max(counter.ByPartition{prefix: {instance: n}})
			}
		}
	}
	return w
}

// checkOthers is rule 4, and that the session's own buffer is gone.
func checkOthers(t *conformance.T, in *given, got state) {
	kept := func(rows []row) []row {
		others := []row{}
		for _, r := range rows {
			if r.Session != in.Session {
				others = append(others, r)
			}
		}
		return others
	}
	t.EqualRows("buffer", got.Buffer, asJSON(t, kept(in.before.Buffer)))
	t.EqualRows("rmcb", got.RMCB, asJSON(t, kept(in.before.RMCB)))
}

// checkClaims holds claims against the wanted ones. What they say under each
// partition must be the same; but a claim of 0, or one that a wider one includes, is
// not written.
func checkClaims(t *conformance.T, got, want counter.ByPartition) {
	for prefix, counters := range got.Max(want) {
		for instance := range counters {
			t.Equal("claim on "+prefix+" of "+instance, held(got, prefix, instance), held(want, prefix, instance))
		}
	}
	for prefix, counters := range got {
		for instance, n := range counters {
			t.True(n <= want[prefix][instance], "claim on %s of %s up to %d is nobody's", prefix, instance, n)
		}
	}
}

func held(claims counter.ByPartition, prefix, instance string) int64 {
	var highest int64
	for wide, counters := range claims {
		if strings.HasPrefix(prefix, wide) {
			highest = max(highest, counters[instance])
		}
	}
	return highest
}

// holdAgainst compares what is wanted with what the reference made of the case:
// every difference must be that of a rule.
func (w want) holdAgainst(t *conformance.T, in *given, recorded map[string]json.RawMessage) {
	theirs := in.before
	for name, into := range theirs.all() {
		if list := recorded[name]; string(list) != "null" {
			*into = nil
			t.Decode(list, into)
		}
	}
	var n int64
	t.Decode(recorded["current_counter"], &n)
	if w.report.Conflicts == 0 {
		t.Deviates(9)
		n--
	}
	t.Equal("counter of the reference", w.counter, n)
	w.holdStore(t, in, theirs)
	if len(theirs.Buffer)+len(theirs.RMCB) < in.others() {
		t.Deviates(4)
		t.True(w.report.Stale > 0, "the reference drops other sessions' buffers, and nothing was stale")
	}
	if !in.outside {
		w.holdClaims(t, in, theirs.claims())
	}
}

func (w want) holdStore(t *conformance.T, in *given, theirs state) {
	ours, old := clone(w.store), in.before.store()
	arrived := map[string]record.Record{}
	records, _ := in.before.buffer(in.Session)
	for _, r := range records {
		arrived[r.ID] = r
	}
	stamp := counter.Version{Instance: tables.Instance(), Counter: w.counter}
	for id, s := range theirs.store() {
		mine, b := ours[id], arrived[id]
		delete(ours, id)
		merged := w.outcome[id] == "merged"
		if merged && seen(b, stamp) {
			// The arrived history knows saves of ours that we never made. The reference
			// takes it for one that has seen the merge, and drops what we had.
			t.Deviates(3)
			if kept := old[id]; !mine.HardDeleted {
				t.Equal("text", mine.Serialized, kept.Serialized)
				t.Equal("conflicting text", mine.Conflicting, b.Serialized+"\n"+kept.Conflicting)
			} else {
				t.Equal("text", mine.Serialized, "{}")
			}
			continue
		}
		if merged && (b.HardDeleted || old[id].HardDeleted) {
			t.Deviates(7)
			t.Equal("text", [2]string{mine.Serialized, mine.Conflicting}, [2]string{"{}", ""})
			s.Serialized, s.Conflicting = mine.Serialized, mine.Conflicting
		}
		if raised := s.History.Max(old[id].History); !maps.Equal(raised, s.History) {
			t.Deviates(5)
			s.History = raised
		}
		t.Equal("record "+id+" of the reference", mine, s)
	}
	t.Equal("records that only we have", ours, map[string]stored{})
}

// others counts the rows of other sessions in the buffers.
func (in *given) others() int {
	n := 0
	for _, rows := range [][]row{in.before.Buffer, in.before.RMCB} {
		for _, r := range rows {
			if r.Session != in.Session {
				n++
			}
		}
	}
	return n
}

// holdClaims is rules 2, 3 and 21.
func (w want) holdClaims(t *conformance.T, in *given, theirs counter.ByPartition) {
	old := in.before.claims()
	for prefix, counters := range theirs {
		for instance, n := range counters {
			if n < old[prefix][instance] {
				t.Deviates(2)
			} else if n > w.claims[prefix][instance] {
				t.Deviates(3)
				t.Equal("instance of an impossible claim", instance, tables.Instance())
				t.True(n > w.counter, "the claim on %s up to %d is possible", prefix, n)
			}
		}
	}
	for prefix, counters := range in.claims {
		for instance, n := range counters {
			possible := instance != tables.Instance() || n <= w.counter
			if possible && held(theirs, prefix, instance) < n && old[prefix][instance] < n {
				t.Deviates(21)
			}
		}
	}
	for prefix, counters := range w.claims {
		for instance, n := range counters {
			before, sent := old[prefix][instance], in.claims[prefix][instance]
			t.Equal("claim on "+prefix+" of "+instance, n == before || n == sent, true)
			if n > before && n > held(theirs, prefix, instance) {
				t.Equal("claim on "+prefix+" of "+instance, n, sent)
			}
		}
	}
}

func asJSON(t *conformance.T, v any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
