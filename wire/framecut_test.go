package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/record"
)

// A column of numbers is read as it was written, and after it nothing is left.
func TestColumns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		near := rapid.Uint64Range(0, 300)
		from := rapid.Uint64().Draw(t, "from")
		number := rapid.OneOf(rapid.Uint64(), near, rapid.Map(near, func(n uint64) uint64 { return from + n }))
		if rapid.Bool().Draw(t, "rising") {
			step := near.Draw(t, "step")
			number = rapid.Custom(func(t *rapid.T) uint64 {
				from += step + rapid.Uint64Range(0, 3).Draw(t, "more")
				return from
			})
		}
		want := rapid.SliceOfN(number, 1, 600).Draw(t, "numbers")
		var c columns
		c.number(slices.Clone(want))
		r := columnReader{heads: c.heads, planes: c.planes, random: c.random}
		got := make([]uint64, len(want))
		r.number(got)
		if r.err != nil || !slices.Equal(got, want) || len(r.heads)+len(r.planes)+len(r.random) > 0 {
			t.Fatalf("%v is read as %v, %v", want, got, r.err)
		}
	})
}

// Numbers that are alike take next to nothing, and bytes that are random stand where these belong.
func TestColumnsAreShort(t *testing.T) {
	same, rising, random, pairs := make([]uint64, 500), make([]uint64, 500), make([]uint64, 500), make([]uint64, 500)
	source := rand.New(rand.NewPCG(1, 2))
	for i := range same {
		same[i], rising[i], random[i], pairs[i] = 1<<40, uint64(7*i), source.Uint64N(1<<16), uint64(i%2)<<8|3
	}
	for _, test := range []struct {
		values                []uint64
		heads, planes, random int
	}{{same, 7, 0, 0}, {rising, 3, 0, 0}, {random, 4, 0, 1000}, {pairs, 4, 1000, 0}} {
		var c columns
		c.number(slices.Clone(test.values))
		if len(c.heads) > test.heads || len(c.planes) > test.planes || len(c.random) != test.random {
			t.Errorf("%v...: %d, %d, %d", test.values[:5], len(c.heads), len(c.planes), len(c.random))
		}
	}
}

// What is read as a number is written the same, whatever it is.
func TestNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`-?[0-9]{0,20}(\.[0-9]{0,20})?(e-?[0-9]{1,3})?`),
			rapid.Map(rapid.Float64(), func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }),
			rapid.Map(rapid.Float64(), func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }),
			rapid.Map(rapid.Int64(), func(n int64) string { return strconv.FormatInt(n, 10) })).Draw(t, "text")
		n, ok := whole([]byte(text))
		if v, err := strconv.ParseInt(text, 10, 64); ok && (err != nil || v != n || strconv.FormatInt(n, 10) != text) ||
			!ok && err == nil && len(text) <= 18 && strconv.FormatInt(v, 10) == text {
			t.Fatalf("%s is read as %d, %t", text, n, ok)
		}
		bits, ok := exactFloat([]byte(text))
		if !ok {
			return
		}
		d := recordDecoder{left: MaxFrame}
		if got := d.fillFloat(nil, math.Float64frombits(bits)); string(got) != text || d.err != nil {
			t.Fatalf("%s is written as %s: %v", text, got, d.err)
		}
	})
	for _, text := range []string{"12.345678901234567", "-0.12345678901", "255.34720967804688", "100000000000.5"} {
		if _, ok := exactFloat([]byte(text)); !ok {
			t.Errorf("%s stays a text", text)
		}
	}
	for _, text := range []string{"12.340000000000", "0.1000000000000000055511151231257827", "1e-7", "0000000000012.5", "1.0", "0.000000000000", "1234567890123456789012"} {
		if _, ok := exactFloat([]byte(text)); ok {
			t.Errorf("%s does not", text)
		}
	}
}

// hasMark looks at each byte.
func TestHasMark(t *testing.T) {
	for n := range 40 {
		text := bytes.Repeat([]byte{'x'}, n)
		for i := range text {
			for c := range 256 {
				if text[i] = byte(c); hasMark(string(text)) != isMark(byte(c)) {
					t.Fatalf("%q", text)
				}
			}
			text[i] = "x\n\t\r\xff"[i%5]
		}
	}
	for _, c := range []byte{0, 9, 10, 13, 17} {
		if isMark(c) {
			t.Errorf("%d stands for something; it is in many texts", c)
		}
	}
}

// drawValue draws a value as JSON has it.
func drawValue(t *rapid.T, depth int) any {
	id := strings.Repeat("0123456789abcdef", 2)
	simple := []any{nil, true, false, "", "12", "012", "2026-03-06 04:29:25.571260(UTC)", "2026-03-06T04:29:25.571Z", id, id + ":x", "ds:" + id, "a \"quoted\" \\ text\n", "ü", 1.0, 0, -5,
		json.Number("1.0"), json.Number("12.345678901234567"), json.Number("-0"), json.Number("1e-07"), json.Number("0.50"), json.Number("123456789012345678901")}
	switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
	case kind == 0 && depth > 0:
		list := make([]any, rapid.IntRange(0, 3).Draw(t, "items"))
		for i := range list {
			list[i] = drawValue(t, depth-1)
		}
		return list
	case kind <= 3 && depth > 0:
		object := map[string]any{}
		for range rapid.IntRange(0, 4).Draw(t, "members") {
			object[rapid.SampledFrom([]string{"a", "b", "answer", "id", "true"}).Draw(t, "name")] = drawValue(t, depth-1)
		}
		return object
	case kind == 4 && depth > 0:
		text, err := json.Marshal(drawValue(t, depth-1))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	default:
		return rapid.SampledFrom(simple).Draw(t, "value")
	}
}

