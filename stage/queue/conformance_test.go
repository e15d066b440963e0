package queue_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	sessions "github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/queue"
)

// given is the input of a case.
type given struct {
	Profile   string
	Filter    []string
	Push      bool
	V2        bool            `json:"v2_format"`
	Client    json.RawMessage `json:"client_fsic"`
	Server    json.RawMessage `json:"server_fsic"`
	Session   string          `json:"transfer_session_id"`
	ChunkSize int             `json:"chunk_size"`
	State     map[string]json.RawMessage

	store, rmc       []tables.Row
	filter           partition.Filter
	sender, receiver counter.ByPartition
	refused          error
}

func TestConformanceQueue(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env, atOnce := tables.Env(t, d), 3
		if d.Kind() == db.Postgres { // each part waits for the disk
			atOnce = 100
		}
		conformance.Run(t, "queue", func(t *conformance.T, c conformance.Case) {
			in := read(t, c)
			var out struct {
				OK    *struct{ Buffer, RMCB json.RawMessage }
				Error string
			}
			t.Decode(c.Expected, &out)
			tables.Load(t, d, 0, in.State)
			tables.Sessions(t, d, in.Session)
			if in.refused != nil { // when the FSIC arrives, so nothing is queued
				if out.OK != nil { // names and counters that are none went into the SQL as they were
					t.True(errors.Is(in.refused, counter.ErrMalformed), "the reference queues something: %v", in.refused)
					t.Deviates(1)
				}
				t.Equal("buffer", len(tables.Dump(t, d, "buffer")), 0)
				return
			}
			profile := *env.Profile
			profile.Name = in.Profile
			env := env
			env.Profile = &profile
			job := queue.Job{TransferSession: in.Session, Filter: in.filter, Receiver: in.receiver}
			n := alike(t, d, env, job, atOnce)
			buffer, rmcb := in.want()
			t.Equal("records", n, int64(len(buffer)))
			t.EqualRows("buffer", tables.Dump(t, d, "buffer"), asJSON(t, buffer))
			t.EqualRows("rmcb", tables.Dump(t, d, "rmcb"), asJSON(t, rmcb))
			switch {
			case out.OK == nil && in.exceeds():
				t.Deviates(22) // every record is sent, whatever the size of the claims
			case out.OK == nil:
				t.True(in.hasSyntax(), "the reference fails: %s", out.Error)
				t.Deviates(1)
			case !in.explained(t, buffer, rows(t, out.OK.Buffer)):
				t.EqualRows("buffer", tables.Dump(t, d, "buffer"), out.OK.Buffer)
				t.EqualRows("rmcb", tables.Dump(t, d, "rmcb"), out.OK.RMCB)
			}
		})
	})
}

// alike queues with a list of what is to travel, without, and in windows, and holds the results against each other.
func alike(t *conformance.T, d *db.DB, env stage.Env, job queue.Job, atOnce int) (records int64) {
	var buffer, rmcb []tables.Row
	for i, run := range []func() (int64, error){
		func() (int64, error) { return queue.RunBy(t.Context(), env, job, atOnce, -1) },
		func() (int64, error) { return queue.RunInWindows(t.Context(), env, job, atOnce, int64(atOnce+1)) },
		func() (int64, error) { return queue.Run(t.Context(), env, job) },
	} {
		anew(t, d, job.TransferSession)
		n, err := run()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			records, buffer, rmcb = n, tables.Dump(t, d, "buffer"), tables.Dump(t, d, "rmcb")
			continue
		}
		t.Equal("records as without a list", n, records)
		t.EqualRows("buffer as without a list", tables.Dump(t, d, "buffer"), asJSON(t, buffer))
		t.EqualRows("rmcb as without a list", tables.Dump(t, d, "rmcb"), asJSON(t, rmcb))
	}
	return records
}

// anew empties a session's buffer.
func anew(t testing.TB, d *db.DB, id string) {
	tables.Write(t, d, func(tx *db.Tx) error {
		row, err := sessions.GetTransfer(t.Context(), tx, id)
		before := row
		return errors.Join(err, buffer.Drop(t.Context(), tx, id), row.SetQueued(sessions.Queued{}),
			sessions.Write(t.Context(), tx, before, &row, row.LastTime))
	})
}

