package app

import (
	"fmt"

	"github.com/morango-go/morango/model"
)

// Unfilled looks at what FillIDs makes of a row. The error says why the rules give it no
// source id or no partition where it has none; will reports whether it is going to be
// given one of them.
func Unfilled(m *model.Model, row Row) (will bool, err error) {
	get := row.text(m)
	if source, _ := get(model.ColumnSourceID); source == "" {
		if _, err := m.SourceIDOf(get, func() string { return row.ID }); err != nil { // any random id will do
			return false, fmt.Errorf("it has no source id: %w", err)
		}
		will = true
	}
	if partition, _ := get(model.ColumnPartition); partition == "" {
		if partition, err = m.PartitionOf(get); err != nil {
			return false, fmt.Errorf("it has no partition: %w", err)
		}
		will = will || partition != ""
	}
	return will, nil
}
