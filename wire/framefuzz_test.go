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
	for _, b := range []*builder{one(), ofTexts("\x00\x00\x06", "onetwo\x00"), ofTexts("\x01\x03", "one\x00"), plain("1", false, "an id of 16 byte")} {
		f.Add(b.frame()[1:])
	}
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
		`[{\"timestamp\": \"2026-03-05T23:59:59.999Z\"}]`, `"0001-01-01 00:00:00.000000" "9999-12-31T23:59:59.999999"`, "\"\x06\x07\x08\x0b\x0c\x0e\x0f\x10\"",
		`{"a": 12.345678901234567, "b":-0.00012345678901234, "c": [1, 2.50, 1e-07], "d": true, "e": "12", "f": "012", "g": "", "h": null, "i": "ü\u00fc\""}`,
		`[{"a": 1}, {"a": 2}, {"a": "[{\"b\": 3.0},{\"b\": \"x\"}]"}]` + "\n" + `{"a": -0}` + "\n", `{"a": -9223372036854775808, "b": 999999999999999999, "c": 1.0`,
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
