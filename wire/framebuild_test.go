package wire_test

import (
	"encoding/binary"
	"slices"
	"strings"
)

// builder puts a frame of records together as the description of the format says, right or wrong.
type builder struct {
	cursor        string
	segments      []uint64
	lists         [11][]uint64
	holes         [][]uint64
	random, texts []byte
	// What comes after the rest of its part.
	heads, planes []byte
}

// The lists of a builder.
const (
	flags = iota
	models
	partitions
	instances
	counters
	selves
	entries
	others
	at
	lengths
	parts
)

// text appends a text with its length.
func (b *builder) text(s string) {
	b.texts = append(binary.AppendUvarint(b.texts, uint64(len(s))), s...)
}

// frame writes all numbers in eight bytes.
func (b *builder) frame() []byte {
	var heads, planes []byte
	column := func(values []uint64) {
		if len(values) == 0 {
			return
		}
		heads = append(heads, 8*9, 0)
		for shift := 56; shift >= 0; shift -= 8 {
			for _, v := range values {
				planes = append(planes, byte(v>>shift))
			}
		}
	}
	for _, list := range append([][]uint64{b.segments}, b.lists[:]...) {
		heads = binary.AppendUvarint(heads, uint64(len(list)))
		column(list)
	}
	for _, hole := range b.holes {
		column(hole)
	}
	heads, planes = append(heads, b.heads...), append(planes, b.planes...)
	out := append([]byte{'R', byte(len(b.cursor))}, b.cursor...)
	out = append(binary.AppendUvarint(out, uint64(len(b.random))), b.random...)
	out = binary.AppendUvarint(out, uint64(len(heads)))
	out = binary.AppendUvarint(out, uint64(len(planes)))
	return slices.Concat(out, heads, planes, b.texts)
}

// times is a list of one number.
func times(n int, v uint64) []uint64 { return slices.Repeat([]uint64{v}, n) }

// plain is a frame of records with these ids of 16 bytes, whose texts are empty and not cut. Where it
// comes after another of them it has the same words.
func plain(cursor string, after bool, ids ...string) *builder {
	b, n := &builder{cursor: cursor}, len(ids)
	b.lists[lengths] = times(2*n, 0) // source id and text
	for i, id := range ids {
		b.random = append(b.random, id...)
		if i == 0 && !after {
			b.random = append(b.random, strings.Repeat("i", 16)...) // the instance
			b.lists[lengths] = times(2*n+1, 0)                      // the partition
			b.text("")                                              // the model
		}
	}
	b.lists[flags], b.lists[counters] = times(n, 4), times(n, 0)
	for _, list := range []int{models, partitions, instances} {
		b.lists[list] = times(n, 1)
	}
	return b
}

// cut is a frame of one record, whose text is made of these segments, in this order. What fills their holes
// is to be added. Partition and source id are an empty segment, the last.
func cut(order []uint64, segments ...string) *builder {
	b := plain("1", false, strings.Repeat("r", 16))
	model := b.texts
	b.texts = nil
	for i, s := range append(segments, "\x06") {
		b.segments = append(b.segments, uint64(i+1))
		b.text(s)
	}
	b.texts = append(b.texts, model...)
	empty := uint64(len(segments))
	b.lists[flags], b.lists[lengths] = []uint64{4 | 128}, nil
	b.lists[parts] = append([]uint64{empty, empty}, order...)
	return b
}
