package record

import (
	"fmt"
	"math/big"
	"time"

	"github.com/morango-go/morango/model"
)

// Differing returns the names of the columns in which a row differs from a record's
// JSON text, as far as that would change what travels: moments count to the
// millisecond, decimals as numbers, and numbers or booleans in another spelling are
// equal. Columns that the text lacks are passed over, as are empty ones that get a
// default. Values stand in the order of m.Serialized() and are canonical (see
// Encode). A text that is no JSON object is an error.
func Differing(serialized string, m *model.Model, values []any) ([]string, error) {
	cols := m.Serialized()
	if err := countCheck(m, cols, values); err != nil {
		return nil, err
	}
	if text, err := Encode(m, values); err == nil && text == serialized {
		return nil, nil
	}
	if serialized == "" {
		serialized = "{}"
	}
	list, err := members(serialized)
	if err != nil {
		return nil, fmt.Errorf("read the stored text of a record of model %s: %w", m.Name, err)
	}
	var differing []string
	for i, c := range cols {
		raw, there := list.find(c.Name, i)
		if !there || c.Default != nil && c.Default.WhenEmpty && (raw == "null" || raw == `""`) {
			continue
		}
		if !sameCell(m, c, raw, values[i]) {
			differing = append(differing, c.Name)
		}
	}
	return differing, nil
}

// sameCell compares a column's JSON value with the row's.
func sameCell(m *model.Model, c *model.Column, raw string, value any) bool {
	ours, err := appendCell(nil, m, c, travelled(value))
	if err != nil {
		return false
	}
	theirs, err := cell(c, raw)
	if err != nil { // what this build cannot read is equal when it is the same text
		return string(appendNormal(nil, raw)) == string(ours)
	}
	if c.Type == model.Decimal && value != nil && theirs != nil {
		a, okA := new(big.Rat).SetString(fmt.Sprint(value))
		b, okB := new(big.Rat).SetString(fmt.Sprint(theirs))
		if okA && okB {
			return a.Cmp(b) == 0
		}
	}
	text, err := appendCell(nil, m, c, travelled(theirs))
	return err == nil && string(text) == string(ours)
}

// travelled is a value as it is after a journey: moments travel in milliseconds.
func travelled(value any) any {
	if moment, ok := value.(time.Time); ok {
		return moment.Truncate(time.Millisecond)
	}
	return value
}
