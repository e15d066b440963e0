package wire

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/record"
)

// recordDecoder reads the records of one stream.
type recordDecoder struct {
	profile                       string
	models, partitions, instances []string
	ids                           []rawID // that stand in texts
	text                          []byte  // that is put together

	in      []byte // what is left of the frame
	section []byte // what is left of the frame's ids and moments
	moment  int64  // the one before, in microseconds since 1970
	texts   int    // length of the texts that the frame's records may still have
	entries int    // of histories that they may still have
	err     error  // the first; then nothing more is read
}

// decode reads the payload of a frame of records, and the cursor that is reached with it.
func (d *recordDecoder) decode(payload []byte) (records []record.Record, cursor string, err error) {
	d.in, d.texts, d.entries = payload, MaxFrame, MaxFrameHistory
	beginTable(&d.models, MaxWords)
	beginTable(&d.partitions, MaxWords)
	beginTable(&d.instances, MaxWords)
	beginTable(&d.ids, MaxIDs)
	cursor = string(d.bytes(d.number(MaxCursor, "bytes of a cursor")))
	d.section = d.bytes(d.number(MaxFrame, "bytes of ids and moments in a frame"))
	count := d.number(MaxFrameRecords, "records in a frame")
	records = make([]record.Record, 0, min(count, uint64(len(payload))))
	for ; count > 0 && d.err == nil; count-- {
		records = append(records, d.record())
	}
	if d.err == nil && len(d.in)+len(d.section) > 0 {
		d.fail("%d bytes after a frame's last record, and %d of ids and moments", len(d.in), len(d.section))
	}
	if d.err != nil {
		return nil, "", d.err
	}
	return records, cursor, nil
}

func (d *recordDecoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = malformed(format, args...)
	}
}

func (d *recordDecoder) record() record.Record {
	flags := d.bytes(1)
	if d.err != nil {
		return record.Record{}
	}
	f := flags[0]
	r := record.Record{Profile: d.profile, Deleted: f&flagDeleted != 0, HardDeleted: f&flagHardDeleted != 0}
	if f&flagID != 0 {
		r.ID = d.id()
	}
	r.Model = d.word(&d.models, d.plain)
	r.Partition = d.word(&d.partitions, d.plain)
	if f&flagSourceID != 0 {
		r.SourceID = d.id()
	} else {
		r.SourceID = d.plain()
	}
	if f&flagID == 0 && d.err == nil {
		r.ID = ident.Record(r.Partition, r.SourceID, r.Model)
		if n := strings.Count(r.Partition, ident.Placeholder); n > 0 && d.spend(n*ident.Length) {
			r.Partition = strings.ReplaceAll(r.Partition, ident.Placeholder, r.ID)
		}
	}
	r.Version = counter.Version{Instance: d.word(&d.instances, d.id), Counter: d.counter()}
	if f&flagSelfRef != 0 {
		self := wordOf(d, &d.ids, MaxIDs, d.rawID)
		r.SelfRef = hex.EncodeToString(self[:])
	}
	values := cuts(r)
	r.Serialized = d.cutText(f, values)
	if f&flagConflicting != 0 {
		r.Conflicting = d.cutText(f, values)
	}
	if id, ok := parseID(r.ID); ok && len(d.ids) < MaxIDs {
		d.ids = append(d.ids, id)
	}
	r.History = d.history(f, r.Version)
	return r
}

func (d *recordDecoder) history(flags byte, v counter.Version) counter.Counters {
	all := counter.Counters{v.Instance: v.Counter}
	if flags&flagHistory != 0 {
		n := d.number(MaxFrameHistory, "entries of a history")
		if d.entries -= int(n); d.entries < 0 {
			d.fail("the histories of a frame have more than %d entries", MaxFrameHistory)
		}
		for ; n > 0 && d.err == nil; n-- {
			instance := d.word(&d.instances, d.id)
			all[instance] = d.counter()
		}
	}
	for instance, n := range all {
		if n == 0 {
			delete(all, instance)
		}
	}
	return all
}

