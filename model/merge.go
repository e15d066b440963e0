package model

import (
	"slices"
	"strings"
)

// MergeKind names a rule by which two versions of a record are merged when neither
// has seen the other.
type MergeKind string

// The merge rules; package record says what each does.
const (
	MergeReference MergeKind = "reference" // the receiver's copy stays; the default
	MergeNewest    MergeKind = "newest"    // the copy with the later moment stays
	MergeFields    MergeKind = "fields"    // of each field the later change stays
	MergeCustom    MergeKind = "custom"    // a function of the embedding program decides
)

// MergeRule is a model's merge rule. By is the column that says when a row was
// changed last, for MergeNewest and MergeFields; else "". The zero value becomes
// MergeReference when the profile is validated.
type MergeRule struct {
	Kind MergeKind
	By   string
}

// MergesByRule reports whether some model has another merge rule than the reference's.
func (p *Profile) MergesByRule() bool {
	return slices.ContainsFunc(p.Models, func(m *Model) bool {
		return m.Merge.Kind != "" && m.Merge.Kind != MergeReference
	})
}

// momentTypes are the types whose values can be put in order of time: whole numbers
// count in whatever unit the application counts.
func momentTypes() []Type { return []Type{DateTime, DateTimeTZ, Date, BigInt, Integer} }

// checkMerge checks the merge rule, and fills in the default.
func (m *Model) checkMerge(f *findings) {
	at := place{model: m, key: "merge"}
	rule := &m.Merge
	if rule.Kind == "" && rule.By == "" {
		rule.Kind = MergeReference
	}
	switch rule.Kind {
	case MergeReference, MergeCustom:
		if rule.By != "" {
			f.add(at, "rule %s takes no column; \"by\" is for %s and %s", rule.Kind, MergeNewest, MergeFields)
		}
	case MergeNewest, MergeFields:
		m.checkMoment(f, at)
	default:
		f.add(at, "unknown merge rule %q; it is %s, %s, %s or %s",
			rule.Kind, MergeReference, MergeNewest, MergeFields, MergeCustom)
	}
}

// checkMoment checks the column by which the later of two changes is known.
func (m *Model) checkMoment(f *findings, at place) {
	if m.Merge.By == "" {
		f.add(at, "rule %s needs the column that says when a row was changed last, as in {rule: %s, by: modified}",
			m.Merge.Kind, m.Merge.Kind)
		return
	}
	if !m.checkColumnName(f, at, m.Merge.By) {
		return
	}
	switch c, _ := m.Column(m.Merge.By); {
	case c.Local:
		f.add(at, "column %s is local: the moment of a change must travel with it", c.Name)
	case !slices.Contains(momentTypes(), c.Type):
		f.add(at, "column %s is of type %s, which tells no moment; one of %v is needed", c.Name, c.Type, momentTypes())
	}
}

// mergeOf reads the value of the option merge in a struct's tag: "newest:modified".
func mergeOf(value string) MergeRule {
	kind, by, _ := strings.Cut(value, ":")
	return MergeRule{Kind: MergeKind(kind), By: by}
}
