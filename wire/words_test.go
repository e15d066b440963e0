package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/wire"
)

// Where words of a kind have no number left, the next frame gives them anew: words that come
// again soon are short however many there were, and all are read as they were.
func TestWordsBeginAnew(t *testing.T) {
	const frames, each = 100, 500
	var out bytes.Buffer
	w, err := wire.NewFrameWriter(&out, wire.StreamHeader{Profile: "p"})
	if err != nil {
		t.Fatal(err)
	}
	var want []record.Record
	size := func(frame int, again bool) int {
		before := out.Len()
		for i := range each {
			n := frame*each + i
			if again {
				n -= each // the words of the frame before
			}
			r := timed(frame*each*2+i, `"`+ident.Hash(fmt.Sprint(n))+`"`)
			if again {
				r.ID = fmt.Sprintf("%032x", 1<<40+r.Version.Counter+int64(len(want)))
				r.SourceID = r.ID
			}
			r.Partition = fmt.Sprintf("ds:%d", n/10)
			if want = append(want, r); w.Record(r) != nil {
				t.Fatal(i)
			}
		}
		if err := w.Reach(fmt.Sprintf("%08d", len(want))); err != nil {
			t.Fatal(err)
		}
		return out.Len() - before
	}
	longer := 0
	for frame := 1; frame <= frames; frame++ {
		fresh, again := size(frame, false), size(frame+1, true)
		if again > fresh-each*12 { // an id with its number is shorter by more
			longer++
		}
	}
	if longer > 4 { // where the tables have just begun anew
		t.Errorf("%d frames of %d name again what was named in the one before", longer, frames)
	}
	if err := w.End(wire.StreamEnd{}); err != nil {
		t.Fatal(err)
	}
	got, err := readStream(&out)
	if diff := cmp.Diff(want, got.Records); err != nil || diff != "" {
		t.Fatalf("%v (-want +got): %.2000s", err, diff)
	}
}

// A number is of no use any more when the numbers are given anew.
func TestForgottenWords(t *testing.T) {
	frame := func(cursor string, from, to int) []byte { // of records of so many new models, or of the first
		var ids []string
		for n := from; n < to; n++ {
			ids = append(ids, fmt.Sprintf("%016d", n+1))
		}
		b := plain(cursor, from != 0, ids...)
		if b.texts = nil; from >= 0 {
			for i := range b.lists[models] {
				b.lists[models][i] = uint64(from + i + 1)
				b.text(fmt.Sprintf("%04d", from+i))
			}
		}
		return b.frame()
	}
	frames := [][]byte{[]byte("H{}")}
	for n := 0; n < wire.MaxWords; n += 256 {
		if left := len(frames); left > 1 { // there is room still
			known := append(frames[:left:left], frame("x", -1, 0))
			if s, err := readStream(bytes.NewReader(rawStream(known...))); len(s.Records) != n+1 || s.Records[n].Model != "0000" {
				t.Errorf("after %d models: %d records, %v", n, len(s.Records), err)
			}
		}
		frames = append(frames, frame(fmt.Sprintf("%04d", n), n, n+256))
	}
	frames = append(frames, frame("x", -1, 0))
	var format *wire.FormatError
	if s, err := readStream(bytes.NewReader(rawStream(frames...))); len(s.Records) != wire.MaxWords || !errors.As(err, &format) {
		t.Errorf("after all: %d records, %v", len(s.Records), err)
	}
}
