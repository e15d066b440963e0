package record_test

import (
	"errors"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/morango-go/morango/record"
)

var seeds = []string{
	``, `{}`, `null`, `{"id": "0123456789abcdef0123456789abcdef", "text": "\ud800"}`, `{"float": 1e999, "integer": "1"}`,
	`{"datetime": "2020-01-01T00:00:00Z", "json": "[1, NaN]"}`, `{"boolean": 1.0, "decimal": "1.5"}`, `{"x": [[{"y": -0}]]}`,
}

// Whatever a peer sends, Decode gives values that Encode takes, or says which
// column is at fault.
func FuzzDecode(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	m := everything()
	f.Fuzz(func(t *testing.T, text string) {
		values, err := record.Decode(m, id, "s", "p", text, time.Time{}, func() string { return id })
		if err != nil {
			var fault *record.FieldError
			if !errors.As(err, &fault) {
				t.Fatalf("not a FieldError: %v", err)
			}
			return
		}
		encoded, err := record.Encode(m, values[:len(values)-1])
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if _, err := record.Decode(m, id, "s", "p", encoded, time.Time{}, never); err != nil {
			t.Fatalf("%q, encoded again as %q: %v", text, encoded, err)
		}
	})
}

// Whatever lies in the store, Update gives ASCII that it leaves alone the next
// time, or an error.
func FuzzUpdate(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	m := everything()
	row := make([]any, len(m.Serialized()))
	f.Fuzz(func(t *testing.T, old string) {
		updated, err := record.Update(old, m, row)
		if err != nil {
			return
		}
		for i := range len(updated) {
			if updated[i] >= utf8.RuneSelf || updated[i] < ' ' {
				t.Fatalf("more than printable ASCII: %q", updated)
			}
		}
		again, err := record.Update(updated, m, row)
		if err != nil || again != updated {
			t.Fatalf("%q: %v\n%q\n%q", old, err, updated, again)
		}
	})
}
