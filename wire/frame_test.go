package wire_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

// streamed is the content of a whole stream, for comparing.
type streamed struct {
	Header  wire.StreamHeader
	Records []record.Record
	LeftOut []wire.LeftOut
	End     wire.StreamEnd
}

func writeStream(t testing.TB, s streamed) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := wire.NewFrameWriter(&out, s.Header)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Records {
		if err := w.Record(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.LeftOut(s.LeftOut), w.End(s.End.More, s.End.After)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// readStream reads until the end, or as far as it comes.
func readStream(from io.Reader) (s streamed, err error) {
	r, err := wire.NewFrameReader(from)
	if err != nil {
		return s, err
	}
	s.Header = r.Header()
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return s, nil
		}
		if err != nil {
			return s, err
		}
		s.Records = append(s.Records, f.Records...)
		s.LeftOut = append(s.LeftOut, f.LeftOut...)
		if f.End != nil {
			s.End = *f.End
		}
	}
}

const (
	instanceA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	instanceB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// golden are records of all kinds, and what is around them.
func golden() streamed {
	hashed := func(template, source, model string) record.Record {
		id := ident.Record(template, source, model)
		partition := strings.ReplaceAll(template, ident.Placeholder, id)
		return record.Record{ID: id, Profile: "facilitydata", Model: model, Partition: partition, SourceID: source,
			Serialized: fmt.Sprintf(`{"id": %q, "_morango_partition": %q, "_morango_source_id": %q, "user_id": %q, "name": "ü", "date": "2026-03-06 04:29:25.571260(UTC)"}`,
				id, partition, source, instanceB),
			Version: counter.Version{Instance: instanceA, Counter: 1}, History: counter.Counters{instanceA: 1}}
	}
	source := "0123456789abcdef0123456789abcdef"
	records := []record.Record{
		hashed("ds:user-ro:${id}", source, "facilityuser"), hashed("ds:user-rw:"+source, source, "attemptlog"),
		hashed("ds:user-rw:"+source, "a source id that is a text", "attemptlog"), hashed("ds:user-rw:"+source, "", "attemptlog"),
	}
	records[1].Deleted, records[1].HardDeleted, records[1].Serialized = true, true, "{}"
	records[2].Conflicting = records[0].Serialized + "\n{\"id\": \"" + records[2].ID + "\"}\n" +
		`["2026-03-06T04:29:25.571261Z", "[{\"timestamp\":\"2026-03-05T23:59:59.999Z\"}]", "2026-02-29 00:00:00.000000"]`
	records[2].SelfRef = records[1].ID
	records[2].Version = counter.Version{Instance: instanceB, Counter: counter.Greatest}
	records[2].History = counter.Counters{instanceA: 7, instanceB: counter.Greatest}
	records[3].History = counter.Counters{instanceB: 300} // without its own version
	given := record.Record{ID: source, Profile: "facilitydata", Model: "facilitydataset", Partition: source + ":allusers-ro", SourceID: source,
		Serialized: "no JSON, with a \x01", Version: counter.Version{Instance: instanceB, Counter: 200}, History: counter.Counters{instanceB: 200}}
	records = append(records, given)
	slices.SortFunc(records, func(a, b record.Record) int { return strings.Compare(a.ID, b.ID) })
	return streamed{
		Header: wire.StreamHeader{TransferSession: strings.Repeat("5", 32), Instance: instanceA, Profile: "facilitydata", Filter: "ds:user-rw\nds:user-ro",
			Claim: `{"super": {}, "sub": {"ds": {"` + instanceA + `": 1}}}`, After: "00000000000000000000000000000001", Records: 5},
		Records: records,
		LeftOut: []wire.LeftOut{{ID: strings.Repeat("9", 32), Model: "user", Reason: "it is too large"}},
		End:     wire.StreamEnd{After: strings.Repeat("f", 32), Records: 5},
	}
}

// What the first version wrote is read for ever, and written the same.
func TestGoldenStream(t *testing.T) {
	want, file := golden(), filepath.Join("testdata", "stream-1.bin")
	text := writeStream(t, want)
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, kept) {
		t.Errorf("the stream is written in another way:\n%q\nwas\n%q", text, kept)
	}
	got, err := readStream(iotest.OneByteReader(bytes.NewReader(kept)))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got): %s", err, diff)
	}
}

