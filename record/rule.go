package record

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
)

// Func merges the JSON texts of two versions of a record, of which neither has seen
// the other. It gets them in the order of their bytes, so it cannot tell whose is
// whose. Merged must be a JSON object. Lost says that something of the two is not in
// it: then both are kept with the record, for a person to look at.
//
// It must depend on nothing but the two texts, and merging one of them with the
// result must give the result: peers that merge at once then end with one text. One
// that fails, panics or gives no object loses nothing: the greater text stays, and
// the other is kept with the record.
type Func func(a, b string) (merged string, lost bool, err error)

// Rule is how conflicting versions of one model's records are merged. The zero value
// is the reference rule.
//
// All rules OR the deleted flags, and leave no text when either side is hard-deleted.
// All but the reference rule are deterministic and commutative: whoever merges the
// same two versions, whichever of them is his own, gets the same content.
type Rule struct {
	kind   model.MergeKind
	by     *model.Column // tells the moment of the last change
	tree   string        // column of the self-reference, "" for none
	custom Func
}

// RuleOf returns the rule of a model; of nil, a model that this build does not know,
// it is the reference rule. custom is used where the profile says so.
func RuleOf(m *model.Model, custom Func) Rule {
	if m == nil || m.Merge.Kind == "" || m.Merge.Kind == model.MergeReference {
		return Rule{}
	}
	r := Rule{kind: m.Merge.Kind, custom: custom}
	if m.Merge.By != "" {
		r.by, _ = m.Column(m.Merge.By)
	}
	if c := m.SelfReference(); c != nil {
		r.tree = c.Name
	}
	return r
}

// IsReference reports whether this is the reference rule.
func (r Rule) IsReference() bool { return r.kind == "" }

// Merge joins two versions of one record that are in conflict, mine being the
// receiver's; next is a fresh version of the receiver, which the result gets where
// Settle asks for one.
func (r Rule) Merge(mine, theirs Record, next counter.Version) Record {
	merged, fresh := r.Settle(mine, theirs)
	if fresh {
		merged.Version = next
		merged.History[next.Instance] = max(merged.History[next.Instance], next.Counter)
	}
	return merged
}

// Settle is Merge but for the version: when the merged content is new, fresh is true
// and the version is left for the caller to give. Histories are united. Equal content
// is joined under the greater of both versions. Under a rule other than the
// reference's content that is one side's stays under that side's version: all who
// have the version have the content.
func (r Rule) Settle(mine, theirs Record) (merged Record, fresh bool) {
	switch {
	case SameContent(mine, theirs):
		merged = mine
		if less(mine.Version, theirs.Version) {
			merged.Version = theirs.Version
		}
	case r.IsReference():
		merged, fresh = keep(mine, theirs), true
	default:
		merged = r.content(mine, theirs)
		switch {
		case SameContent(merged, mine):
			merged.Version = mine.Version
		case SameContent(merged, theirs):
			merged.Version = theirs.Version
		default:
			fresh = true
		}
	}
	if fresh {
		merged.Version = counter.Version{}
	}
	merged.History = united(mine.History, theirs.History)
	return merged, fresh
}

// content merges everything but version and history. Nothing in it may depend on
// which side is mine.
func (r Rule) content(mine, theirs Record) Record {
	// The id fixes most of these; where it does not, all have to choose the same.
	merged := slices.MaxFunc([]Record{mine, theirs}, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Profile, b.Profile), cmp.Compare(a.Model, b.Model),
			cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.SourceID, b.SourceID))
	})
	merged.Deleted = mine.Deleted || theirs.Deleted
	merged.HardDeleted = mine.HardDeleted || theirs.HardDeleted
	merged.SelfRef = max(mine.SelfRef, theirs.SelfRef)
	if merged.HardDeleted {
		merged.Serialized, merged.Conflicting = "{}", ""
		return merged
	}
	var lost []string
	switch r.kind {
	case model.MergeFields:
		merged.Serialized, lost = r.fields(mine, theirs)
	case model.MergeCustom:
		merged.Serialized, lost = r.byFunc(mine.Serialized, theirs.Serialized)
	default:
		merged.Serialized, lost = r.newest(mine.Serialized, theirs.Serialized)
	}
	merged.SelfRef = parent(merged, r.tree)
	merged.Conflicting = r.copies(merged, mine, theirs, lost)
	return merged
}

// newest keeps the text with the later moment, of equal ones the greater. Keys that
// it lacks, those of a newer schema, come from the other.
func (r Rule) newest(a, b string) (text string, lost []string) {
	older, newer := normal(a), normal(b)
	if r.compare(older, newer) > 0 {
		older, newer = newer, older
	}
	text = Fill(newer, older)
	if !within(older, text) {
		lost = append(lost, older)
	}
	return text, lost
}

// normal is a text in the reference's spelling, if it is an object.
func normal(text string) string {
	if list, err := members(text); err == nil {
		return write(list)
	}
	return text
}

