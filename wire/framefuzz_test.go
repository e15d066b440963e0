package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/wire"
)

// rawStream puts payloads into frames, as the description of the format says.
func rawStream(frames ...[]byte) []byte {
	const magic = "MORANGO\x01"
	table := crc32.MakeTable(crc32.Castagnoli)
	out, crc := []byte(magic), crc32.Checksum([]byte(magic), table)
	for _, f := range frames {
		head := binary.AppendUvarint(f[:1:1], uint64(len(f)-1))
		crc = crc32.Update(crc32.Update(crc, table, head), table, f[1:])
		out = binary.BigEndian.AppendUint32(append(append(out, head...), f[1:]...), crc)
	}
	return out
}

// rewritten writes again what was read, and reads that.
func rewritten(t *testing.T, s streamed) {
	t.Helper()
	again, err := readStream(bytes.NewReader(writeStream(t, s)))
	if diff := cmp.Diff(s, again); err != nil || diff != "" {
		t.Fatalf("%v (-want +got): %s", err, diff)
	}
}

// Whatever a frame of records holds, it is read within bounds; what is read is written
// and read again the same.
func FuzzStreamRecords(f *testing.F) {
	kept, err := os.ReadFile(filepath.Join("testdata", "stream-1.bin"))
	if err != nil {
		f.Fatal(err)
	}
	r, err := wire.NewFrameReader(bytes.NewReader(kept))
	if err != nil {
		f.Fatal(err)
	}
	whole, err := r.Next()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{0})
	for i := range whole.Records { // each alone, in the frame that the writer makes
		var out bytes.Buffer
		w, err := wire.NewFrameWriter(&out, wire.StreamHeader{})
		if err == nil {
			err = w.Record(whole.Records[i])
		}
		start := out.Len()
		if err := errors.Join(err, w.Reach("1")); err != nil {
			f.Fatal(err)
		}
		frame := out.Bytes()[start:]
		_, n := binary.Uvarint(frame[1:])
		f.Add(frame[1+n : len(frame)-4])
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		header := []byte(`H{"transfer_session":"","instance":"","profile":"p","filter":"","claim":"","after":"","records":0}`)
		from := bytes.NewReader(rawStream(header, append([]byte{'R'}, payload...)))
		s, err := readStream(from)
		if len(s.Records) > wire.MaxFrameRecords {
			t.Fatalf("%d records", len(s.Records))
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) || len(s.Records) == 0 {
			if err == nil || len(s.Records) > 0 {
				t.Fatalf("%d records: %v", len(s.Records), err)
			}
			return
		}
		s.End.After, s.End.Records = wire.CursorEnd, int64(len(s.Records))
		rewritten(t, s)
	})
}

// Whatever texts records have, the same are read.
func FuzzStreamTexts(f *testing.F) {
	for _, s := range []string{"", "{}", `"2026-03-06 04:29:25.571260(UTC)", "2026-03-06T04:29:25.571261Z"`, `"2026-02-29 04:29:25.571260"`,
		`[{\"timestamp\": \"2026-03-05T23:59:59.999Z\"}]`, `"0001-01-01 00:00:00.000000" "9999-12-31T23:59:59.999999"`, "\"\x06\x07\x08\"",
		`"` + instanceA + `" "` + instanceA + `"`, `"2024-02-29T24:00:00.000Z" "2026-13-01 00:00:00.000000" "2016-12-31 23:59:60.000000"`} {
		f.Add(s, s+s, "ds:"+s)
	}
	f.Fuzz(func(t *testing.T, text, conflicting, partition string) {
		one, other := timed(1, text), timed(2, conflicting+text)
		one.Partition, one.Conflicting = partition, conflicting
		other.SourceID, other.SelfRef = text, one.ID
		rewritten(t, framed(streamed{Header: wire.StreamHeader{Profile: "p"}, Records: []record.Record{one, other}}))
	})
}

