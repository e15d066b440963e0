package record

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/model"
)

// fieldsKey is the key under which a record that is merged by fields carries when
// each of its fields was changed last. It travels in the record's text, as a key that
// other builds and peers do not know and therefore keep:
//
//	"_morango_fields": {"of": "0123456789abcdef", "base": "100 0 aaaa1111:5", "since": {"name": "150 0 bbbb2222:9"}}
//
// base is the stamp of all fields but those under since; of is a digest of the other
// keys, which tells when somebody changed one without knowing of stamps.
const fieldsKey = "_morango_fields"

// stamp says when a field was changed: at what moment of the column that tells it,
// how many changes before it claim the same moment or a later one, and by which
// version of the record, in short. A change always has a greater stamp than all that
// it was made upon, whatever the clocks say. So of two values of a field the one with
// the greater stamp is the newer one in either case: when one side has only kept what
// the common ancestor had, and when both have changed it.
type stamp struct {
	at, tick int64
	writer   string // beginning of the instance id, ":" and counter
}

func (s stamp) compare(t stamp) int {
	return cmp.Or(cmp.Compare(s.at, t.at), cmp.Compare(s.tick, t.tick), strings.Compare(s.writer, t.writer))
}

// after is the stamp of a change made at a moment upon what has stamp s.
func (s stamp) after(at int64, writer string) stamp {
	if at > s.at {
		return stamp{at: at, writer: writer}
	}
	return stamp{at: s.at, tick: min(s.tick, mostTicks-1) + 1, writer: writer}
}

func (s stamp) String() string { return fmt.Sprintf("%d %d %s", s.at, s.tick, s.writer) }

const (
	mostTicks   = 1 << 40
	writerStart = 8 // digits of an instance id: enough to tell those of one record apart
)

func parseStamp(raw string) (s stamp, ok bool) {
	if len(raw) > 100 || raw[0] != '"' {
		return s, false
	}
	parts := strings.Split(unquote(raw), " ")
	if len(parts) != 3 {
		return s, false
	}
	var errAt, errTick error
	s.at, errAt = strconv.ParseInt(parts[0], 10, 64)
	s.tick, errTick = strconv.ParseInt(parts[1], 10, 64)
	s.writer = parts[2]
	return s, errAt == nil && errTick == nil && s.tick >= 0 && s.tick <= mostTicks && s.String() == unquote(raw)
}

// writerOf is a version in the short form of stamps.
func writerOf(v counter.Version) string {
	return fmt.Sprintf("%s:%d", v.Instance[:min(len(v.Instance), writerStart)], v.Counter)
}

// hasSeen reports whether a record's history includes what a stamp's writer made.
func hasSeen(history counter.Counters, writer string) bool {
	start, number, _ := strings.Cut(writer, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || start == "" {
		return false
	}
	for instance, seen := range history {
		if strings.HasPrefix(instance, start) && seen >= n {
			return true
		}
	}
	return false
}

// stamped are the fields of a record with their stamps.
type stamped struct {
	list   []member // without the stamps' own key; values in normal spelling
	stamps []stamp
	last   stamp // the greatest of the record
}

// readFields reads a record's fields. Where there are no stamps, all fields are of
// the record's own moment and version. Where somebody has changed fields without
// knowing of stamps, which ones is not known: all count as changed with that version.
func (r Rule) readFields(text string, v counter.Version) (f stamped, ok bool) {
	if text == "" {
		text = "{}"
	}
	list, err := members(text)
	if err != nil {
		return f, false
	}
	raw := ""
	if at := find(list, fieldsKey); at >= 0 {
		raw = list[at].raw
		list = slices.Delete(list, at, at+1)
	}
	for i := range list {
		list[i].raw = string(appendNormal(nil, list[i].raw))
	}
	base := stamp{at: r.moment(list), writer: writerOf(v)}
	of, told, since := parseStamps(raw)
	if raw != "" {
		last := told
		for _, s := range since {
			last = slices.MaxFunc([]stamp{last, s}, stamp.compare)
		}
		if of == digest(list) {
			base = told
		} else {
			base, since = last.after(base.at, base.writer), nil
		}
	}
	f = stamped{list: list, stamps: make([]stamp, len(list)), last: base}
	for i, m := range list {
		s, changed := since[m.key]
		if !changed {
			s = base
		}
		f.stamps[i] = s
		f.last = slices.MaxFunc([]stamp{f.last, s}, stamp.compare)
	}
	return f, true
}

// parseStamps reads the value under fieldsKey; what cannot be read is as if it were
// not there, and of is then no digest.
func parseStamps(raw string) (of string, base stamp, since map[string]stamp) {
	base.at = never
	list, err := members(raw)
	if err != nil {
		return "", base, nil
	}
	since = map[string]stamp{}
	for _, m := range list {
		ok := true
		switch m.key {
		case "of":
			of = strings.Trim(m.raw, `"`)
		case "base":
			base, ok = parseStamp(m.raw)
		case "since":
			var each []member
			each, err = members(m.raw)
			for _, one := range each {
				s, good := parseStamp(one.raw)
				since[one.key] = s
				ok = ok && good
			}
			ok = ok && err == nil
		}
		if !ok {
			return "", stamp{at: never}, nil
		}
	}
	return of, base, since
}

// digest is that of the fields, whatever their order.
func digest(list []member) string {
	lines := make([]string, len(list))
	for i, m := range list {
		lines[i] = string(appendQuoted(nil, m.key)) + ":" + m.raw
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:8])
}

