package wire

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/record"
)

// Texts are cut into segments, and out of these is cut what differs from record to record: what
// the record says anyway, ids, moments, and the values of JSON. What is left is the same in nearly
// all records of a model, and so a word; the values stand in columns.

// shortest is what is worth a byte in place of it.
const shortest = 8

// The bytes that stand for something in a segment. Those from 1 on stand for what cutsOf returns;
// those after markEnd are holes, whose values are in a column each.
const (
	markEnd    = 6    // the text ends here
	markID     = 7    // a word of the ids
	markSpaced = 8    // 2026-03-06 04:29:25.571260, as Django writes it
	markMicros = 0x0b // 2026-03-06T04:29:25.571260, as Python does
	markMillis = 0x0c // 2026-03-06T04:29:25.571, as JavaScript does
	markNumber = 0x0e // a whole number
	markFloat  = 0x0f // another, to all its digits
	markText   = 0x10
	marks      = 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<markEnd | 1<<markID | 1<<markSpaced | 1<<markMicros | 1<<markMillis |
		1<<markNumber | 1<<markFloat | 1<<markText
)

// isMark says whether a byte stands for something.
func isMark(c byte) bool { return c <= markText && marks>>c&1 != 0 }

// isHole says whether a byte stands for a hole.
func isHole(c byte) bool { return c > markEnd && isMark(c) }

// cuts are what the bytes from 1 on stand for.
type cuts [5]string

// cutsOf are a record's id, partition, source id and self-reference, and the id with which the
// partition ends: whose record it is.
func cutsOf(r record.Record) cuts {
	owner := ""
	if at := len(r.Partition) - ident.Length; at >= 0 && ident.Valid(r.Partition[at:]) {
		owner = r.Partition[at:]
	}
	return cuts{r.ID, r.Partition, r.SourceID, r.SelfRef, owner}
}

// cutOrder has what can begin with others first.
var cutOrder = [5]int{1, 2, 0, 4, 3}

// cuttable says whether the record's texts have none of the bytes that stand for something.
func cuttable(r record.Record) bool {
	return !hasMark(r.Serialized) && !hasMark(r.Conflicting) && !hasMark(r.SourceID) && !hasMark(r.Partition)
}

// hasMark says whether a text has a byte that stands for something. Nearly no text has any byte that is
// as low, and eight are looked at at once.
func hasMark(text string) bool {
	const each, top = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(text); i += 8 {
		eight := uint64(text[i]) | uint64(text[i+1])<<8 | uint64(text[i+2])<<16 | uint64(text[i+3])<<24 |
			uint64(text[i+4])<<32 | uint64(text[i+5])<<40 | uint64(text[i+6])<<48 | uint64(text[i+7])<<56
		if (eight-(markText+1)*each)&^eight&top != 0 && slices.ContainsFunc([]byte(text[i:i+8]), isMark) {
			return true
		}
	}
	return slices.ContainsFunc([]byte(text[i:]), isMark)
}

// putText puts a text of a record.
func (e *recordEncoder) putText(text string, cut bool) {
	if !cut {
		e.putPlain(text)
		return
	}
	e.text = append(e.text[:0], text...)
	e.cut(e.text)
	e.endSegment(true)
}

// putPath puts a partition or a source id.
func (e *recordEncoder) putPath(text string, cut bool) {
	if cut {
		e.cutPath(text)
	} else {
		e.putPlain(text)
	}
}

func (e *recordEncoder) putPlain(text string) {
	e.put(listPlain, uint64(len(text)))
	e.plain = append(e.plain, text...)
}

// cut cuts a text at its quotes.
func (e *recordEncoder) cut(text []byte) {
	for {
		at := bytes.IndexByte(text, '"') + 1
		if at == 0 {
			e.keep(text)
			return
		}
		e.keepItems(text[:at])
		text = text[at:]
		if rest, ok := e.cutQuoted(text); ok {
			text = rest
		} else if len(text) > 0 && text[0] == ':' {
			text = e.cutValue(text)
		}
	}
}

// cutPath cuts a partition or a source id: these are often made of ids, with colons between them.
func (e *recordEncoder) cutPath(text string) {
	for more := true; more; {
		var piece string
		piece, text, more = strings.Cut(text, ":")
		if id, ok := parseID(piece); ok && e.isRoom() {
			e.holeID(id)
		} else {
			e.keep([]byte(piece))
		}
		if more {
			e.keepByte(':')
		}
	}
	e.endSegment(true)
}