// drawRecord draws a record with an id that its content gives, or another.
func drawRecord(t *rapid.T) record.Record {
	id := rapid.StringMatching(`[0-9a-f]{32}`)
	text := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune{1, 2, 3, 4, 5, 6, 7, 8, 9, 'a', '"'})), rapid.SampledFrom([]string{"", "{}"}))
	instance := rapid.OneOf(id, rapid.SampledFrom([]string{instanceA, instanceB}))
	r := record.Record{
		Profile: "p", Model: rapid.SampledFrom([]string{"user", "log", ""}).Draw(t, "model"),
		Partition: rapid.OneOf(rapid.SampledFrom([]string{"ds:${id}", "ds", "${id}${id}"}), rapid.String()).Draw(t, "partition"),
		SourceID:  rapid.OneOf(id, text).Draw(t, "source"), Deleted: rapid.Bool().Draw(t, "deleted"), HardDeleted: rapid.Bool().Draw(t, "hard"),
		Version: counter.Version{Instance: instance.Draw(t, "instance"), Counter: rapid.Int64Range(0, counter.Greatest).Draw(t, "counter")},
		History: counter.Counters{},
	}
	if rapid.Bool().Draw(t, "tree") {
		r.SelfRef = id.Draw(t, "parent")
	}
	if r.ID = id.Draw(t, "id"); rapid.Bool().Draw(t, "hashed") {
		template := r.Partition
		r.ID = ident.Record(template, r.SourceID, r.Model)
		r.Partition = strings.ReplaceAll(template, ident.Placeholder, r.ID)
	}
	own := rapid.OneOf(
		rapid.SampledFrom([]string{r.ID, r.Partition, r.SourceID, r.SelfRef, "", `"` + instanceA + `"`, `"` + instanceB + `" "` + instanceB + `"`, `"` + r.ID + `"`}),
		rapid.Custom(func(t *rapid.T) string { return `"` + drawMoment(t) + `"` + drawMoment(t) }))
	r.Serialized = text.Draw(t, "before") + own.Draw(t, "own") + text.Draw(t, "after")
	r.Conflicting = text.Draw(t, "conflicting") + own.Draw(t, "own")
	for range rapid.IntRange(0, 3).Draw(t, "instances") {
		r.History[instance.Draw(t, "other")] = rapid.Int64Range(1, counter.Greatest).Draw(t, "n")
	}
	if rapid.Bool().Draw(t, "whole") && r.Version.Counter > 0 {
		r.History[r.Version.Instance] = r.Version.Counter
	}
	return r
}

func drawStream(t *rapid.T) streamed {
	s := streamed{Header: wire.StreamHeader{TransferSession: instanceA, Profile: "p", Filter: rapid.String().Draw(t, "filter"), Records: -1}}
	byID := map[string]record.Record{}
	for range rapid.IntRange(0, 8).Draw(t, "records") {
		r := drawRecord(t)
		byID[r.ID] = r
	}
	for _, r := range byID {
		s.Records = append(s.Records, r)
	}
	slices.SortFunc(s.Records, func(a, b record.Record) int { return strings.Compare(a.ID, b.ID) })
	s.End = wire.StreamEnd{More: rapid.Bool().Draw(t, "more"), Records: int64(len(s.Records))}
	if len(s.Records) > 0 {
		s.End.After = s.Records[len(s.Records)-1].ID
	}
	return s
}

