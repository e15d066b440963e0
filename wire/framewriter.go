package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/morango-go/morango/record"
)

// FrameWriter writes a stream. Make it with NewFrameWriter and end it with End. After an
// error it is of no use, but for ErrUnencodable and ErrTooLarge of a record.
type FrameWriter struct {
	to      io.Writer
	crc     uint32
	records int64
	last    string // cursor that was reached last
	encoder recordEncoder
	count   int // of the records in the frame that is being filled
	history int // entries of their histories
	weight  int
}

// NewFrameWriter begins a stream.
func NewFrameWriter(to io.Writer, h StreamHeader) (*FrameWriter, error) {
	w := &FrameWriter{to: to, encoder: newRecordEncoder(), crc: crc32.Checksum([]byte(magic), castagnoli), last: h.After}
	if _, err := io.WriteString(to, magic); err != nil {
		return nil, fmt.Errorf("begin a stream: %w", err)
	}
	return w, w.json(kindHeader, h)
}

// Record adds a record to the frame that the next call of Reach or End writes. A record that
// cannot travel is ErrUnencodable, and left out. ErrTooLarge when it does not fit
// into the frame with the others: of at most MaxFrameRecords, MaxFrame/4 bytes of texts before the
// last of them, and MaxFrameHistory entries of histories all fit.
func (w *FrameWriter) Record(r record.Record) error {
	if w.count == 0 {
		w.encoder.beginFrame()
	}
	before := w.encoder.mark()
	entries, err := w.encoder.add(r)
	if err == nil && entries > MaxFrameHistory {
		err = fmt.Errorf("record %s: %w: its history has %d entries", r.ID, ErrUnencodable, entries)
	}
	if err != nil {
		w.encoder.reset(before)
		return err
	}
	if w.count == MaxFrameRecords || w.weight+weight(r) > MaxFrame*3/4 || w.history+entries > MaxFrameHistory {
		w.encoder.reset(before)
		return fmt.Errorf("%w: record %s does not fit into a frame with %d others", ErrTooLarge, r.ID, w.count)
	}
	w.count++
	w.history += entries
	w.weight += weight(r)
	return nil
}

// Reach writes a frame of the records since the last, if there are any: with these everything
// up to a cursor has travelled. It must be greater than the one before, where there are records, and
// less than CursorEnd (ErrOrder).
func (w *FrameWriter) Reach(after string) error {
	if w.count == 0 {
		return nil
	}
	if !ValidCursor(after) || after <= w.last || after == CursorEnd {
		return fmt.Errorf("records up to %.40q after %.40q: %w", after, w.last, ErrOrder)
	}
	w.last = after
	return w.flush()
}

// LeftOut tells of records that do not travel, of MaxLeftOut at most. It comes before the cursor
// that is reached with them.
func (w *FrameWriter) LeftOut(list []LeftOut) error {
	if len(list) == 0 {
		return nil
	}
	return w.json(kindProblems, list[:min(len(list), MaxLeftOut)])
}

// End ends the stream. Its number of records is known here, and so is After where there is no
// more. There must be no record since the last call of Reach.
func (w *FrameWriter) End(end StreamEnd) error {
	kind := byte(kindMore)
	if !end.More {
		kind, end.After = kindEnd, CursorEnd
	}
	if w.count > 0 || !ValidCursor(end.After) || end.After < w.last || end.More && end.After == CursorEnd {
		return fmt.Errorf("the end at %.40q after %.40q, with %d records between: %w", end.After, w.last, w.count, ErrOrder)
	}
	end.Records = w.records
	return w.json(kind, end)
}

// Records returns how many records the stream has so far.
func (w *FrameWriter) Records() int64 { return w.records + int64(w.count) }

// flush writes the frame of records that is being filled.
func (w *FrameWriter) flush() error {
	parts := w.encoder.flush(w.last)
	err := w.frame(kindRecords, parts[:]...)
	w.records += int64(w.count)
	w.count, w.history, w.weight = 0, 0, 0
	return err
}

func (w *FrameWriter) json(kind byte, body any) error {
	text, err := Marshal(body)
	if err != nil {
		return err
	}
	return w.frame(kind, text)
}

// flusher is a compressor that can begin anew.
type flusher interface{ Flush() error }

// frame writes a frame of these parts. Of those of records the second is what is random.
func (w *FrameWriter) frame(kind byte, parts ...[]byte) error {
	length := 0
	for _, p := range parts {
		length += len(p)
	}
	head := binary.AppendUvarint([]byte{kind}, uint64(length))
	w.crc = crc32.Update(w.crc, castagnoli, head)
	if _, err := w.to.Write(head); err != nil {
		return fmt.Errorf("write a stream: %w", err)
	}
	for i, p := range parts {
		w.crc = crc32.Update(w.crc, castagnoli, p)
		_, err := w.to.Write(p)
		if f, ok := w.to.(flusher); ok && err == nil && len(parts) > 1 && i < 2 {
			err = f.Flush() // what is random spoils what is learnt of the rest
		}
		if err != nil {
			return fmt.Errorf("write a stream: %w", err)
		}
	}
	if _, err := w.to.Write(binary.BigEndian.AppendUint32(nil, w.crc)); err != nil {
		return fmt.Errorf("write a stream: %w", err)
	}
	return nil
}