// cutQuoted cuts what the record says anyway, a moment or an id with which a quoted text begins.
func (e *recordEncoder) cutQuoted(text []byte) (rest []byte, ok bool) {
	for _, i := range cutOrder {
		if value := e.known[i]; len(value) >= shortest && len(text) >= len(value) && text[0] == value[0] && string(text[:len(value)]) == value {
			e.keepByte(byte(i + 1))
			return text[len(value):], true
		}
	}
	if len(text) < shortMoment || !e.isRoom() {
		return text, false
	}
	if moment, form := parseMoment(text); form != 0 {
		e.hole(form, uint64(moment-e.moment))
		e.moment = moment
		return text[len(momentForm(form)):], true
	}
	if len(text) > ident.Length && (text[ident.Length] == '"' || text[ident.Length] == '\\') {
		if id, ok := parseID(text[:ident.Length]); ok {
			e.holeID(id)
			return text[ident.Length:], true
		}
	}
	return text, false
}

// cutValue cuts the value that follows a colon, if it is one.
func (e *recordEncoder) cutValue(text []byte) []byte {
	n := 1
	for n < len(text) && (text[n] == ' ' || text[n] == '\\') {
		n++
	}
	if n == len(text) || !e.isRoom() {
		return text
	}
	switch c := text[n]; {
	case c == '"':
		within := text[n-1] == '\\' // of another text
		n++
		e.keep(text[:n])
		if rest, ok := e.cutQuoted(text[n:]); ok {
			return rest
		}
		return e.cutString(text[n:], within)
	case c == '-' || c-'0' <= 9:
		e.keep(text[:n])
		return e.cutNumber(text[n:])
	}
	for _, word := range [3]string{"true", "false", "null"} {
		if len(text) > n+len(word) && string(text[n:n+len(word)]) == word {
			e.keep(text[:n])
			e.holeText(text[n : n+len(word)])
			return text[n+len(word):]
		}
	}
	return text
}

// cutString cuts a text that ends with a quote. JSON within a text is cut by its own quotes.
func (e *recordEncoder) cutString(text []byte, within bool) []byte {
	if len(text) == 0 || text[0] == '{' || text[0] == '[' {
		return text
	}
	n := 0
	for n < len(text) && text[n] != '"' && !isMark(text[n]) {
		if text[n] == '\\' {
			if within {
				break
			}
			n++ // what follows is part of the text
		}
		n++
	}
	if n >= len(text) || isMark(text[n]) {
		return text
	}
	if v, ok := whole(text[:n]); ok {
		e.hole(markNumber, uint64(v))
	} else {
		e.holeText(text[:n])
	}
	return text[n:]
}

// cutNumber cuts a number.
func (e *recordEncoder) cutNumber(text []byte) []byte {
	n := 0
	for n < len(text) && (text[n]-'0' <= 9 || text[n] == '.' || text[n] == '-' || text[n] == '+' || text[n]|0x20 == 'e') {
		n++
	}
	number := text[:n]
	if v, ok := whole(bytes.TrimSuffix(number, []byte(".0"))); ok {
		e.hole(markNumber, uint64(v))
		return text[len(strconv.AppendInt(e.digits[:0], v, 10)):]
	}
	if v, ok := exactFloat(number); ok {
		e.hole(markFloat, v)
	} else {
		e.holeText(number)
	}
	return text[n:]
}

// whole reads a whole number that is written as it would be again.
func whole(text []byte) (int64, bool) {
	digits := bytes.TrimPrefix(text, []byte("-"))
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(text) > 1 {
		return 0, false
	}
	n := decimal(digits)
	if n >= 0 && len(digits) < len(text) {
		return -n, true
	}
	return n, n >= 0
}

// How long a number is that is worth eight bytes and has no exponent, and how little it may be.
const (
	shortFloat = 12
	longFloat  = 24
	leastFloat = 1e-30
)

// exactFloat reads a number that is written as it would be again, as its eight bytes.
func exactFloat(text []byte) (bits uint64, ok bool) {
	if len(text) < shortFloat || len(text) > longFloat {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return 0, false
	}
	var room [longFloat]byte
	return math.Float64bits(v), v != 0 && bytes.Equal(appendFloat(room[:0], v), text)
}

// appendFloat appends a number in the shortest form that gives it again, without an exponent.
func appendFloat(dst []byte, v float64) []byte { return strconv.AppendFloat(dst, v, 'f', -1, 64) }
