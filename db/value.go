package db

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Time scans a column that holds a moment in time, in whichever form the engine
// returns it. Valid is false for null.
type Time struct {
	Time  time.Time // UTC
	Valid bool
}

// Scan implements sql.Scanner.
func (t *Time) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*t = Time{}
		return nil
	case time.Time:
		*t = Time{v.UTC(), true}
		return nil
	case []byte:
		return t.parse(string(v))
	case string:
		return t.parse(v)
	}
	return fmt.Errorf("a moment in time cannot be read from %T", src)
}

// parse reads the forms in which moments stand in SQLite's text columns: with or
// without fraction, "T" and zone. Without a zone it is UTC.
func (t *Time) parse(text string) error {
	form := strings.Replace(text, "T", " ", 1)
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05-07:00", "2006-01-02"} {
		if moment, err := time.Parse(layout, form); err == nil {
			*t = Time{moment.UTC(), true}
			return nil
		}
	}
	return fmt.Errorf("%q is not a moment in time (expected YYYY-MM-DD HH:MM:SS)", text)
}

// JSONList is the argument for IDs and Texts: a JSON array of the items.
func JSONList(items []string) string {
	if len(items) == 0 {
		return "[]"
	}
	var b strings.Builder
	if plain(items) {
		b.Grow(len(items) * (len(items[0]) + len(`"",`)))
		for i, item := range items {
			b.WriteString([]string{`["`, `","`}[min(i, 1)])
			b.WriteString(item)
		}
		b.WriteString(`"]`)
		return b.String()
	}
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(items) // strings into memory: cannot fail
	return strings.TrimSuffix(b.String(), "\n")
}

// plain reports whether no item has a character that JSON escapes: ids never have.
func plain(items []string) bool {
	for _, item := range items {
		for i := range len(item) {
			if c := item[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
				return false
			}
		}
	}
	return true
}

// Quote quotes an identifier for use in SQL text.
func Quote(identifier string) string {
	return `"` + strings.ReplaceAll(identifier, `"`, `""`) + `"`
}
