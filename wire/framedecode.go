package wire

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/record"
)

// recordDecoder reads the records of one stream.
type recordDecoder struct {
	profile                       string
	models, partitions, instances []string
	ids                           []rawID
	segments                      []pieces
	size                          int   // of the segments, as sizeOf has it
	moment                        int64 // the one before, in microseconds since 1970
	shared                        counter.Counters
	sharedBy                      counter.Version

	columnReader                 // what is left of the frame
	lists        [lists][]uint64 // what is left of each; the holes lie by column
	memory       [lists][]uint64 // of the lists
	local        []localPieces   // the frame's segments
	left         int             // length of the texts that the frame's records may still have
	text         []byte          // that is put together
}

// pieces are a segment that is taken apart.
type pieces struct {
	text  string
	parts []piece
	holes int
	last  bool // the text ends with it
}

// piece is a part of a segment's text, and the byte after it that stands for something, or 0.
type piece struct {
	start, end int
	mark       byte
}

// localPieces are a segment of a frame.
type localPieces struct {
	*pieces
	count, next int      // how often it is there, and was so far
	values      []uint64 // of its holes, column after column
}

// decode reads the payload of a frame of records, and the cursor that is reached with it.
func (d *recordDecoder) decode(payload []byte) (records []record.Record, cursor string, err error) {
	d.beginFrame()
	cursor = d.open(payload)
	d.readSegments()
	for i := range listHole {
		d.readList(i)
	}
	d.readHoles()
	for i, length := range d.lists[listPlain] {
		d.lists[listPlain][i] = d.span(length)
	}
	count := len(d.lists[listFlags])
	records = make([]record.Record, 0, count)
	for ; count > 0 && d.err == nil; count-- {
		records = append(records, d.record())
	}
	d.close()
	if d.err != nil {
		return nil, "", d.err
	}
	return records, cursor, nil
}

// beginFrame forgets the words of a kind when there is no number left for another.
func (d *recordDecoder) beginFrame() {
	d.left = MaxFrame
	beginTable(&d.models, len(d.models) == MaxWords)
	beginTable(&d.partitions, len(d.partitions) == MaxWords)
	beginTable(&d.instances, len(d.instances) == MaxWords)
	beginTable(&d.ids, len(d.ids) == MaxIDs)
	if isFull(len(d.segments), d.size) {
		beginTable(&d.segments, true)
		d.size = 0
	}
}

func beginTable[T any](table *[]T, full bool) {
	if full {
		clear(*table)
		*table = (*table)[:0]
	}
}

// open finds the parts of a frame.
func (d *recordDecoder) open(payload []byte) (cursor string) {
	d.columnReader = columnReader{heads: payload}
	cursor = string(d.take(d.count(MaxCursor, "bytes of a cursor")))
	random := d.take(d.count(MaxFrame, "random bytes in a frame"))
	heads, planes := d.count(MaxFrame, "bytes of heads"), d.count(MaxFrame, "bytes of columns")
	first := d.take(heads)
	d.planes = d.take(planes)
	d.random, d.texts, d.all = random, d.heads, d.heads
	d.heads = first
	return cursor
}

// take takes so many bytes of the heads.
func (d *recordDecoder) take(n int) []byte {
	if d.err == nil && n > len(d.heads) {
		d.fail("a frame ends too early")
	}
	if d.err != nil {
		return nil
	}
	taken := d.heads[:n]
	d.heads = d.heads[n:]
	return taken
}

// close makes sure that nothing is left of a frame.
func (d *recordDecoder) close() {
	left := len(d.heads) + len(d.planes) + len(d.texts) + len(d.random)
	for i := range listHole {
		left += len(d.lists[i])
	}
	if left > 0 {
		d.fail("%d bytes or numbers of a frame are of no record", left)
	}
}

// limitOf is how long a list of a frame may be.
func limitOf(list int) (limit uint64, what string) {
	switch list {
	case listOther, listAt:
		return MaxFrameHistory, "entries of a frame's histories"
	case listPart:
		return MaxFrameSegments, "segments in a frame"
	case listPlain:
		return 4 * MaxFrameRecords, "texts in a frame"
	default:
		return MaxFrameRecords, "records in a frame"
	}
}