// text is the record's JSON text, with the stamps at its end.
func (f stamped) text() string {
	base := stamp{at: never}
	if len(f.stamps) > 0 {
		base = slices.MinFunc(f.stamps, stamp.compare)
	}
	since := map[string]stamp{}
	for i, m := range f.list {
		if f.stamps[i] != base {
			since[m.key] = f.stamps[i]
		}
	}
	raw := []byte(`{"of": "` + digest(f.list) + `", "base": `)
	raw = append(appendQuoted(raw, base.String()), `, "since": {`...)
	for i, key := range slices.Sorted(maps.Keys(since)) {
		if i > 0 {
			raw = append(raw, ", "...)
		}
		raw = append(appendQuoted(raw, key), ": "...)
		raw = appendQuoted(raw, since[key].String())
	}
	raw = append(raw, "}}"...)
	return write(append(slices.Clone(f.list), member{key: fieldsKey, rawKey: `"` + fieldsKey + `"`, raw: string(raw)}))
}

// fields takes each field from the side that changed it last. lost are the sides of
// which a change was dropped that the other had not seen, other than of the moment.
func (r Rule) fields(mine, theirs Record) (text string, lost []string) {
	a, okA := r.readFields(mine.Serialized, mine.Version)
	b, okB := r.readFields(theirs.Serialized, theirs.Version)
	switch {
	case !okA && !okB:
		return r.newest(mine.Serialized, theirs.Serialized)
	case !okA:
		return b.text(), []string{mine.Serialized}
	case !okB:
		return a.text(), []string{theirs.Serialized}
	}
	merged := a
	merged.list, merged.stamps = slices.Clone(a.list), slices.Clone(a.stamps)
	lostMine, lostTheirs, sameKeys := false, false, len(a.list) == len(b.list)
	placeOf := places(a.list)
	for j, m := range b.list {
		i, both := placeOf[m.key]
		sameKeys = sameKeys && both && i == j
		if !both {
			merged.list, merged.stamps = append(merged.list, m), append(merged.stamps, b.stamps[j])
			continue
		}
		took, dropped := b.stamps[j], a.stamps[i]
		seen := hasSeen(theirs.History, dropped.writer)
		isTheirs := compareFields(a.list[i].raw, dropped, m.raw, took) < 0
		if isTheirs {
			merged.list[i], merged.stamps[i] = m, took
		} else {
			seen = hasSeen(mine.History, took.writer)
		}
		if isMoment := r.by != nil && m.key == r.by.Name; a.list[i].raw != m.raw && !seen && !isMoment {
			lostMine, lostTheirs = lostMine || isTheirs, lostTheirs || !isTheirs
		}
	}
	if !sameKeys { // then no side's order is better
		merged.sort()
	}
	if lostMine {
		lost = append(lost, mine.Serialized)
	}
	if lostTheirs {
		lost = append(lost, theirs.Serialized)
	}
	return merged.text(), lost
}

// compareFields orders two values of a field by their stamps. Of those with one
// moment, as when two peers made the same record, any value goes over null.
func compareFields(a string, atA stamp, b string, atB stamp) int {
	return cmp.Or(cmp.Compare(atA.at, atB.at), cmp.Compare(atA.tick, atB.tick),
		-cmp.Compare(isNull(a), isNull(b)), strings.Compare(a, b), strings.Compare(atA.writer, atB.writer))
}

func isNull(raw string) int {
	if raw == "null" || raw == `"null"` { // the second in columns of JSON
		return 1
	}
	return 0
}

// sort puts the fields in the order of their keys.
func (f *stamped) sort() {
	from := places(f.list)
	list, stamps := make([]member, 0, len(from)), make([]stamp, 0, len(from))
	for _, key := range slices.Sorted(maps.Keys(from)) {
		list, stamps = append(list, f.list[from[key]]), append(stamps, f.stamps[from[key]])
	}
	f.list, f.stamps = list, stamps
}

// Update is the function Update for a row that is saved as next, where old is the
// record as it was: under the rule fields it also notes which of them changed.
func (r Rule) Update(old Record, m *model.Model, values []any, next counter.Version) (string, error) {
	text, err := Update(old.Serialized, m, values)
	if err != nil || r.kind != model.MergeFields {
		return text, err
	}
	return r.Restamp(old, m, text, next), nil
}

// Restamp notes in a text that replaces that of old and is saved as next which fields
// it changes. Rules other than fields leave the text as it is.
func (r Rule) Restamp(old Record, m *model.Model, text string, next counter.Version) string {
	if r.kind != model.MergeFields {
		return text
	}
	before, okOld := r.readFields(old.Serialized, old.Version)
	now, okNew := r.readFields(text, next)
	if !okOld || !okNew {
		return text
	}
	change := before.last.after(r.moment(now.list), writerOf(next))
	changed := false
	base := before.last
	if len(before.stamps) > 0 {
		base = slices.MinFunc(before.stamps, stamp.compare)
	}
	placeOf := places(before.list)
	for i, f := range now.list {
		switch at, had := placeOf[f.key]; {
		case had && before.list[at].raw == f.raw:
			now.stamps[i] = before.stamps[at]
		case !had && isDefault(m, f):
			now.stamps[i] = base // a schema's doing, no one's change
		default:
			now.stamps[i], changed = change, true
		}
	}
	if !changed {
		return text
	}
	return now.text()
}

// isDefault reports whether a field has the value that rows get when the column is
// new.
func isDefault(m *model.Model, f member) bool {
	c, known := m.Column(f.key)
	if !known {
		return false
	}
	if d := c.Default; d != nil {
		if d.Now || d.Random {
			return true
		}
		raw, err := appendCell(nil, m, c, defaultFor(c.Type, d.Value))
		return err == nil && string(raw) == f.raw
	}
	return isNull(f.raw) == 1
}
