package verify

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"

	"github.com/morango-go/morango/ident"
)

// Span is a range of record ids, both ends included: 32 hex digits each.
type Span struct{ First, Last string }

// Everything is the span of all ids.
func Everything() Span { return Span{ident.Lowest, ident.Highest} }

// Check refuses what is no span.
func (s Span) Check() error {
	if !ident.Valid(s.First) || !ident.Valid(s.Last) || s.First > s.Last {
		return fmt.Errorf("%.40q to %.40q is no range of record ids", s.First, s.Last)
	}
	return nil
}

// contains says whether an id lies in the span.
func (s Span) contains(id string) bool { return s.First <= id && id <= s.Last }

// split cuts the span into up to 16 of equal width. A span of one id stays.
func (s Span) split() []Span {
	first, last := numberOf(s.First), numberOf(s.Last)
	width := last.minus(first)        // one less than there are ids
	step := width.quarter().quarter() // of each part, one less than there are ids
	parts := make([]Span, 0, splitParts)
	for at := first; ; {
		end := at.plus(step)
		if len(parts) == splitParts-1 || end.less(at) || !end.less(last) {
			return append(parts, Span{at.id(), s.Last})
		}
		parts = append(parts, Span{at.id(), end.id()})
		at = end.plus(number{lo: 1})
	}
}

const splitParts = 16

// number is an id as a number of 128 bits.
type number struct{ hi, lo uint64 }

func numberOf(id string) number {
	var raw [16]byte
	_, _ = hex.Decode(raw[:], []byte(id)) // ids are checked where they come in
	return number{binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:])}
}

func (n number) id() string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], n.hi)
	binary.BigEndian.PutUint64(raw[8:], n.lo)
	return hex.EncodeToString(raw[:])
}

func (n number) less(m number) bool { return n.hi < m.hi || n.hi == m.hi && n.lo < m.lo }

func (n number) plus(m number) number {
	lo, carry := bits.Add64(n.lo, m.lo, 0)
	hi, _ := bits.Add64(n.hi, m.hi, carry)
	return number{hi, lo}
}

func (n number) minus(m number) number {
	lo, borrow := bits.Sub64(n.lo, m.lo, 0)
	hi, _ := bits.Sub64(n.hi, m.hi, borrow)
	return number{hi, lo}
}

func (n number) quarter() number { return number{n.hi >> 2, n.lo>>2 | n.hi<<62} }
