package model

// The columns that every synced table has besides its own.
const (
	ColumnID        = "id"
	ColumnSourceID  = "_morango_source_id"
	ColumnPartition = "_morango_partition"
	// ColumnDirty is never listed among a model's Columns and never serialized.
	ColumnDirty = "_morango_dirty_bit"
)

// Model returns the model of that name, or false.
func (p *Profile) Model(name string) (*Model, bool) {
	for _, m := range p.Models {
		if m.Name == name {
			return m, true
		}
	}
	return nil, false
}

// Scope returns the scope definition of that id, or false.
func (p *Profile) Scope(id string) (ScopeDefinition, bool) {
	for _, s := range p.Scopes {
		if s.ID == id {
			return s, true
		}
	}
	return ScopeDefinition{}, false
}

// Column returns the column of that name, or false. The pointer is into the
// model; its value must not be changed.
func (m *Model) Column(name string) (*Column, bool) {
	for i := range m.Columns {
		if m.Columns[i].Name == name {
			return &m.Columns[i], true
		}
	}
	return nil, false
}

// SelfReference returns the column that refers to the model's own table, nil
// when the model is not a tree. Where models share a table, its target may be a
// row of another of them: a classroom's parent is a facility.
func (m *Model) SelfReference() *Column {
	for i := range m.Columns {
		if r := m.Columns[i].References; r != nil && (r.Model == m.Name || r.Table == m.Table) {
			return &m.Columns[i]
		}
	}
	return nil
}

// References returns the foreign key columns in column order, the
// self-reference among them.
func (m *Model) References() []Column {
	var refs []Column
	for _, c := range m.Columns {
		if c.References != nil {
			refs = append(refs, c)
		}
	}
	return refs
}

// Serialized returns the columns that travel, in the order of their JSON keys. They are
// the model's own, only to be read.
func (m *Model) Serialized() []*Column {
	cols := make([]*Column, 0, len(m.Columns))
	for i := range m.Columns {
		if c := &m.Columns[i]; !c.Local {
			cols = append(cols, c)
		}
	}
	return cols
}
