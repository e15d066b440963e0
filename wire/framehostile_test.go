package wire_test

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/morango-go/morango/wire"
)

// one is a frame of one record that is right. Its text is of three segments, of which the second is there
// twice, and has a hole of nearly each kind.
func one() *builder {
	b := cut([]uint64{0, 1, 1, 2}, "a \x07\x0e", "\x0f ", "\x08\x06")
	b.random = append(b.random, strings.Repeat("x", 16)...)
	b.holes = [][]uint64{{1}, {12}, {math.Float64bits(1.5), math.Float64bits(-0.25)}, {0}}
	return b
}

// ofTexts is another whose hole is for a text, with a column of that.
func ofTexts(column, texts string) *builder {
	b := cut([]uint64{0, 0, 1}, "\x10", "\x06")
	n := bytes.IndexByte(b.texts, 0) // the model's, which comes last
	b.heads, b.texts = []byte(column), append(b.texts[:n:n], texts...)
	return b
}

func readFrame(b *builder) (streamed, error) {
	header, end := []byte(`H{"profile":"p"}`), []byte(`E{"after":"z","records":1}`)
	return readStream(bytes.NewReader(rawStream(header, b.frame(), end)))
}

// What the builder makes is read, so that what follows is refused for what is changed in it.
func TestBuiltFrames(t *testing.T) {
	for want, b := range map[string]*builder{
		"a " + strings.Repeat("78", 16) + "121.5 -0.25 1970-01-01 00:00:00.000000": one(),
		"onetwo": ofTexts("\x00\x00\x06", "onetwo\x00"), "oneone": ofTexts("\x01\x03", "one\x00"),
		"": plain("1", false, strings.Repeat("r", 16)),
	} {
		s, err := readFrame(b)
		if err != nil || len(s.Records) != 1 || s.Records[0].Serialized != want || s.Records[0].ID != strings.Repeat("72", 16) {
			t.Errorf("%q: %+v, %v", want, s.Records, err)
		}
	}
}

// badColumns change a frame so that its segments or columns are wrong.
func badColumns() map[string]func(b *builder) {
	return map[string]func(b *builder){
		"a head more":          func(b *builder) { b.heads = []byte{0} },
		"a byte more":          func(b *builder) { b.planes = []byte{0} },
		"a text more":          func(b *builder) { b.texts = append(b.texts, 0) },
		"an id more":           func(b *builder) { b.random = append(b.random, b.random...) },
		"a byte of an id more": func(b *builder) { b.random = append(b.random, 0) },
		"a byte of an id less": func(b *builder) { b.random = b.random[1:] },
		"a text less":          func(b *builder) { b.texts = b.texts[:len(b.texts)-1] },
		"a column less":        func(b *builder) { b.holes = b.holes[1:] },
		"a column more":        func(b *builder) { b.holes = append(b.holes, []uint64{0}) },
		"a column too long":    func(b *builder) { b.holes[0] = []uint64{1, 2} },
		"a column cut off":     func(b *builder) { b.holes[3], b.heads = nil, []byte{72, 0} },
		"a form of none":       func(b *builder) { b.holes[3], b.heads = nil, []byte{162, 0} },
		"random bytes too many": func(b *builder) {
			b.holes[3], b.heads, b.random = nil, []byte{9*1 + 2, 0}, append([]byte{1}, b.random...)
		},
		"the same as itself":   func(b *builder) { b.holes[3], b.heads = nil, []byte{255, 0} },
		"the same as none":     func(b *builder) { b.holes[3], b.heads = nil, []byte{255} },
		"a number cut off":     func(b *builder) { b.holes[3], b.heads = nil, []byte{0, 0x80} },
		"a segment of none":    func(b *builder) { b.segments[0] = 0 },
		"a segment too far":    func(b *builder) { b.segments[0] = 2 },
		"a segment in no text": func(b *builder) { b.segments = append(b.segments, 4) },
		"a part of none":       func(b *builder) { b.lists[parts][3] = 4 },
		"a part more":          func(b *builder) { b.lists[parts] = append(b.lists[parts], 3) },
		"no last part":         func(b *builder) { b.lists[parts] = b.lists[parts][:5] },
		"no part":              func(b *builder) { b.lists[parts] = nil },
	}
}