// Whatever is written is read, compressed or not; a stream that is cut anywhere gives
// whole frames and then an error; one with a byte changed gives none that differs.
func TestStreamRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawStream(t)
		var packed, plain bytes.Buffer
		zip, err := wire.Compress(&packed)
		if err != nil {
			t.Fatal(err)
		}
		w, err := wire.NewFrameWriter(io.MultiWriter(zip, &plain), want.Header)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range want.Records {
			if err := w.Record(r); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "new frame") {
				err = errors.Join(err, w.LeftOut(nil))
			}
		}
		if err := errors.Join(err, w.End(want.End.More, ""), zip.Close()); err != nil {
			t.Fatal(err)
		}
		unzip, err := wire.Decompress(&packed)
		if err != nil {
			t.Fatal(err)
		}
		defer unzip.Close()
		got, err := readStream(unzip)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("%v (-want +got): %s", err, diff)
		}
		text := plain.Bytes()
		at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		part, err := readStream(bytes.NewReader(text[:at]))
		if !errors.Is(err, io.ErrUnexpectedEOF) || !isBeginning(part.Records, want.Records) {
			t.Fatalf("cut at %d: %v, %d records", at, err, len(part.Records))
		}
		text[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "change"))
		if part, err := readStream(bytes.NewReader(text)); err == nil || !isBeginning(part.Records, want.Records) {
			t.Fatalf("changed at %d: %v", at, err)
		}
	})
}

func isBeginning(some, all []record.Record) bool {
	return len(some) <= len(all) && cmp.Equal(append([]record.Record{}, some...), append([]record.Record{}, all[:len(some)]...))
}

// Frames that are lost, repeated or swapped are noticed, although each is whole.
func TestFramesInOrder(t *testing.T) {
	var out bytes.Buffer
	w, err := wire.NewFrameWriter(&out, wire.StreamHeader{})
	if err != nil {
		t.Fatal(err)
	}
	var cuts []int
	for _, r := range golden().Records[:3] {
		cuts = append(cuts, out.Len())
		if err := errors.Join(w.Record(r), w.LeftOut(nil)); err != nil {
			t.Fatal(err)
		}
	}
	cuts = append(cuts, out.Len())
	if err := w.End(false, ""); err != nil {
		t.Fatal(err)
	}
	text := out.Bytes()
	part := func(i int) []byte { return text[cuts[i]:cuts[i+1]] }
	head, tail := text[:cuts[0]], text[cuts[3]:]
	if _, err := readStream(bytes.NewReader(slices.Concat(head, part(0), part(1), part(2), tail))); err != nil {
		t.Fatal(err)
	}
	for name, changed := range map[string][]byte{
		"lost": slices.Concat(head, part(0), part(2), tail), "repeated": slices.Concat(head, part(0), part(0), part(1), part(2), tail),
		"swapped": slices.Concat(head, part(1), part(0), part(2), tail), "more at the end": slices.Concat(text, tail),
	} {
		var format *wire.FormatError
		if _, err := readStream(bytes.NewReader(changed)); !errors.As(err, &format) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What cannot travel is left out, and the rest does.
func TestUnencodable(t *testing.T) {
	var out bytes.Buffer
	w, err := wire.NewFrameWriter(&out, wire.StreamHeader{})
	if err != nil {
		t.Fatal(err)
	}
	good := golden().Records
	if err := w.Record(good[0]); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(r *record.Record){
		"id": func(r *record.Record) { r.ID += "x" }, "instance": func(r *record.Record) { r.Version.Instance = "x" },
		"counter": func(r *record.Record) { r.Version.Counter = -1 }, "parent": func(r *record.Record) { r.SelfRef = "x" },
		"history": func(r *record.Record) { r.History = counter.Counters{"x": 1} },
		"size":    func(r *record.Record) { r.Serialized = strings.Repeat("x", wire.MaxFrame/2) },
		"long history": func(r *record.Record) {
			r.Model, r.History = "another model", counter.Counters{}
			for i := range wire.MaxFrameHistory + 2 {
				r.History[fmt.Sprintf("%032x", i)] = 1
			}
		},
	} {
		r := good[1]
		change(&r)
		if err := w.Record(r); !errors.Is(err, wire.ErrUnencodable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.Record(good[0]); !errors.Is(err, wire.ErrOrder) {
		t.Errorf("repeated: %v", err)
	}
	if err := errors.Join(w.Record(good[1]), w.Record(good[2]), w.End(false, "")); err != nil {
		t.Fatal(err)
	}
	got, err := readStream(&out)
	for i := range got.Records {
		got.Records[i].Profile = good[i].Profile
	}
	if diff := cmp.Diff(good[:3], got.Records); err != nil || diff != "" {
		t.Errorf("%v (-want +got): %s", err, diff)
	}
}
