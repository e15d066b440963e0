package record_test

import (
	"strings"
	"testing"
	"time"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
)

// The functions that every row passes, on the commonest row of Kolibri: the answer to a
// question.

const (
	benchRoot = "b4a55cad56d803e4ce15febde456d519"
	benchUser = "7b63ed317d9f658870876ae8aa07631c"
)

// attempt is a record of about 800 bytes, its model, and its values.
func attempt(b *testing.B) (record.Record, *model.Model, []any) {
	b.Helper()
	profile, err := model.LoadFile("../testdata/kolibri/facilitydata.yaml")
	if err != nil {
		b.Fatal(err)
	}
	m, _ := profile.Model("attemptlog")
	const source = "255fbce6adff420da5096b63a4cc6634"
	at := benchRoot + ":user-rw:" + benchUser
	id := ident.Record(at, source, m.Name)
	text := `{"id": "` + id + `", "_morango_source_id": "` + source + `", "_morango_partition": "` + at + `", "dataset_id": "` + benchRoot +
		`", "item": "0a1b2c3d4e5f60718293a4b5c6d7e8f9", "start_timestamp": "2026-03-02 08:13:52.630310(UTC)", ` +
		`"end_timestamp": "2026-03-02 08:14:12.630310(UTC)", "completion_timestamp": null, "time_spent": 17.25, "complete": false, ` +
		`"correct": 1.0, "hinted": false, "answer": "{\"value\": 42}", "simple_answer": "42", ` +
		`"interaction_history": "[{\"type\": \"answer\", \"correct\": 1, \"answer\": \"42\"}]", "user_id": "` + benchUser +
		`", "error": false, "masterylog_id": "417b5489fa5979a1986b9230ea357c6c", "sessionlog_id": "1f08cf52c28719b6b53a63e8769ef8f8"}`
	v := counter.Version{Instance: strings.Repeat("a", 32), Counter: 7}
	r := record.Record{ID: id, Profile: profile.Name, Model: m.Name, Partition: at, SourceID: source, Serialized: text,
		Version: v, History: counter.Counters{v.Instance: v.Counter}}
	values, err := record.Decode(m, id, source, at, text, time.Now(), nil)
	if err != nil {
		b.Fatal(err)
	}
	var travelling []any
	for i, c := range m.Columns {
		if !c.Local {
			travelling = append(travelling, values[i])
		}
	}
	return r, m, travelling
}

func BenchmarkEncode(b *testing.B) {
	r, m, values := attempt(b)
	b.SetBytes(int64(len(r.Serialized)))
	for b.Loop() {
		if _, err := record.Encode(m, values); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	r, m, values := attempt(b)
	b.SetBytes(int64(len(r.Serialized)))
	for b.Loop() {
		if _, err := record.Update(r.Serialized, m, values); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	r, m, _ := attempt(b)
	now := time.Now()
	b.SetBytes(int64(len(r.Serialized)))
	for b.Loop() {
		if _, err := record.Decode(m, r.ID, r.SourceID, r.Partition, r.Serialized, now, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	r, m, _ := attempt(b)
	filter := partition.Of(benchRoot)
	b.SetBytes(int64(len(r.Serialized)))
	for b.Loop() {
		if err := record.Check(r, m, filter); err != nil {
			b.Fatal(err)
		}
	}
}