// badLists change a frame so that its lists are wrong, or what they mean.
func badLists() map[string]func(b *builder) {
	return map[string]func(b *builder){
		"a flag of none":       func(b *builder) { b.lists[flags][0] |= 256 },
		"flags for two":        func(b *builder) { b.lists[flags] = []uint64{132, 132} },
		"no model":             func(b *builder) { b.lists[models] = nil },
		"two models":           func(b *builder) { b.lists[models] = []uint64{1, 1} },
		"a model of none":      func(b *builder) { b.lists[models][0] = 0 },
		"a model too far":      func(b *builder) { b.lists[models][0] = 2 },
		"a partition too far":  func(b *builder) { b.lists[partitions][0] = 2 },
		"an instance too far":  func(b *builder) { b.lists[instances][0] = 2 },
		"an instance of none":  func(b *builder) { b.lists[instances][0] = 0 },
		"an id of none":        func(b *builder) { b.holes[0][0] = 0 },
		"an id too far":        func(b *builder) { b.holes[0][0] = math.MaxUint64 },
		"a counter too high":   func(b *builder) { b.lists[counters][0] = 1 << 31 },
		"a counter below zero": func(b *builder) { b.lists[counters][0] = math.MaxUint64 },
		"a self-reference":     func(b *builder) { b.lists[selves] = []uint64{1} },
		"no self-reference":    func(b *builder) { b.lists[flags][0] |= 8 },
		"no history":           func(b *builder) { b.lists[flags][0] |= 32 },
		"a history":            func(b *builder) { b.lists[entries] = []uint64{1} },
		"too short a history": func(b *builder) {
			b.lists[flags][0] |= 32
			b.lists[entries], b.lists[others], b.lists[at] = []uint64{2}, []uint64{1}, []uint64{1}
		},
		"no conflicting texts": func(b *builder) { b.lists[flags][0] |= 16 },
		"a text not cut":       func(b *builder) { b.lists[lengths] = []uint64{0} },
		"no text not cut":      func(b *builder) { b.lists[flags][0] = 4 },
		"infinity":             func(b *builder) { b.holes[2][0] = math.Float64bits(math.Inf(1)) },
		"no number":            func(b *builder) { b.holes[2][0] = math.Float64bits(math.NaN()) },
		"a huge number":        func(b *builder) { b.holes[2][0] = math.Float64bits(1e300) },
		"a tiny number":        func(b *builder) { b.holes[2][0] = math.Float64bits(-1e-300) },
		"a zero":               func(b *builder) { b.holes[2][0] = 0 },
	}
}

// Whatever is wrong in a frame, it is refused.
func TestBadRecords(t *testing.T) {
	for _, changes := range []map[string]func(b *builder){badColumns(), badLists()} {
		for name, change := range changes {
			b := one()
			change(b)
			var format *wire.FormatError
			if s, err := readFrame(b); !errors.As(err, &format) || len(s.Records) > 0 {
				t.Errorf("%s: %+v, %v", name, s.Records, err)
			}
		}
	}
}

// Frames that break a rule are refused, though they are whole.
func TestBadFrames(t *testing.T) {
	head, end := []byte("H{}"), []byte(`E{"after":"z","records":0}`)
	for name, frames := range map[string][][]byte{
		"no header":                {end},
		"two headers":              {head, head, end},
		"a kind that nobody knows": {head, []byte("X"), end},
		"a header that is no JSON": {[]byte("H"), end},
		"an empty frame":           {head, []byte("R")},
		"a cursor too long":        {head, []byte("R\x7f1")},
		"parts too long":           {head, []byte("R\x011\x05\x05\x05")},
		"a number without end":     {head, []byte("R\x011\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")},
		"a wrong count":            {head, []byte(`E{"after":"z","records":1}`)},
		"something after the end":  {head, end, []byte("z")},
	} {
		var format *wire.FormatError
		if s, err := readStream(bytes.NewReader(rawStream(frames...))); !errors.As(err, &format) || len(s.Records) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string]*builder{
		"a text of no form": ofTexts("\x02\x03", "one\x00"), "a text too long": ofTexts("\x01\x05", "one\x00"), "the same text": ofTexts("\xff\x00", "\x00"),
		"texts too long": ofTexts("\x00\x00\x0e", "onetwo\x00"), "texts of less than nothing": ofTexts("\x00\x00\x01", "onetwo\x00"),
		"after the end": cut([]uint64{0}, "\x06x"), "too long a segment": cut([]uint64{0}, strings.Repeat("x", 2048)+"\x06"),
	} {
		var format *wire.FormatError
		if s, err := readFrame(b); !errors.As(err, &format) || len(s.Records) > 0 {
			t.Errorf("%s: %+v, %v", name, s.Records, err)
		}
	}
}

