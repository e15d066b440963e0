package wire

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// Time is a point in time with the text form of the reference: UTC, "Z", six
// digits of a second or none.
type Time struct{ time.Time }

// String is the text form, such as 2026-11-22T01:31:39.294708Z.
func (t Time) String() string {
	utc := t.UTC().Truncate(time.Microsecond)
	if utc.Nanosecond() == 0 {
		return utc.Format("2006-01-02T15:04:05Z")
	}
	return utc.Format("2006-01-02T15:04:05.000000Z")
}

// MarshalText gives the text form.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads ISO 8601 text with "Z" or an offset.
func (t *Time) UnmarshalText(text []byte) error {
	parsed, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return fmt.Errorf("%.40q is no time such as 2026-11-22T01:31:39.294708Z", text)
	}
	t.Time = parsed.UTC()
	return nil
}

// MarshalJSON gives the text form. It stands here because the one of time.Time would
// otherwise count.
func (t Time) MarshalJSON() ([]byte, error) { return []byte(`"` + t.String() + `"`), nil }

// UnmarshalJSON reads a string as UnmarshalText does.
func (t *Time) UnmarshalJSON(text []byte) error {
	var inner string
	if err := json.Unmarshal(text, &inner); err != nil {
		return err
	}
	return t.UnmarshalText([]byte(inner))
}
