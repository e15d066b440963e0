package wire

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/record"
)

// The lists of a frame. Each but the last is a column.
const (
	listFlags     = iota // of each record, as are the next four
	listModel            // word
	listPartition        // word
	listInstance         // word, of the version
	listCounter          // of the version
	listSelf             // ids of self-references
	listEntries          // of each history that is given
	listOther            // instances of the entries
	listAt               // counters of the entries
	listPlain            // lengths of the texts that are not cut
	listPart             // segments of the others
	listHole             // numbers that stand in the holes of the segments
	lists
)

// recordEncoder writes the records of one stream, a frame at a time.
type recordEncoder struct {
	models, partitions wordTable
	instances, ids     idTable
	segments           segmentTable
	moment             int64 // the one before, in microseconds since 1970

	// of the frame
	lists [lists][]uint64
	local []localSegment
	given []byte // ids
	words []byte // models that are new
	fresh []byte // segments that are new
	loose []byte // texts that stand in holes
	plain []byte // texts that are not cut

	text, literal []byte // of a record while it is cut, and of a segment
	holes         int    // of the segment
	known         cuts   // of the record
	out           columns
	places        []int    // where the holes of each part begin, by segments
	column        []uint64 // that is written
	digits        [24]byte
}

// wordTable numbers the words of one kind on the sender's side.
type wordTable struct {
	numbers map[string]uint64
	order   []string
}

func newRecordEncoder() recordEncoder {
	return recordEncoder{instances: newIDTable(MaxWords), ids: newIDTable(MaxIDs)}
}

// encoderMark is what an encoder has said before a record: how many of each.
type encoderMark struct {
	models, partitions, instances, ids, segments int
	lists                                        [lists]int
	local, given, words, fresh, loose, plain     int
	moment                                       int64
}

// beginFrame forgets the words of a kind when there is no number left for another.
func (e *recordEncoder) beginFrame() {
	for _, t := range []*wordTable{&e.models, &e.partitions} {
		if len(t.order) == MaxWords {
			t.reset(0)
		}
	}
	for _, t := range []*idTable{&e.instances, &e.ids} {
		if len(t.order) == t.most {
			t.clear()
		}
	}
	if isFull(len(e.segments.order), e.segments.size) {
		e.segments.reset(0)
	}
}

// mark remembers what was said.
func (e *recordEncoder) mark() encoderMark {
	m := encoderMark{models: len(e.models.order), partitions: len(e.partitions.order), instances: len(e.instances.order),
		ids: len(e.ids.order), segments: len(e.segments.order), local: len(e.local), given: len(e.given),
		words: len(e.words), fresh: len(e.fresh), loose: len(e.loose), plain: len(e.plain), moment: e.moment}
	for i := range e.lists {
		m.lists[i] = len(e.lists[i])
	}
	return m
}

// reset forgets what came after the mark.
func (e *recordEncoder) reset(m encoderMark) {
	e.models.reset(m.models)
	e.partitions.reset(m.partitions)
	e.instances.reset(m.instances)
	e.ids.reset(m.ids)
	e.segments.reset(m.segments)
	e.clip(m)
	e.moment = m.moment
}

// clip forgets what came after the mark in the frame.
func (e *recordEncoder) clip(m encoderMark) {
	e.local, e.given, e.words = e.local[:m.local], e.given[:m.given], e.words[:m.words]
	e.fresh, e.loose, e.plain = e.fresh[:m.fresh], e.loose[:m.loose], e.plain[:m.plain]
	for i := range e.lists {
		e.lists[i] = e.lists[i][:m.lists[i]]
	}
}

// reset forgets all words but the first.
func (t *wordTable) reset(first int) {
	for _, word := range t.order[first:] {
		delete(t.numbers, word)
	}
	t.order = t.order[:first]
}

// number finds a word's number. If it has none it is fresh, and gets the next.
func (t *wordTable) number(word string) (n uint64, fresh bool) {
	if n, known := t.numbers[word]; known {
		return n, false
	}
	n = uint64(len(t.order)) + 1
	if len(t.order) < MaxWords && len(word) <= MaxWord {
		if t.numbers == nil {
			t.numbers = map[string]uint64{}
		}
		t.order = append(t.order, word)
		t.numbers[word] = n
	}
	return n, true
}

func (e *recordEncoder) put(list int, n uint64) { e.lists[list] = append(e.lists[list], n) }

func (e *recordEncoder) putID(list int, t *idTable, id rawID) {
	n, fresh := t.number(id)
	if e.put(list, n); fresh {
		e.given = append(e.given, id[:]...)
	}
}

