package record

import (
	"time"

	"github.com/morango-go/morango/model"
)

// FieldError says why a record cannot become a row. Its text is what goes into
// the store row's deserialization_error.
type FieldError struct {
	Column string // "" when the text as a whole is at fault
	Reason string
}

// Error names the column and the reason.
func (e *FieldError) Error() string {
	if e.Column == "" {
		return e.Reason
	}
	return e.Column + ": " + e.Reason
}

// Decode turns a record's JSON text into the values of a row, in the order of
// m.Columns, local columns included (they get their default, or nil). The values
// are canonical (see Encode), defaults are applied and constraints checked. id,
// source id and partition come from the store row; an id in the text that differs
// is an error. now and random fill defaults; random returns a fresh id. Any error
// is a *FieldError.
func Decode(m *model.Model, id, sourceID, partition, serialized string, now time.Time, random func() string) ([]any, error) {
	panic("not written")
}