// JSON of any form, as Python and as others write it, and what is nearly JSON, is put together as it was.
func TestTextsOfJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, d := newRecordEncoder(), recordDecoder{}
		for range 3 {
			e.beginFrame()
			var want []string
			for i := range rapid.IntRange(1, 8).Draw(t, "records") {
				text, err := json.Marshal(drawValue(t, 3))
				if err != nil {
					t.Fatal(err)
				}
				if rapid.Bool().Draw(t, "spaces") {
					text = bytes.ReplaceAll(bytes.ReplaceAll(text, []byte(`":`), []byte(`": `)), []byte(`,`), []byte(`, `))
				}
				text = text[:len(text)-min(len(text), rapid.IntRange(0, 4).Draw(t, "cut off"))]
				want = append(want, string(text))
				if _, err := e.add(numbered(i, string(text))); err != nil {
					t.Fatal(err)
				}
			}
			parts := e.flush("1")
			got, _, err := d.decode(slices.Concat(parts[:]...))
			if err != nil || len(got) != len(want) {
				t.Fatalf("%d records, %v", len(got), err)
			}
			for i := range got {
				if got[i].Serialized != want[i] {
					t.Fatalf("%s is read as %s", want[i], got[i].Serialized)
				}
			}
		}
	})
}

// numbered is a record with a text.
func numbered(n int, text string) record.Record {
	id := ident.Hash(strconv.Itoa(n))
	return record.Record{ID: id, Model: "log", Partition: "ds:user-rw:" + id, SourceID: id + ":1", Serialized: text,
		Version: counter.Version{Instance: id, Counter: 1}, History: counter.Counters{id: 1}}
}

// framesOf writes frames of such texts, and reads them again. It returns their bytes.
func framesOf(t *testing.T, e *recordEncoder, d *recordDecoder, texts ...string) int {
	t.Helper()
	e.beginFrame()
	for i, text := range texts {
		if _, err := e.add(numbered(i, text)); err != nil {
			t.Fatal(err)
		}
	}
	parts := e.flush("1")
	payload := slices.Concat(parts[:]...)
	got, _, err := d.decode(payload)
	if err != nil || len(got) != len(texts) {
		t.Fatalf("%d records, %v", len(got), err)
	}
	for i := range got {
		if got[i].Serialized != texts[i] {
			t.Fatalf("text %d is read as another", i)
		}
	}
	return len(payload)
}

// Texts that differ in their values alone are one segment, and lists of whatever length are made of a few.
func TestSegmentsAreFew(t *testing.T) {
	e, d := newRecordEncoder(), recordDecoder{}
	var texts []string
	for i := range 400 {
		item := fmt.Sprintf(`{\"type\": \"answer\", \"correct\": %d.0, \"at\": \"2026-03-06T04:29:25.%03dZ\", \"n\": \"%d\"}`, i%2, i, i)
		texts = append(texts, fmt.Sprintf(`{"a": %d, "b": %t, "c": "name %d", "d": [], "e": 0.%017d, "list": "[%s]", "id": "%s"}`,
			i, i%3 == 0, i, i*1e12+123456789, strings.Repeat(item+", ", i%5+1)+item, ident.Hash("some", strconv.Itoa(i%7))))
	}
	if framesOf(t, &e, &d, texts...); len(e.segments.order) > 9 {
		t.Errorf("%d segments: %+v", len(e.segments.order), e.segments.order)
	}
	if first, again := framesOf(t, &e, &d, texts[:1]...), framesOf(t, &e, &d, texts[:1]...); again > 250 || again > first {
		t.Errorf("one record takes %d bytes, then %d", first, again)
	}
}

// Long texts, texts with many values and very many different ones are put together as they were, and what
// is known of them stays little.
func TestSegmentsAreBounded(t *testing.T) {
	e, d := newRecordEncoder(), recordDecoder{}
	full := 0
	for n := range 40 {
		var texts []string
		for i := range 100 {
			texts = append(texts, fmt.Sprintf(`{"%s": 1, "other%d": [%s"x"], %s}`, strings.Repeat(strconv.Itoa(n*100+i), 20), i, strings.Repeat(`{"a": 1}, `, i), strings.Repeat(`"a": 1, `, i)))
		}
		before := len(e.segments.order)
		if framesOf(t, &e, &d, texts...); len(e.segments.order) < before {
			full++
		}
		if e.segments.size != d.size || d.size > maxSegments || len(d.segments) != len(e.segments.order) || len(d.segments) > MaxWords {
			t.Fatalf("%d segments of %d bytes, %d of %d", len(e.segments.order), e.segments.size, len(d.segments), d.size)
		}
	}
	if full == 0 {
		t.Error("the table was never full")
	}
	for _, s := range e.segments.order {
		if len(s.text) > maxSegment || len(s.holes) > maxHoles {
			t.Errorf("%q has %d holes", s.text, len(s.holes))
		}
	}
	members := strings.Repeat(`"a": 1, `, MaxFrameHoles/2)
	framesOf(t, &e, &d, "{"+members+"}", "["+strings.Repeat(`{"b": 2.5}, `, MaxFrameSegments)+"]", "{"+members+members+"}", strings.Repeat("x", 1<<20))
	if cap(e.text) > 4<<20 || cap(d.text) > 4<<20 {
		t.Errorf("%d and %d bytes are kept", cap(e.text), cap(d.text))
	}
}
