package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/wire"
)

// drawMoment draws the text of a moment of any form, or of what is almost one.
func drawMoment(t *rapid.T) string {
	at := time.UnixMicro(rapid.OneOf(rapid.Int64Range(0, 2e15), rapid.Int64Range(-62135596800000000, 253402300799999999)).Draw(t, "moment")).UTC()
	text := []byte(at.Format(rapid.SampledFrom([]string{
		"2006-01-02 15:04:05.000000", "2006-01-02T15:04:05.000000", "2006-01-02T15:04:05.000Z", "2006-01-02 15:04:05", "2006-01-02 15:04:05.000",
		"2006-02-29 15:04:05.000000", "2006-02-30T15:04:05.000000", "2006-13-02 15:04:05.000000", "2006-01-02T24:00:00.000Z", "2006-01-02 15:04:60.000000",
	}).Draw(t, "layout")))
	if rapid.IntRange(0, 3).Draw(t, "change") == 0 {
		text[rapid.IntRange(0, len(text)-1).Draw(t, "where")] = rapid.SampledFrom([]byte("09-:. T\"\x06\x07\x08\x0b\x0c\x0e\x0f\x10\xff")).Draw(t, "byte")
	}
	return string(text)
}

// timed is a record with a text.
func timed(n int, text string) record.Record {
	id := fmt.Sprintf("%032x", n)
	return record.Record{ID: id, Profile: "p", Model: "log", Partition: "ds", SourceID: id, Serialized: text,
		Version: counter.Version{Instance: instanceA, Counter: 1}, History: counter.Counters{instanceA: 1}}
}

// A moment in a text takes a handful of bytes, in each form, and where it is not the only one.
func TestMomentsAreShort(t *testing.T) {
	stream := func(text string) int {
		s := framed(streamed{Header: wire.StreamHeader{Profile: "p"}, Records: []record.Record{timed(1, text)}})
		written := writeStream(t, s)
		got, err := readStream(bytes.NewReader(written))
		if diff := cmp.Diff(s, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got): %s", err, diff)
		}
		return len(written)
	}
	for _, text := range []string{"2026-03-06 04:29:25.571260", "2026-03-06T04:29:25.571260", "2026-03-06T04:29:25.571"} {
		if more := stream(`{"at": "`+text+`(UTC)"}`) - stream(`{"at": "(UTC)"}`); more > 9 {
			t.Errorf("%s takes %d bytes", text, more)
		}
	}
	const first = `"2026-03-06 04:29:25.571260"`
	if more := stream(first+`"2026-03-06T04:29:25.572Z"`) - stream(first+`"Z"`); more > 4 {
		t.Errorf("one that is near takes %d bytes", more)
	}
}

// Records that are refused leave no moment behind, neither in the section nor as the one before.
func TestMomentsOfRefusedRecords(t *testing.T) {
	var out bytes.Buffer
	w, err := wire.NewFrameWriter(&out, wire.StreamHeader{Profile: "p"})
	if err != nil {
		t.Fatal(err)
	}
	good := []record.Record{timed(1, `"2026-03-06 04:29:25.571260"`), timed(3, `"2026-03-06T04:29:25.572"`), timed(4, `"2026-03-06 04:29:25.571262"`)}
	bad := timed(2, `"0001-02-03 04:29:25.571260"`)
	for i := range wire.MaxFrameHistory + 2 {
		bad.History[fmt.Sprintf("%032x", i)] = 1
	}
	if err := w.Record(good[0]); err != nil {
		t.Fatal(err)
	}
	if err := w.Record(bad); !errors.Is(err, wire.ErrUnencodable) {
		t.Fatal(err)
	}
	if err := errors.Join(w.Record(good[1]), w.Reach("1"), w.Record(good[2]), w.Reach("2"), w.End(wire.StreamEnd{})); err != nil {
		t.Fatal(err)
	}
	got, err := readStream(&out)
	if diff := cmp.Diff(good, got.Records); err != nil || diff != "" {
		t.Errorf("%v (-want +got): %s", err, diff)
	}
}

