package wire

import (
	"bytes"
	"slices"
)

// segmentTable numbers segments on the sender's side.
type segmentTable struct {
	numbers map[string]int // from 1 on
	order   []knownSegment
	size    int // of all, as sizeOf has it
}

// knownSegment is a segment that has a number.
type knownSegment struct {
	text, holes string // holes are the bytes that stand for them
	local       int    // its place in the last frame that had it
}

// localSegment is a segment of a frame.
type localSegment struct {
	number       uint64
	holes        string
	start, count int // of its places among those of all
}

// sizeOf is what a segment takes of a table.
func sizeOf(text string, holes int) int { return len(text) + holeSize*(holes+1) }

// isFull says whether a table of segments begins anew with the next frame.
func isFull(count, size int) bool { return count == MaxWords || size > maxSegments-2*maxSegment }

// isRoom says whether a table of segments may become so large.
func isRoom(count, size int) bool { return count < MaxWords && size <= maxSegments }

// reset forgets all segments but the first.
func (t *segmentTable) reset(first int) {
	for _, s := range t.order[first:] {
		delete(t.numbers, s.text)
		t.size -= sizeOf(s.text, len(s.holes))
	}
	clear(t.order[first:])
	t.order = t.order[:first]
}

// add gives a segment the next number, if there is one left.
func (t *segmentTable) add(s knownSegment) {
	size := sizeOf(s.text, len(s.holes))
	if !isRoom(len(t.order), t.size+size) {
		return
	}
	if t.numbers == nil {
		t.numbers = map[string]int{}
	}
	t.order = append(t.order, s)
	t.numbers[s.text] = len(t.order)
	t.size += size
}

// isRoom says whether the frame may have another hole.
func (e *recordEncoder) isRoom() bool { return len(e.lists[listHole]) < MaxFrameHoles }

// hole makes a hole with a value.
func (e *recordEncoder) hole(mark byte, value uint64) {
	e.keepHole(mark)
	e.put(listHole, value)
}

func (e *recordEncoder) holeID(id rawID) {
	e.keepHole(markID)
	e.putID(listHole, &e.ids, id)
}

func (e *recordEncoder) holeText(text []byte) {
	e.hole(markText, span(len(e.loose), len(text)))
	e.loose = append(e.loose, text...)
}

func (e *recordEncoder) keepHole(mark byte) {
	if e.holes == maxHoles {
		e.endSegment(false)
	}
	e.keepByte(mark)
	e.holes++
}

// keepByte has a byte stand in the segment. There is always room for the one that ends the text.
func (e *recordEncoder) keepByte(c byte) {
	if len(e.literal) >= maxSegment-1 {
		e.endSegment(false)
	}
	e.literal = append(e.literal, c)
}

// keep has a text stand in the segment as it is.
func (e *recordEncoder) keep(text []byte) {
	for len(e.literal)+len(text) >= maxSegment {
		n := maxSegment - 1 - len(e.literal)
		e.literal = append(e.literal, text[:n]...)
		text = text[n:]
		e.endSegment(false)
	}
	e.literal = append(e.literal, text...)
}

// keepItems is keep of a text that ends with a quote. Where with that an object begins that is
// not the first of its list, a segment begins: lists are of any length, and what stands in them is alike.
func (e *recordEncoder) keepItems(text []byte) {
	n := len(text) - 1 // without the quote, and what stands before it where the list is in a text itself
	for n > 0 && text[n-1] == '\\' {
		n--
	}
	if n < 2 || text[n-1] != '{' || len(e.lists[listPart]) > MaxFrameSegments/4 {
		e.keep(text)
		return
	}
	if c := text[n-2]; c == '\n' || c == ',' || c == ' ' && n > 2 && text[n-3] == ',' {
		e.keep(text[:n-1])
		e.endSegment(false)
		text = text[n-1:]
	}
	e.keep(text)
}

// endSegment ends a segment, the last of its text or another.
func (e *recordEncoder) endSegment(last bool) {
	if last {
		e.literal = append(e.literal, markEnd)
	}
	e.put(listPart, uint64(e.localOf(e.literal)))
	e.literal, e.holes = e.literal[:0], 0
}

// localOf finds the place of a segment in the frame, or gives it one.
func (e *recordEncoder) localOf(text []byte) int {
	t, next := &e.segments, len(e.local)
	if n := t.numbers[string(text)]; n > 0 {
		s := &t.order[n-1]
		if s.local >= next || e.local[s.local].number != uint64(n) { // it is of another frame
			s.local = next
			e.local = append(e.local, localSegment{number: uint64(n), holes: s.holes})
		}
		return s.local
	}
	s := knownSegment{text: string(text), holes: holesOf(text), local: next}
	e.local = append(e.local, localSegment{number: uint64(len(t.order) + 1), holes: s.holes})
	e.fresh = appendString(e.fresh, s.text)
	t.add(s)
	return next
}

// holesOf are the bytes of a segment that stand for holes.
func holesOf(text []byte) string {
	return string(bytes.Map(func(c rune) rune {
		if c > markText || !isHole(byte(c)) {
			return -1
		}
		return c
	}, text))
}

// putHoles appends the columns of all segments of the frame.
func (e *recordEncoder) putHoles() {
	parts := e.lists[listPart]
	for _, p := range parts {
		e.local[p].count++
	}
	all := 0
	for i := range e.local {
		s := &e.local[i]
		s.start, all, s.count = all, all+s.count, 0
	}
	e.places = slices.Grow(e.places[:0], all)[:all]
	at := 0
	for _, p := range parts {
		s := &e.local[p]
		e.places[s.start+s.count] = at
		s.count++
		at += len(s.holes)
	}
	for i := range e.local {
		s := &e.local[i]
		e.putColumns(s.holes, e.places[s.start:s.start+s.count])
	}
}

// putColumns appends the columns of a segment whose holes begin at these places.
func (e *recordEncoder) putColumns(holes string, places []int) {
	all := e.lists[listHole]
	e.column = slices.Grow(e.column[:0], len(places))[:len(places)]
	column := e.column
	for i := range holes {
		for k, at := range places {
			column[k] = all[at+i]
		}
		if holes[i] == markText {
			e.out.text(column, e.loose)
		} else {
			e.out.number(column)
		}
	}
}
