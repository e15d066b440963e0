package tables

import (
	"encoding/json"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/record"
)

// Number makes a readable id.
func Number(kind string, n int) string { return fmt.Sprintf("%s%0*d", kind, 32-len(kind), n) }

// LoadRecords puts records into an empty store.
func LoadRecords(t testing.TB, d *db.DB, records []record.Record) {
	t.Helper()
	rows := map[string][]Row{"store": {}, "rmc": {}, "dmc": {}, "buffer": {}, "rmcb": {}}
	for _, r := range records {
		rows["store"] = append(rows["store"], Row{
			"id": r.ID, "profile": r.Profile, "model_name": r.Model, "partition": r.Partition, "source_id": r.SourceID,
			"serialized": r.Serialized, "conflicting_serialized_data": r.Conflicting, "_self_ref_fk": r.SelfRef,
			"deleted": r.Deleted, "hard_deleted": r.HardDeleted, "dirty_bit": false, "deserialization_error": "",
			"last_saved_instance": r.Version.Instance, "last_saved_counter": r.Version.Counter, "last_transfer_session_id": nil,
		})
		for instance, n := range r.History {
			rows["rmc"] = append(rows["rmc"], Row{"store_model_id": r.ID, "instance_id": instance, "counter": n})
		}
	}
	LoadRows(t, d, 10, rows)
}

// LoadRows is Load for rows by the names of their tables.
func LoadRows(t testing.TB, d *db.DB, counter int64, rows map[string][]Row) {
	t.Helper()
	state := map[string]json.RawMessage{}
	for name, list := range rows {
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		state[name] = text
	}
	Load(t, d, counter, state)
}

// DrawVersion draws a version of one of a few instances.
func DrawVersion(t *rapid.T) counter.Version {
	return counter.Version{Instance: Number("a", rapid.IntRange(1, 3).Draw(t, "instance")), Counter: int64(rapid.IntRange(1, 4).Draw(t, "counter"))}
}

// DrawRecord makes a version of a record, with few texts, so that equal content comes up.
func DrawRecord(t *rapid.T, id string) record.Record {
	r := record.Record{
		ID: id, Profile: "facilitydata", Model: "user", SourceID: "s", SelfRef: rapid.SampledFrom([]string{"", Number("c", 1)}).Draw(t, "parent"),
		Partition:   rapid.SampledFrom([]string{"p", "p:1", "p:%", "q", "ü"}).Draw(t, "partition"),
		Serialized:  rapid.SampledFrom([]string{`{"a": 1}`, `{"a": 2}`}).Draw(t, "text"),
		Conflicting: rapid.SampledFrom([]string{"", "", "{\"a\": 3}\n"}).Draw(t, "conflicting"),
		Deleted:     rapid.IntRange(0, 3).Draw(t, "deleted") == 0, HardDeleted: rapid.IntRange(0, 5).Draw(t, "hard-deleted") == 0,
		Version: DrawVersion(t), History: counter.Counters{},
	}
	for range rapid.IntRange(0, 3).Draw(t, "past") {
		v := DrawVersion(t)
		r.History[v.Instance] = max(r.History[v.Instance], v.Counter)
	}
	r.History[r.Version.Instance] = max(r.History[r.Version.Instance], r.Version.Counter)
	return r
}

// DrawRecords makes up to so many records with different ids.
func DrawRecords(t *rapid.T, most int) (records []record.Record) {
	for n := range most {
		if rapid.IntRange(0, 2).Draw(t, "there") > 0 {
			records = append(records, DrawRecord(t, Number("c", n)))
		}
	}
	return records
}