// Moments, ids and words stay right where a record that was already written does not fit into its
// frame, for its history is too long, and so comes again in the next.
func TestMomentsInSplitFrames(t *testing.T) {
	moment := func(i int) string { return fmt.Sprintf(`"2026-03-06 04:29:25.%06d" "%032x"`, 571260-i, i) }
	var out bytes.Buffer
	w, err := wire.NewFrameWriter(&out, wire.StreamHeader{Profile: "p"})
	if err != nil {
		t.Fatal(err)
	}
	var want []record.Record
	for i := 1; i <= 9; i++ {
		r := timed(i, moment(i)+`"`+ident.Hash(fmt.Sprint(i))+`"`+moment(i+1))
		for n := range map[int]int{5: 60_000, 6: wire.MaxFrameHistory - 60_000 + 1}[i] { // the former too few to fill the frame
			r.History[fmt.Sprintf("%032x", n+1)] = 1
		}
		want = append(want, r)
		switch err := w.Record(r); {
		case i != 6 && err != nil, i == 6 && !errors.Is(err, wire.ErrTooLarge):
			t.Fatal(i, err)
		case i == 6:
			if err := errors.Join(w.Reach("5"), w.Record(r)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Reach("9"), w.End(wire.StreamEnd{})); err != nil {
		t.Fatal(err)
	}
	got, err := readStream(&out)
	if diff := cmp.Diff(want, got.Records); err != nil || diff != "" || got.Reached[0].Records != 5 {
		t.Fatalf("%v (-want +got): %.2000s", err, diff)
	}
}

// momentFrame is a frame of one record with this text, whose bytes that stand for moments stand for these.
func momentFrame(text string, numbers ...int64) []byte {
	b := cut([]uint64{0}, text+"\x06")
	for _, n := range numbers {
		b.holes = append(b.holes, []uint64{uint64(n)})
	}
	return b.frame()
}

// Columns have moments that have a text, as many as are asked for; everything else is refused.
func TestMomentsOfOthers(t *testing.T) {
	const first, last = -62135596800000000, 253402300799999999
	head := []byte(`H{"profile":"p"}`)
	for want, frame := range map[string][]byte{
		"1970-01-01 00:00:00.000000":                        momentFrame("\x08", 0),
		"0001-01-01 00:00:00.000000":                        momentFrame("\x08", first),
		"9999-12-31T23:59:59.9999990001-01-01T00:00:00":     momentFrame("\x0b0001-01-01T00:00:00", last),
		"9999-12-31 23:59:59.9999990001-01-01T00:00:00.000": momentFrame("\x08\x0c", last, first-last),
		"1969-12-31T23:59:59.999999":                        momentFrame("\x0b", -1),
	} {
		r, err := wire.NewFrameReader(bytes.NewReader(rawStream(head, frame)))
		if err != nil {
			t.Fatal(err)
		}
		if f, err := r.Next(); err != nil || len(f.Records) != 1 || f.Records[0].Serialized != want {
			t.Errorf("%s: %v, %v", want, f.Records, err)
		}
	}
	for name, frame := range map[string][]byte{
		"too early": momentFrame("\x08", first-1), "too late": momentFrame("\x08", last+1), "too late after another": momentFrame("\x08\x08", last, 1),
		"too early after another": momentFrame("\x0b\x0b", first, -1), "far too late": momentFrame("\x08\x08", last, 1<<63-1),
		"far too early": momentFrame("\x08\x08", first, -1<<63), "too exact": momentFrame("\x0c", 1), "none": momentFrame("\x08"),
		"too few": momentFrame("\x08\x08", 1), "too many": momentFrame("\x08", 1, 1), "of another kind": momentFrame("\x09", 1), "after the end": momentFrame("\x06\x08", 1),
	} {
		r, err := wire.NewFrameReader(bytes.NewReader(rawStream(head, frame)))
		if err != nil {
			t.Fatal(err)
		}
		var format *wire.FormatError
		if f, err := r.Next(); !errors.As(err, &format) || len(f.Records) > 0 {
			t.Errorf("%s: %v, %v", name, f.Records, err)
		}
	}
}