// bytes takes n bytes of the frame.
func (d *recordDecoder) bytes(n uint64) []byte {
	if d.err == nil && n > uint64(len(d.in)) {
		d.fail("a frame ends within a record")
	}
	if d.err != nil {
		return nil
	}
	taken := d.in[:n]
	d.in = d.in[n:]
	return taken
}

func (d *recordDecoder) number(limit uint64, what string) uint64 {
	if d.err != nil {
		return 0
	}
	n, size := binary.Uvarint(d.in)
	if size <= 0 {
		d.fail("a number is cut off")
		return 0
	}
	if n > limit {
		d.err = fmt.Errorf("%w: %d %s", ErrTooLarge, n, what)
		return 0
	}
	d.in = d.in[size:]
	return n
}

func (d *recordDecoder) counter() int64 {
	return int64(d.number(counter.Greatest, "as a counter"))
}

// id takes an id, the next of the section.
func (d *recordDecoder) id() string {
	raw, _ := d.rawID()
	if d.err != nil {
		return ""
	}
	var text [ident.Length]byte
	hex.Encode(text[:], raw[:])
	return string(text[:])
}

// rawID is id as it came; each gets a number where there is one left.
func (d *recordDecoder) rawID() (id rawID, kept bool) {
	if d.err == nil && len(d.section) < len(id) {
		d.fail("a frame has too few ids")
	}
	if d.err == nil {
		d.section = d.section[copy(id[:], d.section):]
	}
	return id, true
}

// spend takes a length from what the texts of a frame may have.
func (d *recordDecoder) spend(n int) bool {
	if d.texts -= n; d.texts < 0 && d.err == nil {
		d.err = fmt.Errorf("%w: texts of more than %d bytes in a frame", ErrTooLarge, MaxFrame)
	}
	return d.err == nil
}

func (d *recordDecoder) plain() string {
	return string(d.bytes(d.number(MaxFrame, "bytes of a text")))
}

func (d *recordDecoder) cutText(flags byte, values [4]string) string {
	raw := d.bytes(d.number(MaxFrame, "bytes of a text"))
	if flags&flagCut == 0 {
		return string(raw)
	}
	return d.paste(raw, values)
}

// paste puts back what was cut out of a text.
func (d *recordDecoder) paste(text []byte, values [4]string) string {
	rest := d.in // the words of ids are read from the text
	defer func() { d.in = rest }()
	out := d.text[:0]
	for d.in = text; d.err == nil; {
		at := marker(d.in)
		if at < 0 {
			out = append(out, d.in...)
			break
		}
		out = append(out, d.in[:at]...)
		stands := d.in[at]
		d.in = d.in[at+1:]
		switch {
		case stands == markID:
			if id := wordOf(d, &d.ids, MaxIDs, d.rawID); d.spend(ident.Length) {
				out = hex.AppendEncode(out, id[:])
			}
		case stands > markID:
			if moment := d.nextMoment(stands); d.spend(len(momentForm(stands))) {
				out = appendMoment(out, moment, stands)
			}
		default:
			if value := values[stands-1]; d.spend(len(value)) {
				out = append(out, value...)
			}
		}
	}
	if d.text = out; cap(d.text) > 1<<20 {
		d.text = nil // it was a very long one
	}
	return string(out)
}

// beginTable forgets the words of a table at the beginning of a frame when there is no number left.
func beginTable[T any](table *[]T, most int) {
	if len(*table) == most {
		clear(*table)
		*table = (*table)[:0]
	}
}

// word reads a word of a table, or a new one with read.
func (d *recordDecoder) word(table *[]string, read func() string) string {
	return wordOf(d, table, MaxWords, func() (string, bool) {
		word := read()
		return word, len(word) <= MaxWord
	})
}

// wordOf reads a word of a table with so many numbers, or a new one with read, which says
// whether it gets one.
func wordOf[T any](d *recordDecoder, table *[]T, most int, read func() (word T, kept bool)) (none T) {
	n := d.number(uint64(most), "as the number of a word")
	switch {
	case d.err != nil:
		return none
	case n > uint64(len(*table)):
		d.fail("word %d where there are %d", n, len(*table))
		return none
	case n > 0:
		return (*table)[n-1]
	}
	word, kept := read()
	if d.err == nil && kept && len(*table) < most {
		*table = append(*table, word)
	}
	return word
}
