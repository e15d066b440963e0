package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/morango-go/morango/record"
)

// The sender begins a new frame when one has so much in it: little enough that a receiver
// has soon something to work on, and enough that frames cost nothing. A little less than
// 128 KiB, so that all but the section is compressed as one block.
const (
	frameBytes   = 128_000
	frameRecords = 1000
)

// FrameWriter writes a stream. Make it with NewFrameWriter and end it with End. After an
// error it is of no use, but for ErrUnencodable.
type FrameWriter struct {
	to      io.Writer
	crc     uint32
	records int64
	last    string // id of the last record
	encoder recordEncoder
	payload []byte // of the frame of records that is being filled, less their number
	count   int    // of the records in it
	history int    // entries of their histories
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

// Record adds a record. Its id must be greater than that of the one before (ErrOrder). A
// record that cannot travel is ErrUnencodable, and left out.
func (w *FrameWriter) Record(r record.Record) error {
	if r.ID <= w.last {
		return fmt.Errorf("record %.40q after %.40q: %w", r.ID, w.last, ErrOrder)
	}
	before, start := w.encoder.mark(), len(w.payload)
	payload, entries, err := w.encoder.append(w.payload, r)
	if err == nil && entries > MaxFrameHistory {
		err = fmt.Errorf("record %s: %w: its history has %d entries", r.ID, ErrUnencodable, entries)
	}
	if err != nil {
		w.encoder.reset(before)
		return err
	}
	if w.count > 0 && (w.weight+weight(r) > MaxFrame/2 || w.history+entries > MaxFrameHistory) {
		// What is there goes first. The words that the record has named stay named, and its last
		// moment stays the one before: the frame that has them is still to come, for it is the next.
		alone := slices.Clone(payload[start:])
		section := slices.Clone(w.encoder.section[before.section:])
		w.encoder.section = w.encoder.section[:before.section]
		if err := w.flush(); err != nil {
			return err
		}
		payload, w.encoder.section = append(w.payload, alone...), append(w.encoder.section, section...)
	}
	w.payload, w.last = payload, r.ID
	w.count++
	w.history += entries
	w.weight += weight(r)
	if len(w.payload) >= frameBytes || w.count == frameRecords {
		return w.flush()
	}
	return nil
}

// LeftOut tells of records that do not travel, of MaxLeftOut at most.
func (w *FrameWriter) LeftOut(list []LeftOut) error {
	if err := w.flush(); err != nil || len(list) == 0 {
		return err
	}
	return w.json(kindProblems, list[:min(len(list), MaxLeftOut)])
}

// End ends the stream: with more to come from after on, or not. Everything up to after was
// looked at; the id of the last record is the least that it can be.
func (w *FrameWriter) End(more bool, after string) error {
	if err := w.flush(); err != nil {
		return err
	}
	kind := byte(kindEnd)
	if more {
		kind = kindMore
	}
	return w.json(kind, StreamEnd{After: max(after, w.last), Records: w.records})
}

// Records returns how many records the stream has so far.
func (w *FrameWriter) Records() int64 { return w.records + int64(w.count) }

// flush writes the frame of records that is being filled.
func (w *FrameWriter) flush() error {
	if w.count == 0 {
		return nil
	}
	section := w.encoder.section
	err := w.frame(kindRecords, binary.AppendUvarint(nil, uint64(len(section))), section,
		binary.AppendUvarint(nil, uint64(w.count)), w.payload)
	w.records += int64(w.count)
	w.encoder.section = section[:0]
	w.payload, w.count, w.history, w.weight = w.payload[:0], 0, 0, 0
	if cap(w.payload) > 16*frameBytes {
		w.payload = nil // one record was very large
	}
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

// frame writes a frame of these parts. Of those of records the second is the section.
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
			err = f.Flush() // ids and moments are random, and spoil what is learnt of the texts
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
