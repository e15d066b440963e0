package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// A column of numbers is written as the differences to its least one, or where that is shorter as
// those of the steps from one to the next, in as few bytes as the greatest needs. All first bytes
// come first, then all second ones: high bytes are much alike, low ones are often random and go
// where the ids are. What is alike costs nothing: a column of one number is this number, once.

// columns are the parts of a frame in which columns lie.
type columns struct {
	heads  []byte // what each column is like
	planes []byte // bytes of numbers that are alike
	texts  []byte
	random []byte // bytes of numbers that are not alike, and ids
}

// The forms of columns, in their first byte. Those of numbers are 81, where steps are written, plus 9
// for each byte of the differences, plus 1 for each of these that lies with what is random.
const (
	formSteps = 81
	formWidth = 9
	formLast  = 2*formSteps - 1
	// Forms of columns of texts.
	formEach = 0 // a column of lengths, and the texts
	formOnce = 1 // one length, and the text that all are
)

// spread is the least of some numbers, and by how much the greatest is more.
type spread struct {
	least int64
	more  uint64
}

func (s *spread) add(v int64) {
	if v < s.least {
		s.more += uint64(s.least - v)
		s.least = v
		return
	}
	s.more = max(s.more, uint64(v-s.least))
}

// spreads finds those of numbers, and of the steps between them.
func spreads(values []uint64) (plain, steps spread) {
	plain.least = int64(values[0])
	if len(values) > 1 {
		steps.least = int64(values[1] - values[0])
	}
	for i := 1; i < len(values); i++ {
		plain.add(int64(values[i]))
		steps.add(int64(values[i] - values[i-1]))
	}
	return plain, steps
}

// number appends a column of numbers, at least one. The numbers are changed.
func (c *columns) number(values []uint64) {
	plain, steps := spreads(values)
	by, form, first := plain, 0, values[0]
	if bits.Len64(steps.more) < bits.Len64(plain.more) {
		by, form = steps, formSteps
		for i := len(values) - 1; i > 0; i-- {
			values[i] -= values[i-1]
		}
		values = values[1:]
	}
	for i := range values {
		values[i] -= uint64(by.least)
	}
	width, low := (bits.Len64(by.more)+7)/8, 0
	for low < width && isRandom(values, low) {
		low++
	}
	c.heads = append(c.heads, byte(form+formWidth*width+low))
	c.heads = binary.AppendVarint(c.heads, by.least)
	if form == formSteps {
		c.heads = binary.AppendVarint(c.heads, int64(first))
	}
	for plane := width - 1; plane >= 0; plane-- {
		to := &c.planes
		if plane < low {
			to = &c.random
		}
		for _, v := range values {
			*to = append(*to, byte(v>>(8*plane)))
		}
	}
}

// isRandom says whether the bytes of a plane seem to be. Equal ones are then about one in 256 pairs.
func isRandom(values []uint64, plane int) bool {
	var count [256]uint16
	pairs := 0
	n := min(len(values), 1<<10)
	for _, v := range values[:n] {
		b := byte(v >> (8 * plane))
		pairs += int(count[b])
		count[b]++
	}
	return 256*pairs < n*n*5/8
}

// text appends a column of texts, which lie where values say.
func (c *columns) text(values []uint64, from []byte) {
	first, alike := in(from, values[0]), true
	for _, v := range values[1:] {
		if alike = bytes.Equal(in(from, v), first); !alike {
			break
		}
	}
	if alike {
		c.heads = binary.AppendUvarint(append(c.heads, formOnce), uint64(len(first)))
		c.texts = append(c.texts, first...)
		return
	}
	c.heads = append(c.heads, formEach)
	for i, v := range values {
		c.texts = append(c.texts, in(from, v)...)
		values[i] = v & spanLength
	}
	c.number(values)
}

// columnReader reads columns.
type columnReader struct {
	heads, planes, texts, random []byte
	all                          []byte // texts
	err                          error
}

func (c *columnReader) fail(format string, args ...any) {
	if c.err == nil {
		c.err = malformed(format, args...)
	}
}

// form reads how a column is written.
func (c *columnReader) form() int {
	if c.err == nil && len(c.heads) == 0 {
		c.fail("a frame has too few columns")
	}
	if c.err != nil {
		return 0
	}
	form := c.heads[0]
	c.heads = c.heads[1:]
	return int(form)
}

func (c *columnReader) varint() int64 {
	n, size := binary.Varint(c.heads)
	if c.err == nil && size <= 0 {
		c.fail("a column's number is cut off")
	}
	if c.err != nil {
		return 0
	}
	c.heads = c.heads[size:]
	return n
}

// count reads how many there are of something.
func (c *columnReader) count(limit uint64, what string) int {
	n, size := binary.Uvarint(c.heads)
	if c.err == nil && size <= 0 {
		c.fail("a column's length is cut off")
	}
	if c.err == nil && n > limit {
		c.err = fmt.Errorf("%w: %d %s", ErrTooLarge, n, what)
	}
	if c.err != nil {
		return 0
	}
	c.heads = c.heads[size:]
	return int(n)
}

// number reads a column into a list of its length.
func (c *columnReader) number(values []uint64) {
	if len(values) == 0 {
		return
	}
	form := c.form()
	width, low := form%formSteps/formWidth, form%formWidth
	if form > formLast || low > width {
		c.fail("a column of the unknown form %d", form)
	}
	least, first := uint64(c.varint()), uint64(0)
	rest := values
	if form >= formSteps {
		first, rest = uint64(c.varint()), values[1:]
	}
	if c.err == nil && (len(c.planes) < (width-low)*len(rest) || len(c.random) < low*len(rest)) {
		c.fail("a column is cut off")
	}
	if c.err != nil {
		return
	}
	clear(values)
	for plane := width - 1; plane >= 0; plane-- {
		from := &c.planes
		if plane < low {
			from = &c.random
		}
		for i, b := range (*from)[:len(rest)] {
			rest[i] |= uint64(b) << (8 * plane)
		}
		*from = (*from)[len(rest):]
	}
	for i := range rest {
		rest[i] += least
	}
	if form >= formSteps {
		values[0] = first
		for i := 1; i < len(values); i++ {
			values[i] += values[i-1]
		}
	}
}

// textSpans reads a column of texts into a list of its length, as where they lie.
func (c *columnReader) textSpans(values []uint64) {
	switch form := c.form(); form {
	case formOnce:
		once := c.span(uint64(c.count(MaxFrame, "bytes of a text")))
		for i := range values {
			values[i] = once
		}
	case formEach:
		c.number(values)
		for i := range values {
			values[i] = c.span(values[i])
		}
	default:
		c.fail("a column of texts of the unknown form %d", form)
	}
}

// span takes a text.
func (c *columnReader) span(length uint64) uint64 {
	if c.err == nil && length > uint64(len(c.texts)) {
		c.fail("a frame has too few texts")
	}
	if c.err != nil {
		return 0
	}
	at := len(c.all) - len(c.texts)
	c.texts = c.texts[length:]
	return span(at, int(length))
}

const spanLength = 1<<32 - 1

// span is where a text lies.
func span(at, length int) uint64 { return uint64(at)<<32 | uint64(length) }

// in finds the text.
func in(text []byte, span uint64) []byte { return text[span>>32:][:span&spanLength] }
