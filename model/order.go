package model

import (
	"fmt"
	"slices"
	"strings"
)

// Referrer is a foreign key seen from its target.
type Referrer struct {
	Model  *Model
	Column string
}

// Referrers returns the foreign keys that may point at rows of m, in the order
// of the profile, m's own self-reference among them. On a shared table a foreign
// key may point at a row of any of its models.
func (p *Profile) Referrers(m *Model) []Referrer {
	var out []Referrer
	for _, other := range p.Models {
		for _, c := range other.References() {
			if c.References.Table == m.Table {
				out = append(out, Referrer{Model: other, Column: c.Name})
			}
		}
	}
	return out
}

// resolve looks up the targets of foreign keys and notes their tables.
func (p *Profile) resolve(f *findings) {
	for _, m := range p.Models {
		trees := 0
		for i := range m.Columns {
			c := &m.Columns[i]
			if c.References == nil {
				continue
			}
			at := place{model: m, column: c.Name, key: "references"}
			target, ok := p.Model(c.References.Model)
			if !ok {
				f.add(at, "refers to model %q, which the profile has not", c.References.Model)
				continue
			}
			c.References.Table = target.Table
			if target == m || target.Table == m.Table {
				trees++
			}
			if trees > 1 {
				f.add(at, "a second self-reference; a model is a tree by one column only")
			}
		}
		for _, name := range m.After {
			if _, ok := p.Model(name); !ok {
				f.add(place{model: m, key: "after"}, "comes after model %q, which the profile has not", name)
			}
			if name == m.Name {
				f.add(place{model: m, key: "after"}, "cannot come after itself")
			}
		}
	}
}

// checkTables checks that a table is one model's own, or shared by models that
// tell their rows apart and agree on the columns.
func (p *Profile) checkTables(f *findings) {
	for i, m := range p.Models {
		for _, other := range p.Models[:i] {
			if other.Table != m.Table || m.Table == "" {
				continue
			}
			if !disjoint(m.Where, other.Where) {
				f.add(place{model: m, key: "table"}, "shares table %s with model %s, but no column in where tells their rows apart", m.Table, other.Name)
			}
			for j := range m.Columns {
				c := &m.Columns[j]
				if twin, ok := other.Column(c.Name); ok && (twin.Type != c.Type || twin.Length != c.Length || twin.Nullable != c.Nullable) {
					f.add(place{model: m, column: c.Name, key: "type"}, "shares table %s with model %s, which declares the column in another way", m.Table, other.Name)
				}
			}
		}
	}
}

// disjoint tells whether two discriminators have a column in common with
// different values.
func disjoint(a, b []Equal) bool {
	for _, x := range a {
		for _, y := range b {
			if x.Column == y.Column && x.Value != y.Value {
				return true
			}
		}
	}
	return false
}

// order puts the models into dependency order: the first in the order given
// whose dependencies are all placed comes next.
func (p *Profile) order(f *findings) {
	needs := make(map[*Model]map[*Model]bool, len(p.Models))
	for _, m := range p.Models {
		needs[m] = p.needs(m)
	}
	var sorted []*Model
	rest := slices.Clone(p.Models)
	for len(rest) > 0 {
		next := slices.IndexFunc(rest, func(m *Model) bool { return len(needs[m]) == 0 })
		if next < 0 {
			f.add(place{model: rest[0]}, "models need each other in a circle: %s; make one of the foreign keys a plain uuid column", circle(rest, needs))
			return
		}
		done := rest[next]
		for _, open := range needs {
			delete(open, done)
		}
		sorted = append(sorted, done)
		rest = slices.Delete(rest, next, next+1)
	}
	p.Models = sorted
}

// needs returns the models that must come before m. A reference to another
// table waits for all models of it; one within the own table waits for the
// model that it names.
func (p *Profile) needs(m *Model) map[*Model]bool {
	before := map[*Model]bool{}
	for _, other := range p.Models {
		if other == m {
			continue
		}
		named := slices.Contains(m.After, other.Name)
		for _, c := range m.References() {
			if c.References.Model == other.Name || (c.References.Table == other.Table && other.Table != m.Table) {
				named = true
			}
		}
		if named {
			before[other] = true
		}
	}
	return before
}

// circle spells out one circle among models of which each still needs another.
func circle(rest []*Model, needs map[*Model]map[*Model]bool) string {
	var path []string
	for at := rest[0]; ; {
		if i := slices.Index(path, at.Name); i >= 0 {
			return strings.Join(append(path[i:], at.Name), " needs ")
		}
		path = append(path, at.Name)
		next := slices.IndexFunc(rest, func(m *Model) bool { return needs[at][m] })
		if next < 0 {
			return fmt.Sprintf("%s and others", at.Name)
		}
		at = rest[next]
	}
}