func read(t *conformance.T, c conformance.Case) *given {
	in := &given{}
	t.Decode(c.Input, in)
	in.store, in.rmc = rows(t, in.State["store"]), rows(t, in.State["rmc"])
	in.filter = partition.Of(in.Filter...)
	sender, receiver := in.Client, in.Server
	if !in.Push {
		sender, receiver = receiver, sender
	}
	var errs [2]error
	in.sender, errs[0] = in.claim(sender)
	in.receiver, errs[1] = in.claim(receiver)
	in.refused = errors.Join(errs[:]...)
	return in
}

// claim is what a peer makes of an FSIC before it queues.
func (in *given) claim(text json.RawMessage) (counter.ByPartition, error) {
	f, err := counter.Parse(text)
	if err == nil && f.IsLegacy() == in.V2 {
		err = errors.New("the other form of FSIC was agreed")
	}
	if err == nil {
		err = f.Check(in.filter)
	}
	return f.Expand(in.filter), err
}

// hasSyntax is the predicate of rule 1 where the reference's SQL is broken by text.
func (in *given) hasSyntax() bool {
	special := func(text string) bool { return strings.ContainsAny(text, `'%_\`) }
	return slices.ContainsFunc(in.Filter, special) || special(in.Profile) ||
		special(string(in.Client)) || special(string(in.Server))
}

// exceeds is the limit of the reference on the size of the difference of the claims.
func (in *given) exceeds() bool {
	if in.ChunkSize == 0 {
		in.ChunkSize = 200
	}
	lower := counter.Diff(in.sender, in.receiver)
	size := len(lower)
	for _, counters := range lower {
		size += len(counters)
	}
	return size >= in.ChunkSize*499 || len(counter.Chunk(lower, in.ChunkSize)) > 500
}

// want is what has to be sent, by its definition.
func (in *given) want() (buffer, rmcb []tables.Row) {
	buffer, rmcb = []tables.Row{}, []tables.Row{}
	sent := map[any]bool{}
	for _, s := range in.store {
		if s["profile"] != in.Profile || !in.filter.Contains(s["partition"].(string)) || covers(in.receiver, s) {
			continue
		}
		sent[s["id"]] = true
		b := tables.Row{"transfer_session_id": in.Session, "model_uuid": s["id"]}
		for _, column := range []string{
			"profile", "model_name", "partition", "source_id", "serialized", "conflicting_serialized_data",
			"deleted", "hard_deleted", "last_saved_instance", "last_saved_counter", "_self_ref_fk",
		} {
			b[column] = s[column]
		}
		buffer = append(buffer, b)
	}
	for _, r := range in.rmc {
		if sent[r["store_model_id"]] {
			rmcb = append(rmcb, tables.Row{
				"transfer_session_id": in.Session, "model_uuid": r["store_model_id"],
				"instance_id": r["instance_id"], "counter": r["counter"],
			})
		}
	}
	return buffer, rmcb
}

// explained says whether we send other records than the reference, and holds each of
// them against the rules.
func (in *given) explained(t *conformance.T, ours, theirs []tables.Row) bool {
	differs := false
	for _, row := range without(ours, theirs) {
		differs = true
		if !covers(in.sender, row) {
			t.Deviates(22)
			continue
		}
		t.True(in.hasSyntax(), "the reference does not send %v", row)
		t.Deviates(1)
	}
	for _, row := range without(theirs, ours) {
		differs = true
		t.True(!in.filter.Contains(row["partition"].(string)), "only the reference sends %v", row)
		t.Deviates(1)
	}
	return differs
}

func without(rows, others []tables.Row) []tables.Row {
	known := map[any]bool{}
	for _, row := range others {
		known[row["model_uuid"]] = true
	}
	return slices.DeleteFunc(slices.Clone(rows), func(row tables.Row) bool { return known[row["model_uuid"]] })
}

func covers(claims counter.ByPartition, row tables.Row) bool {
	n, err := row["last_saved_counter"].(json.Number).Int64()
	return err == nil && claims.Covers(row["partition"].(string), counter.Version{
		Instance: row["last_saved_instance"].(string), Counter: n,
	})
}

func rows(t *conformance.T, list json.RawMessage) []tables.Row {
	t.Helper()
	var all []tables.Row
	decoder := json.NewDecoder(strings.NewReader(string(list)))
	decoder.UseNumber()
	if err := decoder.Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

func asJSON(t *conformance.T, rows []tables.Row) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
