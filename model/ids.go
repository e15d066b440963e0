package model

// Get reads a column of one row as text; false stands for null.
type Get = func(column string) (string, bool)

// PartitionOf returns the row's partition by the model's rules, with
// ident.Placeholder still inside where the row's own id belongs.
func (m *Model) PartitionOf(get func(column string) (string, bool)) (string, error) {
	panic("not written")
}

// SourceIDOf returns the row's source id by the model's rule. random gives a
// fresh 32-hex id and is asked only where the rule needs one.
func (m *Model) SourceIDOf(get func(column string) (string, bool), random func() string) (string, error) {
	panic("not written")
}

// IDOf returns the id of a row with that source id; partition still holds
// ident.Placeholder where the row's own id belongs.
func (m *Model) IDOf(partition, sourceID string) string { panic("not written") }

// CheckID tells whether id is what partition and source id give. partition is
// as stored: the own id in place of the placeholder.
func (m *Model) CheckID(id, partition, sourceID string) error { panic("not written") }
