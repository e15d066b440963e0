package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/record"
)

// recordEncoder writes the records of one stream, each after the others.
type recordEncoder struct {
	models, partitions wordTable
	instances, ids     idTable
	section            []byte // the ids and moments of the frame
	moment             int64  // the one before, in microseconds since 1970
	text               []byte // of a record, while it is cut
}

// wordTable numbers the words of one kind on the sender's side.
type wordTable struct {
	numbers map[string]uint64
	order   []string
}

func newRecordEncoder() recordEncoder {
	return recordEncoder{instances: newIDTable(MaxWords), ids: newIDTable(MaxIDs)}
}

// encoderMark is what an encoder has said before a record.
type encoderMark struct {
	models, partitions, instances, ids, section int // how many, and the length
	moment                                      int64
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
}

// mark remembers what was said.
func (e *recordEncoder) mark() encoderMark {
	return encoderMark{models: len(e.models.order), partitions: len(e.partitions.order), instances: len(e.instances.order),
		ids: len(e.ids.order), section: len(e.section), moment: e.moment}
}

// reset forgets what came after the mark.
func (e *recordEncoder) reset(mark encoderMark) {
	e.models.reset(mark.models)
	e.partitions.reset(mark.partitions)
	e.instances.reset(mark.instances)
	e.ids.reset(mark.ids)
	e.section, e.moment = e.section[:mark.section], mark.moment
}

// reset forgets all words but the first.
func (t *wordTable) reset(first int) {
	for _, word := range t.order[first:] {
		delete(t.numbers, word)
	}
	t.order = t.order[:first]
}

// number finds a word's number, or 0 and gives it one.
func (t *wordTable) number(word string) uint64 {
	if n, known := t.numbers[word]; known {
		return n
	}
	if len(t.order) < MaxWords && len(word) <= MaxWord {
		if t.numbers == nil {
			t.numbers = map[string]uint64{}
		}
		t.order = append(t.order, word)
		t.numbers[word] = uint64(len(t.order))
	}
	return 0
}

func (t *wordTable) append(dst []byte, word string) []byte {
	n := t.number(word)
	dst = binary.AppendUvarint(dst, n)
	if n == 0 {
		dst = appendString(dst, word)
	}
	return dst
}

func (e *recordEncoder) appendIDWord(dst []byte, t *idTable, id rawID) []byte {
	n := t.number(id)
	if n == 0 {
		e.section = append(e.section, id[:]...)
	}
	return binary.AppendUvarint(dst, n)
}

func appendString(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// id puts a valid id into the section.
func (e *recordEncoder) id(id string) {
	raw, _ := parseID(id) // it was looked at before
	e.section = append(e.section, raw[:]...)
}

// append appends a record, and tells how many entries of its history stand there.
func (e *recordEncoder) append(dst []byte, r record.Record) ([]byte, int, error) {
	if err := encodable(r); err != nil {
		return dst, 0, fmt.Errorf("record %.40q: %w: %w", r.ID, ErrUnencodable, err)
	}
	flags := flag(r.Deleted, flagDeleted) | flag(r.HardDeleted, flagHardDeleted) | flag(r.SelfRef != "", flagSelfRef) |
		flag(r.Conflicting != "", flagConflicting) | flag(ident.Valid(r.SourceID), flagSourceID)
	partition := strings.ReplaceAll(r.Partition, r.ID, ident.Placeholder)
	if ident.Record(partition, r.SourceID, r.Model) != r.ID || strings.ReplaceAll(partition, ident.Placeholder, r.ID) != r.Partition {
		flags |= flagID
		partition = r.Partition
	}
	own, others := history(r)
	if len(own)+len(others) > 0 {
		flags |= flagHistory
	}
	cut := cuttable(r)
	if cut {
		flags |= flagCut
	}
	dst = append(dst, flags)
	if flags&flagID != 0 {
		e.id(r.ID)
	}
	dst = e.models.append(dst, r.Model)
	dst = e.partitions.append(dst, partition)
	if flags&flagSourceID != 0 {
		e.id(r.SourceID)
	} else {
		dst = appendString(dst, r.SourceID)
	}
	dst = e.appendVersion(dst, r.Version.Instance, r.Version.Counter)
	if r.SelfRef != "" {
		self, _ := parseID(r.SelfRef)
		dst = e.appendIDWord(dst, &e.ids, self)
	}
	dst = e.appendText(dst, r, r.Serialized, cut)
	if r.Conflicting != "" {
		dst = e.appendText(dst, r, r.Conflicting, cut)
	}
	id, _ := parseID(r.ID)
	e.ids.add(id) // what comes later can refer to it
	return e.appendHistory(dst, r, own, others), len(own) + len(others), nil
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

func (e *recordEncoder) appendHistory(dst []byte, r record.Record, own, others []string) []byte {
	if len(own)+len(others) == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(own)+len(others)))
	for _, instance := range slices.Concat(own, others) {
		dst = e.appendVersion(dst, instance, r.History[instance])
	}
	return dst
}

