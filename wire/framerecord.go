package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/record"
)

// recordEncoder writes the records of one stream, each after the others.
type recordEncoder struct {
	models, partitions, instances wordTable
	cut                           cutter
}

// wordTable numbers the words of one kind on the sender's side.
type wordTable struct {
	numbers map[string]uint64
	order   []string
}

// mark remembers how many words there are.
func (e *recordEncoder) mark() [3]int {
	return [3]int{len(e.models.order), len(e.partitions.order), len(e.instances.order)}
}

// reset forgets the words that came after the mark.
func (e *recordEncoder) reset(mark [3]int) {
	for i, t := range []*wordTable{&e.models, &e.partitions, &e.instances} {
		for _, word := range t.order[mark[i]:] {
			delete(t.numbers, word)
		}
		t.order = t.order[:mark[i]]
	}
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

func (t *wordTable) appendText(dst []byte, word string) []byte {
	n := t.number(word)
	dst = binary.AppendUvarint(dst, n)
	if n == 0 {
		dst = appendString(dst, word)
	}
	return dst
}

func (t *wordTable) appendID(dst []byte, word string) []byte {
	n := t.number(word)
	dst = binary.AppendUvarint(dst, n)
	if n == 0 {
		dst = appendID(dst, word)
	}
	return dst
}

func appendString(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// appendID appends a valid id.
func appendID(dst []byte, id string) []byte {
	dst, _ = hex.AppendDecode(dst, []byte(id)) // it was looked at before
	return dst
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
	text, conflicting, cut := e.cut.texts(r)
	if cut {
		flags |= flagCut
	}
	dst = append(dst, flags)
	if flags&flagID != 0 {
		dst = appendID(dst, r.ID)
	}
	dst = e.models.appendText(dst, r.Model)
	dst = e.partitions.appendText(dst, partition)
	if flags&flagSourceID != 0 {
		dst = appendID(dst, r.SourceID)
	} else {
		dst = appendString(dst, r.SourceID)
	}
	dst = binary.AppendUvarint(e.instances.appendID(dst, r.Version.Instance), uint64(r.Version.Counter))
	if r.SelfRef != "" {
		dst = appendID(dst, r.SelfRef)
	}
	dst = append(binary.AppendUvarint(dst, uint64(len(text))), text...)
	if r.Conflicting != "" {
		dst = append(binary.AppendUvarint(dst, uint64(len(conflicting))), conflicting...)
	}
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
		dst = binary.AppendUvarint(e.instances.appendID(dst, instance), uint64(r.History[instance]))
	}
	return dst
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

// cutter takes out of a record's texts what the record says anyway. JSON of a row has the
// row's id, partition and source id in it, and these are what compresses least.
type cutter struct{ text, conflicting []byte }

// shortest is what is worth a byte in place of it.
const shortest = 8

// cuts are what the bytes from 1 on stand for.
func cuts(r record.Record) [4]string { return [4]string{r.ID, r.Partition, r.SourceID, r.SelfRef} }

// cutOrder has what can hold others first.
var cutOrder = [4]int{1, 2, 0, 3}

// texts returns the record's texts, good until the next call, and whether they are cut.
func (c *cutter) texts(r record.Record) (text, conflicting []byte, cut bool) {
	c.text = append(c.text[:0], r.Serialized...)
	c.conflicting = append(c.conflicting[:0], r.Conflicting...)
	const stand = "\x01\x02\x03\x04"
	if strings.ContainsAny(r.Serialized, stand) || strings.ContainsAny(r.Conflicting, stand) {
		return c.text, c.conflicting, false
	}
	before := len(c.text) + len(c.conflicting)
	values := cuts(r)
	for _, i := range cutOrder {
		if len(values[i]) >= shortest {
			c.text = cutOut(c.text, values[i], byte(i+1))
			c.conflicting = cutOut(c.conflicting, values[i], byte(i+1))
		}
	}
	return c.text, c.conflicting, len(c.text)+len(c.conflicting) < before
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

// paste is the opposite of texts, for one text.
func paste(text []byte, values [4]string) string {
	var out strings.Builder
	out.Grow(pasted(text, values))
	for start, i := 0, 0; ; i++ {
		if i == len(text) {
			out.Write(text[start:])
			return out.String()
		}
		if b := text[i]; b >= 1 && b <= 4 {
			out.Write(text[start:i])
			out.WriteString(values[b-1])
			start = i + 1
		}
	}
}

// pasted is how long a text becomes.
func pasted(text []byte, values [4]string) int {
	length := len(text)
	for _, b := range text {
		if b >= 1 && b <= 4 {
			length += len(values[b-1]) - 1
		}
	}
	return length
}
