package wire_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/wire"
)

const benchSession = "5e55100000000000000000000000bead"

// chunk is 500 records with texts of about 700 bytes, of which no two are alike.
func chunk() []record.Record {
	records := make([]record.Record, 500)
	for i := range records {
		id := func(what string) string { return ident.Hash(what, fmt.Sprint(i)) }
		v := counter.Version{Instance: strings.Repeat("a", 32), Counter: 7}
		at := id("dataset")[:8] + ":user-rw:" + id("user")
		records[i] = record.Record{ID: id("id"), Profile: "facilitydata", Model: "attemptlog", Partition: at, SourceID: id("source"),
			Serialized: `{"id": "` + id("id") + `", "_morango_source_id": "` + id("source") + `", "_morango_partition": "` + at +
				`", "item": "` + id("item") + `", "answer": "{\"value\": ` + fmt.Sprint(i) + `}", "user_id": "` + id("user") +
				`", "text": "` + strings.Repeat("the same in all records, ", 12) + `"}`,
			Version: v, History: counter.Counters{v.Instance: v.Counter}}
	}
	return records
}

func BenchmarkAppendBuffers(b *testing.B) {
	records := chunk()
	b.SetBytes(int64(len(wire.AppendBuffers(nil, benchSession, records))))
	var body []byte
	for b.Loop() {
		body = wire.AppendBuffers(body[:0], benchSession, records)
	}
	b.ReportMetric(float64(len(records)*b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkParseBuffers(b *testing.B) {
	records := chunk()
	body := wire.AppendBuffers(nil, benchSession, records)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := wire.ParseBuffers(bytes.NewReader(body), len(records)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(records)*b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkDeflate(b *testing.B) {
	body := wire.AppendBuffers(nil, benchSession, chunk())
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if err := wire.Deflate(io.Discard, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInflate(b *testing.B) {
	body := wire.AppendBuffers(nil, benchSession, chunk())
	var zipped bytes.Buffer
	if err := wire.Deflate(&zipped, body); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		plain, err := wire.Inflate(bytes.NewReader(zipped.Bytes()), 64<<20)
		if err == nil {
			_, err = io.Copy(io.Discard, plain)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