// What is too large is refused, whatever it says that it is, and takes no more memory than what comes.
func TestLargeFrames(t *testing.T) {
	many := one()
	many.lists[flags] = times(wire.MaxFrameRecords+1, 132)
	histories := one()
	histories.lists[others] = times(wire.MaxFrameHistory+1, 1)
	pieces := one()
	pieces.lists[parts] = times(wire.MaxFrameSegments+1, 1)
	holes := cut(append(times(1<<16/32, 0), 1), strings.Repeat("\x0e", 33), "\x06")
	for name, frame := range map[string][]byte{
		"records": many.frame(), "entries": histories.frame(), "segments": pieces.frame(), "holes": holes.frame(),
		"random bytes": []byte("R\x011\xff\xff\xff\xff\x0f"), "heads": []byte("R\x011\x00\xff\xff\xff\xff\x0f"),
		"segments of one number": []byte("R\x011\x00\x05\x00\xff\xff\x7f\x00\x02"), "many segments of one number": []byte("R\x011\x00\x05\x00\x80\x80\x04\x00\x02"),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readStream(bytes.NewReader(rawStream([]byte("H{}"), frame)))
		runtime.ReadMemStats(&after)
		var format *wire.FormatError
		if !errors.Is(err, wire.ErrTooLarge) && (name != "many segments of one number" || !errors.As(err, &format)) {
			t.Errorf("%s: %v", name, err)
		}
		if taken := after.TotalAlloc - before.TotalAlloc; taken > uint64(3*len(frame)+8<<20) {
			t.Errorf("%s: %d bytes taken for %d", name, taken, len(frame))
		}
	}
	long := rawStream([]byte("H{}"))
	for name, text := range map[string][]byte{
		"a frame without end":  append(long[:len(long):len(long)], "R\xff\xff\xff\xff\x0f"...),
		"a header without end": []byte("MORANGO\x01H\xff\xff\xff\xff\x0f"),
	} {
		if _, err := readStream(bytes.NewReader(text)); !errors.Is(err, wire.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Little that stands for much is not made longer than the texts of a frame may be.
func TestTextsAreBounded(t *testing.T) {
	long := strings.Repeat("x", 2047)
	repeated := append(times(wire.MaxFrame/2000, 0), 1)
	texts := cut(repeated, "\x10", "\x06")
	n := len(texts.texts) - 1 // the model's length comes last
	texts.texts = append(append(texts.texts[:n:n], long...), 0)
	texts.heads = []byte{1, 0xff, 0x0f}
	moments := cut(slices.Concat(times(wire.MaxFrameHoles, 0), times(1, 1)), "\x08"+long[:1000], "\x06")
	moments.heads = []byte{0, 0}
	source := cut([]uint64{1}, long[:2000], strings.Repeat("\x03", 2047)+"\x06")
	for range 20 { // a source id of 40,000 bytes, 2,047 times
		source.lists[parts] = slices.Insert(source.lists[parts], 1, 0)
	}
	for name, b := range map[string]*builder{
		"a segment again and again": cut(repeated, long, "\x06"), "a text again and again": texts, "moments": moments, "source ids": source,
	} {
		if _, err := readFrame(b); !errors.Is(err, wire.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
