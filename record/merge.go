package record

import (
	"maps"
	"reflect"

	"github.com/morango-go/morango/counter"
)

// Relation says how a version of a record stands to another of the same record.
type Relation int

// The relations of theirs to mine.
const (
	Same     Relation = iota // one and the same version
	Older                    // mine has seen theirs
	Newer                    // theirs has seen mine
	Conflict                 // neither has seen the other
)

// Compare returns how theirs stands to mine.
func Compare(mine, theirs Record) Relation {
	switch {
	case mine.Version == theirs.Version:
		return Same
	case seen(mine, theirs.Version):
		return Older
	case seen(theirs, mine.Version):
		return Newer
	default:
		return Conflict
	}
}

// seen reports whether a record's history includes a version.
func seen(r Record, v counter.Version) bool {
	n, ok := r.History[v.Instance]
	return ok && n >= v.Counter
}

// SameContent reports whether two versions of one record are the same in all that
// they carry but version and history, so that joining them needs no new version.
// A hard-deleted record that still has text is not the same as any: merging clears
// it.
func SameContent(mine, theirs Record) bool {
	if mine.HardDeleted && (mine.Serialized != "{}" || mine.Conflicting != "") {
		return false
	}
	mine.Version, mine.History = theirs.Version, nil
	theirs.History = nil
	return reflect.DeepEqual(mine, theirs)
}

// Merge is the reference rule's Rule.Merge: mine's text stays, theirs goes to the head
// of the conflicting texts.
func Merge(mine, theirs Record, next counter.Version) Record {
	return Rule{}.Merge(mine, theirs, next)
}

// keep is the content that the reference rule gives.
func keep(mine, theirs Record) Record {
	merged := mine
	merged.Deleted = mine.Deleted || theirs.Deleted
	merged.HardDeleted = mine.HardDeleted || theirs.HardDeleted
	if merged.HardDeleted {
		merged.Serialized, merged.Conflicting = "{}", ""
	} else {
		merged.Conflicting = theirs.Serialized + "\n" + mine.Conflicting
	}
	return merged
}

// united is the greater counter of each instance.
func united(a, b counter.Counters) counter.Counters {
	all := maps.Clone(a)
	if all == nil {
		all = counter.Counters{}
	}
	for instance, n := range b {
		all[instance] = max(all[instance], n)
	}
	return all
}

// less orders versions by counter, then by instance.
func less(a, b counter.Version) bool {
	if a.Counter != b.Counter {
		return a.Counter < b.Counter
	}
	return a.Instance < b.Instance
}