// Whatever comes as a stream, it is read within bounds, and read to its end it can be
// written again.
func FuzzStream(f *testing.F) {
	kept, err := os.ReadFile(filepath.Join("testdata", "stream-1.bin"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(kept)
	f.Add(rawStream([]byte("H{}"), []byte(`E{"after":"z","records":0}`)))
	f.Add(rawStream([]byte("H{}"), []byte("zwhat nobody knows"), []byte(`p[]`), []byte(`M{"after":"","records":0}`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := readStream(bytes.NewReader(text)); err == nil {
			rewritten(t, s)
		}
	})
}

// Whatever comes compressed, it is read or it is refused.
func FuzzDecompress(f *testing.F) {
	var packed bytes.Buffer
	zip, err := wire.Compress(&packed)
	if err == nil {
		_, err = zip.Write(bytes.Repeat([]byte("MORANGO"), 1000))
	}
	if err := errors.Join(err, zip.Close()); err != nil {
		f.Fatal(err)
	}
	f.Add(packed.Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		unzip, err := wire.Decompress(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		defer unzip.Close()
		var format *wire.FormatError
		_, err = io.CopyN(io.Discard, unzip, 1<<20)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.As(err, &format) {
			t.Fatal(err)
		}
	})
}

// Frames that break a rule are refused, though they are whole.
func TestBadFrames(t *testing.T) {
	head, end := []byte("H{}"), []byte(`E{"after":"z","records":0}`)
	id := func(c byte) string { return string(bytes.Repeat([]byte{c}, 16)) }
	for name, frames := range map[string][][]byte{
		"no header":                {end},
		"two headers":              {head, head, end},
		"a kind that nobody knows": {head, []byte("X"), end},
		"a header that is no JSON": {[]byte("H"), end},
		"a number of records":      {head, []byte("R\x011\x00\x05"), end},
		"bytes after a record":     {head, []byte("R\x011\x00\x00x"), end},
		"a wrong count":            {head, []byte(`E{"after":"z","records":1}`)},
		"a word that is none":      {head, []byte("R\x011\x10" + id(1) + "\x01\x04\x07"), end},
		"an id too few":            {head, []byte("R\x011\x10" + id(1) + "\x01\x44"), end},
		"a part of an id":          {head, []byte("R\x011\x0f" + id(1)[1:] + "\x01\x44"), end},
		"a section too long":       {head, []byte("R\x011\x11" + id(1)), end},
		"an id too many":           {head, []byte("R\x011\x10" + id(1) + "\x00"), end},
		"a number without end":     {head, []byte("R\x011\x10" + id(1) + "\x01\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), end},
		"something after the end":  {head, end, []byte("z")},
	} {
		var format *wire.FormatError
		if s, err := readStream(bytes.NewReader(rawStream(frames...))); !errors.As(err, &format) || len(s.Records) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := rawStream(head)
	for name, text := range map[string][]byte{
		"a frame without end":  append(long[:len(long):len(long)], "R\xff\xff\xff\xff\x0f"...),
		"a header without end": []byte("MORANGO\x01H\xff\xff\xff\xff\x0f"),
		"a counter too high":   rawStream(head, []byte("R\x011\x20"+id(1)+id(2)+"\x01\x04\x00\x00\x00\x00\x00\x00\x80\x80\x80\x80\x08"), end),
		"too many records":     rawStream(head, []byte("R\x011\x00\xff\xff\x03"), end),
	} {
		_, err := readStream(bytes.NewReader(text))
		var format *wire.FormatError
		if !errors.Is(err, wire.ErrTooLarge) && !errors.As(err, &format) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A text that stands for a longer one is not made longer than a frame may be.
func TestCutTextsAreBounded(t *testing.T) {
	const partition, times = 1 << 16, 2000 // 2000 bytes that stand for 128 MiB
	payload := []byte("R\x011\x20" + string(make([]byte, 32)) + "\x01\x84\x00\x00\x00")
	payload = append(binary.AppendUvarint(payload, partition), bytes.Repeat([]byte{'p'}, partition)...)
	payload = append(payload, "\x00\x00\x01"...) // source id, a new instance, its counter
	payload = append(binary.AppendUvarint(payload, times), bytes.Repeat([]byte{2}, times)...)
	if _, err := readStream(bytes.NewReader(rawStream([]byte("H{}"), payload))); !errors.Is(err, wire.ErrTooLarge) {
		t.Error(err)
	}
}
