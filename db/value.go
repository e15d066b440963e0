package db

import (
	"time"
)

// Time scans a column that holds a moment in time, in whichever form the engine
// returns it. Valid is false for null.
type Time struct {
	Time  time.Time // UTC
	Valid bool
}

// Scan implements sql.Scanner.
func (t *Time) Scan(src any) error { panic("not written") }

// JSONList is the argument for IDs and Texts: a JSON array of the items.
func JSONList(items []string) string { panic("not written") }

// Quote quotes an identifier for use in SQL text.
func Quote(identifier string) string { panic("not written") }
