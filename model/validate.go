package model

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/morango-go/morango/ident"
)

// Widths of the columns of Morango's tables that a profile's names end up in.
const (
	maxProfileName = 20 // as of certificates, the narrowest
	maxModelName   = 40
	maxScopeID     = 20
)

// Validate checks the profile, fills in what may be left out (Morango's three
// serialized columns, the capture mode, the tables of references, the profile
// of scope definitions) and puts the models into dependency order, keeping the
// order given where it is one. Load and FromStructs have done so already; who
// builds a Profile by hand calls it once. The error joins all problems, each a
// *Problem.
func (p *Profile) Validate() error {
	f := newFindings("profile " + p.Name)
	p.validate(f)
	return f.err()
}

// validate is Validate with a place to look up the lines of what is checked.
func (p *Profile) validate(f *findings) {
	p.checkHead(f)
	p.checkScopes(f)
	for _, m := range p.Models {
		m.addMorangoColumns()
	}
	p.resolve(f)
	for _, m := range p.Models {
		m.check(p, f)
	}
	p.checkTables(f)
	p.order(f)
}

// checkHead checks the profile's own keys.
func (p *Profile) checkHead(f *findings) {
	f.name = strings.TrimSpace(f.name)
	checkName(f, place{key: "profile"}, "profile", p.Name, maxProfileName)
	if p.Capture == "" {
		p.Capture = CaptureTriggers
	}
	if p.Capture != CaptureTriggers && p.Capture != CaptureApplication {
		f.add(place{key: "capture"}, "unknown capture %q; it is %q or %q", p.Capture, CaptureTriggers, CaptureApplication)
	}
	if len(p.Models) == 0 {
		f.add(place{key: "models"}, "no models; a profile needs at least one")
	}
	seen := map[string]bool{}
	for _, m := range p.Models {
		at := place{model: m, key: "name"}
		checkName(f, at, "model", m.Name, maxModelName)
		if seen[m.Name] {
			f.add(at, "two models have the name %q; names are part of record ids and must be unique", m.Name)
		}
		seen[m.Name] = true
	}
}

// checkName checks a name that becomes part of ids, JSON and table rows.
func checkName(f *findings, at place, what, name string, longest int) {
	switch {
	case name == "":
		f.add(at, "the %s has no name", what)
	case utf8.RuneCountInString(name) > longest:
		f.add(at, "the name %q of the %s is longer than the %d characters its column holds", name, what, longest)
	case strings.IndexFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) >= 0:
		f.add(at, "the name %q of the %s has white space in it", name, what)
	}
}

// checkScopes checks the scope definitions and fills in their profile.
func (p *Profile) checkScopes(f *findings) {
	seen := map[string]bool{}
	for i := range p.Scopes {
		s := &p.Scopes[i]
		at := place{scope: i + 1, key: "id"}
		checkName(f, at, "scope definition", s.ID, maxScopeID)
		if seen[s.ID] {
			f.add(at, "two scope definitions have the id %q", s.ID)
		}
		seen[s.ID] = true
		if s.Profile == "" {
			s.Profile = p.Name
		}
		if s.Profile != p.Name {
			f.add(at, "scope definition %s belongs to profile %s, not to %s", s.ID, s.Profile, p.Name)
		}
		if s.Version < 0 {
			f.add(place{scope: i + 1, key: "version"}, "scope definition %s has a negative version", s.ID)
		}
		for key, template := range map[string]string{"read": s.ReadTemplate, "write": s.WriteTemplate, "read-write": s.ReadWriteTemplate} {
			if _, err := parts(template); err != nil {
				f.add(place{scope: i + 1, key: key}, "scope definition %s: %v", s.ID, err)
			}
		}
	}
}

// addMorangoColumns puts the serialized Morango columns that are not listed in
// front, in the order id, source id, partition.
func (m *Model) addMorangoColumns() {
	var missing []Column
	for _, c := range []Column{{Name: ColumnID, Type: UUID}, {Name: ColumnSourceID, Type: Text, Length: 96}, {Name: ColumnPartition, Type: Text, Length: 128}} {
		if present, ok := m.Column(c.Name); !ok {
			missing = append(missing, c)
		} else if present.Type == "" {
			present.Type = c.Type
		}
	}
	if len(missing) > 0 {
		m.Columns = append(missing, m.Columns...)
	}
}

// check checks one model; references are resolved already.
func (m *Model) check(p *Profile, f *findings) {
	if m.Table == "" {
		f.add(place{model: m}, "no table; say which table holds the rows")
	}
	seen := map[string]bool{}
	for i := range m.Columns {
		c := &m.Columns[i]
		at := place{model: m, column: c.Name, key: "name"}
		if c.Name == "" {
			f.add(place{model: m, key: "columns"}, "column number %d has no name", i+1)
		}
		if seen[c.Name] {
			f.add(at, "stands twice")
		}
		seen[c.Name] = true
		c.check(m, f)
	}
	for _, e := range m.Where {
		if c, ok := m.Column(e.Column); !ok {
			f.add(place{model: m, key: "where"}, "unknown column %q in where", e.Column)
		} else if c.Type != Text || c.Local {
			f.add(place{model: m, key: "where"}, "column %s in where must be of type text and not local: it tells whose row it is on every peer", e.Column)
		}
	}
	m.checkSource(p, f)
	m.checkPartition(f)
	m.checkOwnID(p, f)
	m.checkMerge(f)
}

