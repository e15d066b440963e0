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
	Reached []reached
	End     wire.StreamEnd
}

// reached is a cursor, and how many records had come with it.
type reached struct {
	After   string
	Records int
}

// framed has all records travel in one frame, and the stream end where it should.
func framed(s streamed) streamed {
	if len(s.Records) > 0 {
		s.Reached = []reached{{s.Header.After + "1", len(s.Records)}}
	}
	s.End.Records = int64(len(s.Records))
	if s.End.After = s.Header.After + "1"; !s.End.More {
		s.End.After = wire.CursorEnd
	}
	return s
}

func writeStream(t testing.TB, s streamed) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := wire.NewFrameWriter(&out, s.Header)
	if err != nil {
		t.Fatal(err)
	}
	done := 0
	for _, to := range s.Reached {
		for ; done < to.Records; done++ {
			if err := w.Record(s.Records[done]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Reach(to.After); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.LeftOut(s.LeftOut), w.End(s.End)); err != nil || done < len(s.Records) {
		t.Fatal(err, done)
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
		if len(f.Records) > 0 {
			s.Reached = append(s.Reached, reached{f.After, len(s.Records)})
		}
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
	return framed(streamed{
		Header: wire.StreamHeader{TransferSession: strings.Repeat("5", 32), Instance: instanceA, Profile: "facilitydata", Filter: "ds:user-rw\nds:user-ro",
			Claim: `{"super": {}, "sub": {"ds": {"` + instanceA + `": 1}}}`, After: "b0000-0000-00000000000000000000000000000001", Records: 5},
		Records: records,
		LeftOut: []wire.LeftOut{{ID: strings.Repeat("9", 32), Model: "user", Reason: "it is too large"}},
		End:     wire.StreamEnd{Claim: `{"super": {}, "sub": {}}`},
	})
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
	text := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune{1, 2, 3, 4, 5, 6, 7, 8, 9, 0xb, 0xc, 0xe, 0xf, 0x10, 0x11, 'a', '"'})), rapid.SampledFrom([]string{"", "{}"}))
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
	after := rapid.SampledFrom([]string{"", "a", "b-"}).Draw(t, "after")
	s.Header.After = after
	for range rapid.IntRange(0, 4).Draw(t, "frames") {
		frame := len(s.Records)
		for range rapid.IntRange(1, 3).Draw(t, "records") {
			r := drawRecord(t)
			if !slices.ContainsFunc(s.Records[frame:], func(other record.Record) bool { return other.ID == r.ID }) {
				s.Records = append(s.Records, r)
			}
		}
		after += rapid.StringMatching(`[0-9a-y-][0-9a-z-]{0,9}`).Draw(t, "more")
		s.Reached = append(s.Reached, reached{after, len(s.Records)})
	}
	s.End = wire.StreamEnd{After: after, More: rapid.Bool().Draw(t, "more"), Records: int64(len(s.Records))}
	if !s.End.More {
		s.End.After = wire.CursorEnd
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
		done := 0
		for _, to := range want.Reached {
			for ; done < to.Records; done++ {
				err = errors.Join(err, w.Record(want.Records[done]))
			}
			err = errors.Join(err, w.Reach(to.After))
		}
		if err := errors.Join(err, w.End(want.End), zip.Close()); err != nil {
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
	for i, r := range golden().Records[:3] {
		cuts = append(cuts, out.Len())
		if err := errors.Join(w.Record(r), w.Reach(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	cuts = append(cuts, out.Len())
	if err := w.End(wire.StreamEnd{}); err != nil {
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

// Cursors rise from the header to the end, which is beyond all, and have their form. So they are
// written, and so they are read.
func TestCursors(t *testing.T) {
	for _, at := range []string{"", "0", "-", "b0000-0001-ff", strings.Repeat("y", wire.MaxCursor), wire.CursorEnd} {
		if !wire.ValidCursor(at) || at > wire.CursorEnd {
			t.Errorf("%q is none", at)
		}
	}
	for _, at := range []string{"z0", "zz", "A", "a b", "a\n", "ä", "~", "{", "\x00", strings.Repeat("0", wire.MaxCursor+1)} {
		if wire.ValidCursor(at) {
			t.Errorf("%q is one", at)
		}
	}
	one := golden().Records[0]
	for name, write := range map[string]func(w *wire.FrameWriter) error{
		"not beyond the header": func(w *wire.FrameWriter) error { return w.Reach("b") },
		"before the header":     func(w *wire.FrameWriter) error { return w.Reach("a9") },
		"at the end":            func(w *wire.FrameWriter) error { return w.Reach(wire.CursorEnd) },
		"of another form":       func(w *wire.FrameWriter) error { return w.Reach("c!") },
		"the end at once":       func(w *wire.FrameWriter) error { return w.End(wire.StreamEnd{}) },
		"twice": func(w *wire.FrameWriter) error {
			return errors.Join(w.Reach("c"), w.Record(one), w.Reach("c"))
		},
		"an end before it": func(w *wire.FrameWriter) error {
			return errors.Join(w.Reach("c"), w.End(wire.StreamEnd{More: true, After: "b9"}))
		},
		"more after the end": func(w *wire.FrameWriter) error {
			return errors.Join(w.Reach("c"), w.End(wire.StreamEnd{More: true, After: wire.CursorEnd}))
		},
	} {
		w, err := wire.NewFrameWriter(io.Discard, wire.StreamHeader{After: "b"})
		if err := errors.Join(err, w.Record(one)); err != nil {
			t.Fatal(err)
		}
		if err := write(w); !errors.Is(err, wire.ErrOrder) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What others write is looked at in the same way.
func TestCursorsOfOthers(t *testing.T) {
	one16, other16 := strings.Repeat("1", 16), strings.Repeat("2", 16)
	record := func(cursor string) []byte { return plain(cursor, false, one16).frame() }
	again := func(cursor string) []byte { return plain(cursor, true, one16).frame() }
	head := []byte(`H{"after":"b"}`)
	for name, frames := range map[string][][]byte{
		"not beyond the header": {head, record("b")}, "before the header": {head, record("a9")}, "twice": {head, record("c"), again("c")},
		"at the end": {head, record(wire.CursorEnd)}, "of another form": {head, record("c!")}, "none": {head, record("")},
		"a header with none": {[]byte(`H{"after":"B"}`)}, "a header beyond": {[]byte(`H{"after":"zz"}`)},
		"an end before it": {head, record("c"), []byte(`M{"after":"b9","records":1}`)}, "an end of another form": {head, []byte(`M{"after":"c!","records":0}`)},
		"two in one frame":   {head, plain("c", false, one16, one16).frame()},
		"more after the end": {head, []byte(`M{"after":"z","records":0}`)}, "an end before the end": {head, []byte(`E{"after":"c","records":0}`)},
	} {
		var format *wire.FormatError
		s, err := readStream(bytes.NewReader(rawStream(frames...)))
		if !errors.As(err, &format) && !errors.Is(err, wire.ErrOrder) || len(s.Records) != strings.Count(name, "twice")+strings.Count(name, "an end before it") {
			t.Errorf("%s: %v, %d records", name, err, len(s.Records))
		}
	}
	if s, err := readStream(bytes.NewReader(rawStream(head, record("c"), again("c-"), []byte(`E{"after":"z","records":2}`)))); err != nil || len(s.Records) != 2 {
		t.Errorf("the same record twice: %v, %d", err, len(s.Records))
	}
	if s, err := readStream(bytes.NewReader(rawStream(head, plain("c", false, one16, other16).frame(), []byte(`E{"after":"z","records":2}`)))); err != nil || len(s.Records) != 2 {
		t.Errorf("two records in one frame: %v, %d", err, len(s.Records))
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
	if err := errors.Join(w.Record(good[1]), w.Record(good[2]), w.Reach("1"), w.End(wire.StreamEnd{})); err != nil {
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
