package record

import "github.com/morango-go/morango/model"

// Encode returns the JSON text of a row, byte for byte as the reference writes
// it. Values stand in the order of m.Serialized() and are canonical: nil, string,
// int64, float64, bool or time.Time in UTC. A value that its column's type cannot
// hold is an error that names model and column.
func Encode(m *model.Model, values []any) (string, error) { panic("not written") }

// Update returns old with our columns overwritten: a dict update. Keys keep their
// places, keys that the model does not know keep their values with every digit,
// columns that were missing are appended. Old may be "", which is read as {}.
// Values stand in the order of m.Serialized(). Old that is no JSON object is an
// error.
func Update(old string, m *model.Model, values []any) (string, error) { panic("not written") }