func (e *recordEncoder) appendVersion(dst []byte, instance string, n int64) []byte {
	id, _ := parseID(instance) // it was looked at before
	return binary.AppendUvarint(e.appendIDWord(dst, &e.instances, id), uint64(n))
}

// weight is how much of what a frame may hold a record takes when it is read again.
func weight(r record.Record) int { return len(r.Serialized) + len(r.Conflicting) + len(r.Partition) }

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

// Out of a record's texts is cut what the record says anyway, ids that came before, and
// moments. JSON of a row has the row's id, partition and source id in it, the ids of others that
// many rows refer to, and when it was written: these are what compresses least.

// shortest is what is worth a byte in place of it.
const shortest = 8

// markID is the byte that stands for any id in a text that is cut. Those from 1 on stand
// for what cuts returns.
const markID = 5

// lastMark is the last byte that stands for something.
const lastMark = markMillis

// cuts are what the bytes from 1 on stand for.
func cuts(r record.Record) [4]string { return [4]string{r.ID, r.Partition, r.SourceID, r.SelfRef} }

// cutOrder has what can hold others first.
var cutOrder = [4]int{1, 2, 0, 3}

// cuttable says whether the record's texts have none of the bytes that stand for something.
func cuttable(r record.Record) bool {
	for c := byte(1); c <= lastMark; c++ {
		if strings.IndexByte(r.Serialized, c) >= 0 || strings.IndexByte(r.Conflicting, c) >= 0 {
			return false
		}
	}
	return true
}

// marker finds the first byte of a text that stands for something; less than 0 if none does.
func marker(text []byte) int {
	for i, c := range text {
		if c-1 < lastMark { // 0 wraps around
			return i
		}
	}
	return -1
}

// appendText appends a text of a record with its length.
func (e *recordEncoder) appendText(dst []byte, r record.Record, text string, cut bool) []byte {
	if !cut {
		return appendString(dst, text)
	}
	e.text = append(e.text[:0], text...)
	values := cuts(r)
	for _, i := range cutOrder {
		if len(values[i]) >= shortest {
			e.text = cutOut(e.text, values[i], byte(i+1))
		}
	}
	start := len(e.text)
	e.text = e.cutQuoted(e.text)
	dst = binary.AppendUvarint(dst, uint64(len(e.text)-start))
	return append(dst, e.text[start:]...)
}

// cutQuoted appends the text to itself, with words in place of the ids that stand in quotes,
// and a byte in place of each moment that comes after one.
func (e *recordEncoder) cutQuoted(text []byte) []byte {
	out := text
	for from := text; ; {
		at := bytes.IndexByte(from, '"')
		if at < 0 {
			return append(out, from...)
		}
		at++
		out = append(out, from[:at]...)
		from = from[at:]
		if moment, form := parseMoment(from); form != 0 {
			out = append(out, form)
			e.appendMoment(moment)
			from = from[len(momentForm(form)):]
			continue
		}
		if len(from) <= ident.Length || from[ident.Length] != '"' {
			continue
		}
		id, ok := parseID(from[:ident.Length])
		if !ok {
			continue
		}
		out = e.appendIDWord(append(out, markID), &e.ids, id)
		from = from[ident.Length:]
	}
}

// cutOut puts a byte in place of a value, in the same memory.
func cutOut(text []byte, value string, stands byte) []byte {
	out := text[:0]
	for rest := text; ; {
		at := bytes.Index(rest, []byte(value))
		if at < 0 {
			return append(out, rest...)
		}
		out = append(append(out, rest[:at]...), stands)
		rest = rest[at+len(value):]
	}
}