func appendString(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// give gives a valid id as it is.
func (e *recordEncoder) give(id string) {
	raw, _ := parseID(id) // it was looked at before
	e.given = append(e.given, raw[:]...)
}

// add adds a record, and tells how many entries of its history there are.
func (e *recordEncoder) add(r record.Record) (int, error) {
	if err := encodable(r); err != nil {
		return 0, fmt.Errorf("record %.40q: %w: %w", r.ID, ErrUnencodable, err)
	}
	flags := flag(r.Deleted, flagDeleted) | flag(r.HardDeleted, flagHardDeleted) | flag(r.SelfRef != "", flagSelfRef) |
		flag(r.Conflicting != "", flagConflicting) | flag(ident.Valid(r.SourceID), flagSourceID)
	partition := strings.ReplaceAll(r.Partition, r.ID, ident.Placeholder)
	if ident.Record(partition, r.SourceID, r.Model) != r.ID || strings.ReplaceAll(partition, ident.Placeholder, r.ID) != r.Partition {
		flags |= flagID
		partition = r.Partition
		e.give(r.ID)
	}
	own, others := history(r)
	flags |= flag(len(own)+len(others) > 0, flagHistory)
	cut := cuttable(r)
	flags |= flag(cut, flagCut)
	e.put(listFlags, uint64(flags))
	n, fresh := e.models.number(r.Model)
	if e.put(listModel, n); fresh {
		e.words = appendString(e.words, r.Model)
	}
	n, fresh = e.partitions.number(partition)
	if e.put(listPartition, n); fresh {
		e.putPath(partition, cut)
	}
	if flags&flagSourceID != 0 {
		e.give(r.SourceID)
	} else {
		e.putPath(r.SourceID, cut)
	}
	e.putVersion(listInstance, r.Version.Instance, r.Version.Counter)
	if r.SelfRef != "" {
		self, _ := parseID(r.SelfRef)
		e.putID(listSelf, &e.ids, self)
	}
	e.known = cutsOf(r)
	e.putText(r.Serialized, cut)
	if r.Conflicting != "" {
		e.putText(r.Conflicting, cut)
	}
	id, _ := parseID(r.ID)
	e.ids.add(id) // what comes later can refer to it
	if flags&flagHistory != 0 {
		e.put(listEntries, uint64(len(own)+len(others)))
		for _, instance := range slices.Concat(own, others) {
			e.putVersion(listOther, instance, r.History[instance])
		}
	}
	return len(own) + len(others), nil
}

func flag(is bool, bit byte) byte {
	if is {
		return bit
	}
	return 0
}

// history splits what a record's history says beyond its version: own is the version's
// instance where the history says something else of it, others are the other instances.
func history(r record.Record) (own, others []string) {
	for instance, n := range r.History {
		if instance != r.Version.Instance && n != 0 {
			others = append(others, instance)
		}
	}
	if r.History[r.Version.Instance] != r.Version.Counter {
		own = []string{r.Version.Instance}
	}
	slices.Sort(others)
	return own, others
}

// putVersion puts an instance into a list and its counter into the next.
func (e *recordEncoder) putVersion(list int, instance string, n int64) {
	id, _ := parseID(instance) // it was looked at before
	e.putID(list, &e.instances, id)
	e.put(list+1, uint64(n))
}

// weight is how much of what a frame may hold a record takes when it is read again.
func weight(r record.Record) int {
	return len(r.Serialized) + len(r.Conflicting) + len(r.Partition) + len(r.SourceID)
}

// encodable says what stands against a record's travelling.
func encodable(r record.Record) error {
	for instance, n := range r.History {
		if !ident.Valid(instance) || n < 0 {
			return fmt.Errorf("its history has instance %.40q at %d", instance, n)
		}
	}
	switch {
	case !ident.Valid(r.ID):
		return fmt.Errorf("its id is not 32 hex digits")
	case !ident.Valid(r.Version.Instance) || r.Version.Counter < 0:
		return fmt.Errorf("its version is %d of instance %.40q", r.Version.Counter, r.Version.Instance)
	case weight(r) > MaxFrame/2:
		return fmt.Errorf("it has %d bytes of text", weight(r))
	case r.SelfRef != "" && !ident.Valid(r.SelfRef):
		return fmt.Errorf("its self-reference %.40q is not an id", r.SelfRef)
	}
	return nil
}

// flush gives the frame's payload in parts, of which the second is what is random, and begins another.
func (e *recordEncoder) flush(cursor string) [3][]byte {
	out := &e.out
	out.heads, out.planes, out.random = out.heads[:0], out.planes[:0], out.random[:0]
	out.texts = append(out.texts[:0], e.fresh...)
	e.column = e.column[:0]
	for _, s := range e.local {
		e.column = append(e.column, s.number)
	}
	out.list(e.column)
	for i := range listHole {
		e.column = append(e.column[:0], e.lists[i]...)
		out.list(e.column)
	}
	e.putHoles()
	out.texts = append(append(out.texts, e.plain...), e.words...)
	out.random = append(out.random, e.given...)
	begin := binary.AppendUvarint(appendString(nil, cursor), uint64(len(out.random)))
	rest := binary.AppendUvarint(binary.AppendUvarint(e.text[:0], uint64(len(out.heads))), uint64(len(out.planes)))
	rest = append(append(append(rest, out.heads...), out.planes...), out.texts...)
	parts := [3][]byte{begin, out.random, rest}
	e.text = rest
	e.clip(encoderMark{})
	if cap(rest)+cap(e.literal) > 2<<20 { // one record was very large
		e.text, e.loose, e.plain, e.fresh, e.out = nil, nil, nil, nil, columns{}
	}
	return parts
}

// list appends how many numbers there are, and their column. The numbers are changed.
func (c *columns) list(values []uint64) {
	c.heads = binary.AppendUvarint(c.heads, uint64(len(values)))
	if len(values) > 0 {
		c.number(values)
	}
}