// within reports whether everything in a text is in another one too.
func within(part, whole string) bool {
	inPart, errPart := members(part)
	inWhole, errWhole := members(whole)
	if errPart != nil || errWhole != nil {
		return part == whole || part == ""
	}
	placeOf := places(inWhole)
	return !slices.ContainsFunc(inPart, func(m member) bool {
		i, has := placeOf[m.key]
		return !has || inWhole[i].raw != m.raw
	})
}

// compare orders texts by the moment of the last change, then by their bytes.
func (r Rule) compare(a, b string) int {
	if r.by == nil || a == b {
		return strings.Compare(a, b)
	}
	listA, _ := members(a) // none when it is no object: the lowest moment
	listB, _ := members(b)
	return cmp.Or(cmp.Compare(r.moment(listA), r.moment(listB)), strings.Compare(a, b))
}

// byFunc has the program's own function merge.
func (r Rule) byFunc(a, b string) (text string, lost []string) {
	if a > b {
		a, b = b, a
	}
	text, isLost, err := call(r.custom, a, b)
	if err != nil {
		text, isLost = b, true
	}
	if isLost {
		lost = []string{a, b}
	}
	return text, lost
}

// call runs a function of the program's, which may be broken in every way.
func call(f Func, a, b string) (text string, lost bool, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("the merge function panicked: %v", reason)
		}
	}()
	if f == nil {
		return "", false, errors.New("there is no merge function")
	}
	if text, lost, err = f(a, b); err == nil {
		_, err = members(text)
	}
	if err == nil && strings.IndexByte(text, 0) >= 0 {
		err = errors.New("the merged text has a NUL")
	}
	return text, lost, err
}

// Parent is the self-reference that a record's text has by its model, or the record's
// own when the text tells none.
func Parent(r Record, m *model.Model) string {
	c := m.SelfReference()
	if c == nil {
		return r.SelfRef
	}
	return parent(r, c.Name)
}

func parent(r Record, column string) string {
	if column == "" {
		return r.SelfRef
	}
	list, _ := members(r.Serialized)
	at := find(list, column)
	switch {
	case at < 0:
	case list[at].raw == "null":
		return ""
	case list[at].raw[0] == '"':
		if id := unquote(list[at].raw); ident.Valid(id) {
			return id
		}
	}
	return r.SelfRef
}

// find returns the place of a key, -1 when it is not there.
func find(list []member, key string) int {
	return slices.IndexFunc(list, func(m member) bool { return m.key == key })
}

// places are the places of all keys.
func places(list []member) map[string]int {
	of := make(map[string]int, len(list))
	for i, m := range list {
		of[m.key] = i
	}
	return of
}

// Fill returns a JSON object's text with the keys that it lacks and other has put
// behind its own. A text that needs nothing stays as it is, byte for byte.
func Fill(text, other string) string {
	if other == "" || other == "{}" {
		return text
	}
	have, errHave := members(text)
	more, errMore := members(other)
	if errHave != nil || errMore != nil {
		return text
	}
	placeOf := places(have)
	more = slices.DeleteFunc(more, func(m member) bool {
		_, has := placeOf[m.key]
		return has
	})
	if len(more) == 0 {
		return text
	}
	return write(append(have, more...))
}

// write is the text of an object, in the reference's spelling.
func write(list []member) string {
	text := append(make([]byte, 0, 256), '{')
	for _, m := range list {
		text = appendNormal(appendComma(text), m.rawKey)
		text = appendNormal(append(text, ": "...), m.raw)
	}
	return string(append(text, '}'))
}

// never is the moment of a record that tells none.
const never = math.MinInt64

// moment is when a record was changed last, as its column says: microseconds of a
// time, whole numbers as they are, never when it says nothing that can be read.
func (r Rule) moment(list []member) int64 {
	at := -1
	if r.by != nil {
		at = find(list, r.by.Name)
	}
	if at < 0 || list[at].raw == "null" {
		return never
	}
	v, err := cell(r.by, list[at].raw)
	if text, ok := v.(string); ok && err == nil {
		v, err = moment(withoutZone(text))
	}
	if err != nil {
		return never
	}
	switch v := v.(type) {
	case int64:
		return v
	case time.Time:
		return v.UnixMicro()
	}
	return never
}

// Meet merges a row that is saved as next with old, the store's version, which the
// application had not got yet when it changed the row. Values stand in the order of
// m.Serialized(). Which columns it changed is not known then, so all count as changed
// with the row. other reports whether the merged text is another than the row's, which
// then is to be deserialized. For rules other than the reference rule.
func (r Rule) Meet(old Record, m *model.Model, values []any, selfRef string, next counter.Version) (merged Record, other bool, err error) {
	mine := old
	if mine.Serialized, err = Update(Bare(old.Serialized), m, values); err != nil {
		return Record{}, false, err
	}
	mine.Conflicting, mine.SelfRef = "", selfRef
	mine.Version, mine.History = next, nil // nobody knows what it has seen
	merged, _ = r.Settle(mine, old)
	merged.Version = next
	return merged, Bare(merged.Serialized) != Bare(mine.Serialized), nil
}
