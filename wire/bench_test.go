package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

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

// timedChunk is chunk in the order of ids, with what else a row has: two moments.
func timedChunk() []record.Record {
	records := chunk()
	for i := range records {
		at := time.Date(2026, 3, 6, 4, 29, 25, 571260000, time.UTC).Add(time.Duration(i) * 41234567 * time.Microsecond)
		records[i].ID = fmt.Sprintf("%032x", i+1)
		records[i].Serialized = strings.Replace(records[i].Serialized, `"text"`, `"start": "`+at.Format("2006-01-02 15:04:05.000000")+
			`(UTC)", "end": "`+at.Add(1234567*time.Microsecond).Format("2006-01-02 15:04:05.000000")+`(UTC)", "text"`, 1)
	}
	return records
}

func BenchmarkWriteStream(b *testing.B) {
	records, n := timedChunk(), 0
	for b.Loop() {
		w, err := wire.NewFrameWriter(io.Discard, wire.StreamHeader{})
		for i := 0; err == nil && i < len(records); i++ {
			err = w.Record(records[i])
		}
		if err := errors.Join(err, w.Reach("1"), w.End(wire.StreamEnd{})); err != nil {
			b.Fatal(err)
		}
		n += len(records)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkReadStream(b *testing.B) {
	var stream bytes.Buffer
	w, err := wire.NewFrameWriter(&stream, wire.StreamHeader{})
	records, n := timedChunk(), 0
	for i := 0; err == nil && i < len(records); i++ {
		err = w.Record(records[i])
	}
	if err := errors.Join(err, w.Reach("1"), w.End(wire.StreamEnd{})); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := readStream(bytes.NewReader(stream.Bytes())); err != nil {
			b.Fatal(err)
		}
		n += len(records)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
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
