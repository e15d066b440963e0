package app

import "github.com/morango-go/morango/model"

// Row is one row of an application table. Values stand in the order of the
// model's Columns and are canonical: nil, string, int64, float64, bool or
// time.Time in UTC (see package record).
type Row struct {
	ID     string
	Values []any
}

// FromDatabase turns what the driver gave for a column into its canonical value.
// It takes the forms of SQLite (text ids, 0 and 1, datetimes as text) and of
// PostgreSQL. A value that the column's type cannot hold is an error that names
// the column.
func FromDatabase(c *model.Column, raw any) (any, error) { panic("not written") }
