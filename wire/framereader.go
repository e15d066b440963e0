package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/morango-go/morango/record"
)

// Frame is what one frame of a stream holds: records and the cursor that is reached with them,
// or records that did not travel, or the end.
type Frame struct {
	Records []record.Record
	After   string // "" where it is no frame of records
	LeftOut []LeftOut
	End     *StreamEnd
}

// FrameReader reads a stream. Make it with NewFrameReader. What it returns is of the
// right form, and nothing more: see record.Check.
type FrameReader struct {
	from    *source
	in      *bufio.Reader
	crc     uint32
	header  StreamHeader
	records int64
	last    string // cursor that was reached last
	decoder recordDecoder
	payload []byte
	seen    map[string]struct{} // ids of the frame
	ended   bool
}

// NewFrameReader reads the beginning of a stream. Errors are *FormatError, ErrTooLarge,
// or what the reader below says; a stream that ends too early is io.ErrUnexpectedEOF.
func NewFrameReader(from io.Reader) (*FrameReader, error) {
	below := &source{from: from}
	r := &FrameReader{from: below, seen: map[string]struct{}{}, in: bufio.NewReaderSize(below, 32<<10), crc: crc32.Checksum([]byte(magic), castagnoli)}
	start := make([]byte, len(magic))
	if _, err := io.ReadFull(r.in, start); err != nil {
		return nil, r.broken(err)
	}
	if string(start) != magic {
		return nil, malformed("it does not begin as a stream of version 1")
	}
	kind, err := r.frame()
	if err != nil {
		return nil, err
	}
	if kind != kindHeader {
		return nil, malformed("it has no header")
	}
	if err := unmarshal(r.payload, &r.header); err != nil {
		return nil, malformed("header: %v", err)
	}
	if h := r.header; !ValidCursor(h.After) {
		return nil, malformed("header: %.40q is no cursor", h.After)
	}
	r.last = r.header.After
	r.decoder.profile = r.header.Profile
	return r, nil
}

// Header is what the stream holds.
func (r *FrameReader) Header() StreamHeader { return r.header }

// Next reads the next frame, io.EOF after the last. A frame is given out only when it has
// come whole. Errors are as those of NewFrameReader, and ErrOrder.
func (r *FrameReader) Next() (Frame, error) {
	for {
		if r.ended {
			return Frame{}, r.nothingMore()
		}
		kind, err := r.frame()
		if err != nil {
			return Frame{}, err
		}
		switch {
		case kind == kindRecords:
			return r.readRecords()
		case kind == kindProblems:
			list, err := r.readLeftOut()
			return Frame{LeftOut: list}, err
		case kind == kindMore, kind == kindEnd:
			end, err := r.readEnd(kind == kindMore)
			return Frame{End: end}, err
		case kind < 'a' || kind > 'z':
			return Frame{}, malformed("frame of the unknown kind %q", kind)
		}
	}
}

// frame reads a frame's payload and checks it.
func (r *FrameReader) frame() (kind byte, err error) {
	if kind, err = r.in.ReadByte(); err != nil {
		return 0, r.broken(err)
	}
	length, err := binary.ReadUvarint(r.in)
	if err != nil {
		return 0, r.broken(err)
	}
	limit := uint64(maxHeader)
	if kind == kindRecords {
		limit = MaxFrame
	}
	if length > limit {
		return 0, fmt.Errorf("%w: a frame of %d bytes", ErrTooLarge, length)
	}
	if err := r.read(int(length)); err != nil {
		return 0, err
	}
	r.crc = crc32.Update(r.crc, castagnoli, binary.AppendUvarint([]byte{kind}, length))
	r.crc = crc32.Update(r.crc, castagnoli, r.payload)
	var sum [4]byte
	if _, err := io.ReadFull(r.in, sum[:]); err != nil {
		return 0, r.broken(err)
	}
	if binary.BigEndian.Uint32(sum[:]) != r.crc {
		return 0, malformed("a frame is damaged, or one before it is missing")
	}
	return kind, nil
}

// read reads the payload. Room is made as it comes, for the length is only a promise.
func (r *FrameReader) read(length int) error {
	const step = 1 << 20
	if cap(r.payload) > 2*step && length <= step {
		r.payload = nil
	}
	r.payload = r.payload[:0]
	for len(r.payload) < length {
		n := min(length-len(r.payload), step)
		start := len(r.payload)
		r.payload = append(r.payload, make([]byte, n)...)
		if _, err := io.ReadFull(r.in, r.payload[start:]); err != nil {
			return r.broken(err)
		}
	}
	return nil
}

func (r *FrameReader) readRecords() (Frame, error) {
	records, cursor, err := r.decoder.decode(r.payload)
	switch {
	case err != nil:
		return Frame{}, err
	case !ValidCursor(cursor) || cursor == CursorEnd:
		return Frame{}, malformed("records up to %.40q, which is no cursor", cursor)
	case cursor <= r.last:
		return Frame{}, fmt.Errorf("records up to %q after %q: %w", cursor, r.last, ErrOrder)
	}
	clear(r.seen)
	for i := range records {
		r.seen[records[i].ID] = struct{}{}
	}
	if len(r.seen) < len(records) {
		return Frame{}, malformed("a record twice in one frame")
	}
	r.last = cursor
	r.records += int64(len(records))
	return Frame{Records: records, After: cursor}, nil
}

func (r *FrameReader) readLeftOut() ([]LeftOut, error) {
	var list []LeftOut
	if err := unmarshal(r.payload, &list); err != nil {
		return nil, malformed("problems: %v", err)
	}
	if len(list) > MaxLeftOut {
		return nil, fmt.Errorf("%w: a frame with %d problems", ErrTooLarge, len(list))
	}
	return list, nil
}

func (r *FrameReader) readEnd(more bool) (*StreamEnd, error) {
	end := &StreamEnd{More: more}
	if err := unmarshal(r.payload, end); err != nil {
		return nil, malformed("end: %v", err)
	}
	if end.Records != r.records {
		return nil, malformed("%d records came, it says that there were %d", r.records, end.Records)
	}
	if !ValidCursor(end.After) || end.After < r.last || more == (end.After == CursorEnd) {
		return nil, malformed("it ends at %.40q", end.After)
	}
	r.ended = true
	return end, nil
}

// nothingMore makes sure that the stream ends where it says.
func (r *FrameReader) nothingMore() error {
	switch _, err := r.in.ReadByte(); {
	case err == nil:
		return malformed("it goes on after its end")
	case errors.Is(err, io.EOF):
		return io.EOF
	default:
		return r.broken(err)
	}
}

// broken is the error of a stream that cannot be read on.
func (r *FrameReader) broken(err error) error {
	var format *FormatError
	switch {
	case errors.As(r.from.err, &format):
		return r.from.err
	case r.from.err != nil:
		return fmt.Errorf("read a stream: %w", r.from.err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("read a stream: %w", io.ErrUnexpectedEOF)
	default: // a number that does not end
		return malformed("%v", err)
	}
}
