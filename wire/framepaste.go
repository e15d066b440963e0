package wire

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/record"
)

// record puts the next record together.
func (d *recordDecoder) record() record.Record {
	f := d.next(listFlags)
	if f > math.MaxUint8 {
		d.fail("the flags %x", f)
	}
	r := record.Record{Profile: d.profile, Deleted: f&flagDeleted != 0, HardDeleted: f&flagHardDeleted != 0}
	if f&flagID != 0 {
		r.ID = d.id()
	}
	r.Model = d.wordOf(listModel, &d.models, func() string { return d.word(MaxFrame) })
	r.Partition = d.wordOf(listPartition, &d.partitions, func() string { return d.recordText(f, &cuts{}) })
	if f&flagSourceID != 0 {
		r.SourceID = d.id()
	} else {
		r.SourceID = d.recordText(f, &cuts{})
	}
	if f&flagID == 0 && d.err == nil {
		r.ID = ident.Record(r.Partition, r.SourceID, r.Model)
		if n := strings.Count(r.Partition, ident.Placeholder); n > 0 && d.spend(n*ident.Length) {
			r.Partition = strings.ReplaceAll(r.Partition, ident.Placeholder, r.ID)
		}
	}
	r.Version = counter.Version{Instance: d.wordOf(listInstance, &d.instances, d.id), Counter: d.counter(listCounter)}
	if f&flagSelfRef != 0 {
		self := d.idOf(d.next(listSelf))
		r.SelfRef = hex.EncodeToString(self[:])
	}
	known := cutsOf(r)
	r.Serialized = d.recordText(f, &known)
	if f&flagConflicting != 0 {
		r.Conflicting = d.recordText(f, &known)
	}
	if id, ok := parseID(r.ID); ok && len(d.ids) < MaxIDs {
		d.ids = append(d.ids, id)
	}
	r.History = d.history(f, r.Version)
	return r
}

// history is a record's history. Those that say nothing but the version are shared by neighbours of the same version: a map
// takes as much memory as a quarter of a record.
func (d *recordDecoder) history(flags uint64, v counter.Version) counter.Counters {
	if flags&flagHistory != 0 {
		return d.longHistory(v)
	}
	if d.shared == nil || d.sharedBy != v {
		d.shared, d.sharedBy = counter.Counters{v.Instance: v.Counter}, v
		if v.Counter == 0 {
			d.shared = counter.Counters{}
		}
	}
	return d.shared
}

func (d *recordDecoder) longHistory(v counter.Version) counter.Counters {
	all := counter.Counters{v.Instance: v.Counter}
	for n := d.next(listEntries); n > 0 && d.err == nil; n-- {
		instance := d.wordOf(listOther, &d.instances, d.id)
		all[instance] = d.counter(listAt)
	}
	for instance, n := range all {
		if n == 0 {
			delete(all, instance)
		}
	}
	return all
}

func (d *recordDecoder) counter(list int) int64 {
	n := d.next(list)
	if n > counter.Greatest {
		d.fail("%d as a counter", n)
		return 0
	}
	return int64(n)
}

// id takes an id that is given.
func (d *recordDecoder) id() string {
	raw := d.rawID()
	if d.err != nil {
		return ""
	}
	var text [ident.Length]byte
	hex.Encode(text[:], raw[:])
	return string(text[:])
}

func (d *recordDecoder) rawID() (id rawID) {
	if d.err == nil && len(d.random) < len(id) {
		d.fail("a frame has too few ids")
	}
	if d.err == nil {
		d.random = d.random[copy(id[:], d.random):]
	}
	return id
}

// idOf finds an id by its number, or takes a new one, which gets the next if there is one left.
func (d *recordDecoder) idOf(n uint64) (id rawID) {
	known := uint64(len(d.ids))
	switch {
	case d.err != nil:
	case n == 0 || n > known+1:
		d.fail("id %d where there are %d", n, known)
	case n <= known:
		return d.ids[n-1]
	default:
		if id = d.rawID(); known < MaxIDs {
			d.ids = append(d.ids, id)
		}
	}
	return id
}

// wordOf takes the number of a word from a list, and finds it, or reads a new one.
func (d *recordDecoder) wordOf(list int, table *[]string, read func() string) string {
	n, known := d.next(list), uint64(len(*table))
	switch {
	case d.err != nil:
		return ""
	case n == 0 || n > known+1:
		d.fail("word %d where there are %d", n, known)
		return ""
	case n <= known:
		return (*table)[n-1]
	}
	word := read()
	if d.err == nil && known < MaxWords && len(word) <= MaxWord {
		*table = append(*table, word)
	}
	return word
}

// recordText puts a text together.
func (d *recordDecoder) recordText(flags uint64, known *cuts) string {
	if flags&flagCut == 0 {
		if at := d.next(listPlain); d.err == nil {
			return string(in(d.all, at))
		}
		return ""
	}
	out := d.text[:0]
	for last := false; !last && d.err == nil; {
		if part := d.next(listPart); d.err == nil {
			s := &d.local[part]
			out, last = d.paste(out, s, known), s.last
		}
	}
	if d.err != nil {
		return ""
	}
	if d.text = out; cap(d.text) > 1<<20 {
		d.text = nil // it was a very long one
	}
	return string(out)
}

// paste appends a segment, with what was cut out of it.
func (d *recordDecoder) paste(out []byte, s *localPieces, known *cuts) []byte {
	at := s.next
	s.next++
	for _, p := range s.parts {
		if !d.spend(p.end - p.start) {
			break
		}
		out = append(out, s.text[p.start:p.end]...)
		switch {
		case isHole(p.mark):
			out = d.fill(out, p.mark, s.values[at])
			at += s.count
		case p.mark > 0 && p.mark < markEnd:
			if value := known[p.mark-1]; d.spend(len(value)) {
				out = append(out, value...)
			}
		}
	}
	return out
}

// fill appends what stands in a hole.
func (d *recordDecoder) fill(out []byte, mark byte, value uint64) []byte {
	before := len(out)
	switch mark {
	case markID:
		id := d.idOf(value)
		out = hex.AppendEncode(out, id[:])
	case markNumber:
		out = strconv.AppendInt(out, int64(value), 10)
	case markFloat:
		out = d.fillFloat(out, math.Float64frombits(value))
	case markText:
		if text := in(d.all, value); d.spend(len(text)) {
			return append(out, text...)
		}
		return out
	default:
		out = d.fillMoment(out, mark, int64(value))
	}
	d.spend(len(out) - before)
	return out
}

// fillFloat appends the text of a number, which is of such a size that it is not too long.
func (d *recordDecoder) fillFloat(out []byte, v float64) []byte {
	if size := math.Abs(v); !(size > leastFloat && size < 1/leastFloat) {
		d.fail("%g is not written with all digits", v)
		return out
	}
	return appendFloat(out, v)
}

// fillMoment appends the text of a moment that is so long after the one before.
func (d *recordDecoder) fillMoment(out []byte, form byte, since int64) []byte {
	switch {
	case d.err != nil:
		return out
	case since < firstMoment-d.moment || since > lastMoment-d.moment:
		d.fail("a moment lies outside the years 1 to 9999")
		return out
	case form == markMillis && (d.moment+since)%1000 != 0:
		d.fail("a moment has more than milliseconds")
		return out
	}
	d.moment += since
	return appendMoment(out, d.moment, form)
}