// readList reads a list, into the same memory if there is enough.
func (d *recordDecoder) readList(list int) {
	n := d.count(limitOf(list))
	d.lists[list] = d.make(list, n)
	d.number(d.lists[list])
}

// make makes a list.
func (d *recordDecoder) make(list, n int) []uint64 {
	d.memory[list] = slices.Grow(d.memory[list][:0], n)[:n]
	return d.memory[list]
}

// readSegments reads which segments the frame has.
func (d *recordDecoder) readSegments() {
	d.readList(listPart) // so that there is memory; their order comes later
	d.local = d.local[:0]
	for _, n := range d.lists[listPart] {
		known := uint64(len(d.segments))
		switch {
		case d.err != nil:
			return
		case n == 0 || n > known+1:
			d.fail("segment %d where there are %d", n, known)
			return
		case n <= known:
			d.local = append(d.local, localPieces{pieces: &d.segments[n-1]})
			continue
		}
		s := d.newSegment()
		d.local = append(d.local, localPieces{pieces: &s})
		if size := sizeOf(s.text, s.holes); isRoom(len(d.segments), d.size+size) {
			d.segments = append(d.segments, s)
			d.size += size
		}
	}
}

// newSegment reads a segment, and takes it apart.
func (d *recordDecoder) newSegment() (s pieces) {
	s.text = d.word(maxSegment)
	from := 0
	for i := range len(s.text) {
		mark := s.text[i]
		if !isMark(mark) {
			continue
		}
		s.parts = append(s.parts, piece{from, i, mark})
		from = i + 1
		if isHole(mark) {
			s.holes++
		}
		if s.last = mark == markEnd; s.last && from < len(s.text) {
			d.fail("a segment goes on after the end of its text")
		}
	}
	if from < len(s.text) {
		s.parts = append(s.parts, piece{from, len(s.text), 0})
	}
	return s
}

// readHoles reads the columns of the segments.
func (d *recordDecoder) readHoles() {
	for _, p := range d.lists[listPart] {
		if d.err == nil && p >= uint64(len(d.local)) {
			d.fail("segment %d where a frame has %d", p, len(d.local))
		}
		if d.err != nil {
			return
		}
		d.local[p].count++
	}
	all := 0
	for i := range d.local {
		s := &d.local[i]
		if s.count == 0 {
			d.fail("a segment that is of no text")
		}
		all += s.count * s.holes
	}
	if all > MaxFrameHoles {
		d.err = fmt.Errorf("%w: %d holes in a frame's texts", ErrTooLarge, all)
		return
	}
	values := d.make(listHole, all)
	for i := range d.local {
		s := &d.local[i]
		n := s.count * s.holes
		s.values, values = values[:n], values[n:]
		d.readColumns(s)
	}
}

// readColumns reads the columns of a segment.
func (d *recordDecoder) readColumns(s *localPieces) {
	hole := 0
	for _, p := range s.parts {
		if !isHole(p.mark) {
			continue
		}
		column := s.values[hole*s.count : (hole+1)*s.count]
		if p.mark == markText {
			d.textSpans(column)
		} else {
			d.number(column)
		}
		hole++
	}
}

// next takes the next of a list.
func (d *recordDecoder) next(list int) uint64 {
	l := d.lists[list]
	if len(l) == 0 {
		d.fail("a frame's lists are not of the same records")
	}
	if d.err != nil {
		return 0
	}
	d.lists[list] = l[1:]
	return l[0]
}

// word takes a text with its length.
func (d *recordDecoder) word(limit uint64) string {
	n, size := binary.Uvarint(d.texts)
	if d.err == nil && (size <= 0 || n > limit) {
		d.fail("a word's length is cut off, or too great")
	}
	if d.err != nil {
		return ""
	}
	d.texts = d.texts[size:]
	return string(in(d.all, d.span(n)))
}

// spend takes a length from what the texts of a frame may have.
func (d *recordDecoder) spend(n int) bool {
	if d.left -= n; d.left < 0 && d.err == nil {
		d.err = fmt.Errorf("%w: texts of more than %d bytes in a frame", ErrTooLarge, MaxFrame)
	}
	return d.err == nil
}
