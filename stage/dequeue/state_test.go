package dequeue_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/record"
)

// row is a row of any of the tables that dequeue knows, as in the vectors.
type row struct {
	ID          string  `json:"id,omitempty"`
	Profile     string  `json:"profile,omitempty"`
	Model       string  `json:"model_name,omitempty"`
	Partition   string  `json:"partition,omitempty"`
	SourceID    string  `json:"source_id,omitempty"`
	Serialized  string  `json:"serialized,omitempty"`
	Conflicting string  `json:"conflicting_serialized_data,omitempty"`
	SelfRef     string  `json:"_self_ref_fk,omitempty"`
	Deleted     bool    `json:"deleted,omitempty"`
	HardDeleted bool    `json:"hard_deleted,omitempty"`
	Saver       string  `json:"last_saved_instance,omitempty"`
	SavedAt     int64   `json:"last_saved_counter,omitempty"`
	Dirty       bool    `json:"dirty_bit,omitempty"`
	Error       string  `json:"deserialization_error,omitempty"`
	Last        *string `json:"last_transfer_session_id,omitempty"`
	Session     string  `json:"transfer_session_id,omitempty"`
	UUID        string  `json:"model_uuid,omitempty"`
	Record      string  `json:"store_model_id,omitempty"`
	Instance    string  `json:"instance_id,omitempty"`
	Counter     int64   `json:"counter,omitempty"`
}

// state is the tables that dequeue knows.
type state struct {
	Store, RMC, DMC, Buffer, RMCB []row
}

// dump reads the state of a database.
func dump(t testing.TB, d *db.DB) (s state) {
	t.Helper()
	into := map[string]*[]row{"store": &s.Store, "rmc": &s.RMC, "dmc": &s.DMC, "buffer": &s.Buffer, "rmcb": &s.RMCB}
	for name, rows := range tables.DumpAll(t, d, slices.Collect(maps.Keys(into))...) {
		text, err := json.Marshal(rows)
		if err == nil {
			err = json.Unmarshal(text, into[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (r row) record(id string) record.Record {
	return record.Record{
		ID: id, Profile: r.Profile, Model: r.Model, Partition: r.Partition, SourceID: r.SourceID,
		Serialized: r.Serialized, Conflicting: r.Conflicting, SelfRef: r.SelfRef, Deleted: r.Deleted,
		HardDeleted: r.HardDeleted, Version: counter.Version{Instance: r.Saver, Counter: r.SavedAt},
		History: counter.Counters{},
	}
}

// store returns the store rows with their histories.
func (s state) store() map[string]stored {
	all := map[string]stored{}
	for _, r := range s.Store {
		kept := stored{Record: r.record(r.ID), Dirty: r.Dirty, Error: r.Error}
		if r.Last != nil {
			kept.Session = *r.Last
		}
		all[r.ID] = kept
	}
	for _, r := range s.RMC {
		all[r.Record].History[r.Instance] = r.Counter
	}
	return all
}

// buffer returns the records of a session, and the counters without a record.
func (s state) buffer(session string) (records []record.Record, loose map[string]counter.Counters) {
	loose = map[string]counter.Counters{}
	for _, r := range s.RMCB {
		if r.Session != session {
			continue
		}
		if loose[r.UUID] == nil {
			loose[r.UUID] = counter.Counters{}
		}
		loose[r.UUID][r.Instance] = r.Counter
	}
	for _, r := range s.Buffer {
		if r.Session != session {
			continue
		}
		kept := r.record(r.UUID)
		kept.History = counter.Counters{}.Max(loose[r.UUID])
		delete(loose, r.UUID)
		records = append(records, kept)
	}
	return records, loose
}

// claims returns the database max counters.
func (s state) claims() counter.ByPartition {
	all := counter.ByPartition{}
	for _, r := range s.DMC {
		if all[r.Partition] == nil {
			all[r.Partition] = counter.Counters{}
		}
		all[r.Partition][r.Instance] = r.Counter
	}
	return all
}