// checkSource checks the source id rule and whether it can give an id.
func (m *Model) checkSource(p *Profile, f *findings) {
	at := place{model: m, key: "source"}
	switch m.Source.Kind {
	case SourceRandom:
	case SourceTemplate:
		m.checkTemplate(f, at, m.Source.Text, false)
	case SourceColumn, SourceUUID5:
		m.checkColumnName(f, at, m.Source.Text)
	case SourceRootCertificate:
		if _, ok := p.Scope(m.Source.Text); !ok {
			f.add(at, "unknown scope definition %q", m.Source.Text)
		}
	case "":
		f.add(at, "no rule for the source id; \"source: random\" is the simplest")
	default:
		f.add(at, "unknown rule %q for the source id", m.Source.Kind)
	}
	if m.Source.Kind == SourceUUID5 {
		if err := checkUUID(m.Source.Namespace); err != nil {
			f.add(at, "namespace: %v", err)
		}
	} else if m.Source.Namespace != "" {
		f.add(at, "a namespace is only for uuid5")
	}
}

// checkOwnID checks a model whose ids are its source ids. Such an id is 32 hex digits, and
// it says nothing of the partition, as a hash does: a peer could write over the record
// from any partition of its own. So the partition is made of the id and nothing else, and
// no two such models have different ones.
func (m *Model) checkOwnID(p *Profile, f *findings) {
	if !m.IDIsSource {
		return
	}
	at := place{model: m, key: "id"}
	if m.Source.Kind == SourceTemplate {
		f.add(at, "the source id is to be the id, so it must be 32 hex digits: a template does not promise that")
	}
	if c, ok := m.Column(m.Source.Text); m.Source.Kind == SourceColumn && ok && c.Type != UUID {
		f.add(at, "the source id is to be the id, so column %s must be of type uuid", c.Name)
	}
	if len(m.Partition) == 0 {
		return
	}
	template := m.Partition[0].Template
	pieces, _ := parts(template)
	foreign := func(piece part) bool { return piece.hole && piece.text != ColumnID }
	if len(m.Partition) > 1 || !strings.Contains(template, ident.Placeholder) || slices.ContainsFunc(pieces, foreign) {
		f.add(at, "the source id is to be the id, so the partition must be one template with ${id} and no other column in it: or a peer could write over the record from another partition")
	}
	for _, other := range p.Models {
		if other == m {
			return
		}
		if other.IDIsSource && len(other.Partition) > 0 && other.Partition[0].Template != template {
			f.add(at, "its source id is the id, as model %s's, so its partition must be the same template: or a record of one could be written over by one of the other", other.Name)
		}
	}
}

// checkPartition checks that exactly the last rule has no condition.
func (m *Model) checkPartition(f *findings) {
	at := place{model: m, key: "partition"}
	if len(m.Partition) == 0 {
		f.add(at, "no partition; \"partition: ''\" puts all rows into the empty one")
	}
	for i, rule := range m.Partition {
		last := i == len(m.Partition)-1
		switch {
		case rule.WhenNull == "" && !last:
			f.add(at, "rule %d has no condition, so those after it never apply", i+1)
		case rule.WhenNull != "" && last:
			f.add(at, "the last rule has a condition, so some rows get no partition")
		case rule.WhenNull != "" && m.checkColumnName(f, at, rule.WhenNull):
			if c, _ := m.Column(rule.WhenNull); !c.Nullable {
				f.add(at, "rule %d is for rows whose %s is null, but that column is not nullable", i+1, c.Name)
			}
		}
		m.checkTemplate(f, at, rule.Template, true)
	}
}

// checkTemplate checks a template over the model's columns; withID allows ${id}.
func (m *Model) checkTemplate(f *findings, at place, template string, withID bool) {
	pieces, err := parts(template)
	if err != nil {
		f.add(at, "%v", err)
		return
	}
	if !withID && template == "" {
		f.add(at, "an empty template gives no source id")
	}
	for _, piece := range pieces {
		switch {
		case !piece.hole && withID && strings.IndexFunc(piece.text, unicode.IsSpace) >= 0:
			f.add(at, "template %q has white space in it, which no filter can name", template)
		case !piece.hole:
		case piece.text == ColumnID && withID:
		case piece.text == ColumnID || piece.text == ColumnPartition || (piece.text == ColumnSourceID && !withID):
			f.add(at, "template %q uses %s, which is itself made from it", template, piece.text)
		default:
			m.checkColumnName(f, at, piece.text)
		}
	}
}

// checkColumnName notes a column that the model has not, and tells whether it has.
func (m *Model) checkColumnName(f *findings, at place, name string) bool {
	if _, ok := m.Column(name); ok {
		return true
	}
	names := make([]string, len(m.Columns))
	for i, c := range m.Columns {
		names[i] = c.Name
	}
	f.add(at, "unknown column %q; the model has %s", name, strings.Join(names, ", "))
	return false
}

// checkUUID accepts a UUID with or without dashes.
func checkUUID(text string) error {
	digits := strings.ReplaceAll(text, "-", "")
	if len(digits) != 32 || strings.Trim(digits, "0123456789abcdefABCDEF") != "" {
		return fmt.Errorf("%q is no UUID", text)
	}
	return nil
}
