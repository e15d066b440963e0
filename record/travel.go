package record

import (
	"errors"
	"math"
	"strings"
	"unicode/utf8"
)

// Travels reports why a row's value cannot travel: there are databases or peers that
// cannot hold it, and the record would lie with them unapplied. Nil when it can.
func Travels(value any) error {
	switch v := value.(type) {
	case string:
		if !utf8.ValidString(v) {
			return errors.New("the text is not valid UTF-8")
		}
		if strings.IndexByte(v, 0) >= 0 {
			return errors.New("the text has a NUL, which PostgreSQL cannot hold")
		}
	case float64:
		if math.IsNaN(v) {
			return errors.New("the float is not a number, which JSON cannot say")
		}
	}
	return nil
}

// Readable reports whether a record's text is a JSON object, or empty, which is read as
// one without keys.
func Readable(serialized string) bool {
	if serialized == "" {
		return true
	}
	_, err := members(serialized)
	return err == nil
}

// Printable is a text without what a database may refuse in it.
func Printable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// Reason is the text of an error of Check without the record's name, for lists that name
// the record beside it.
func Reason(r Record, err error) string {
	text := err.Error()
	for _, name := range []string{"record " + r.ID + " of model " + r.Model + ": ", "record " + r.ID + ": "} {
		text = strings.TrimPrefix(text, name)
	}
	return text
}
