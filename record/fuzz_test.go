package record_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
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

// A date or time that is read lies within the years that a database takes, and where the
// standard library reads the text too, it reads the same.
func FuzzParseTime(f *testing.F) {
	for _, text := range []string{
		"2020-01-01T00:00:00Z", "2020-02-30", "0001-01-01 00:00:00+14:00", "9999-12-31T23:59:59.999999-1259", "2020-1-1 1:1", "24:00", "1:02:03,5", "2020-01-01T00:00:00.1234567Z",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, form := range []model.Type{model.DateTime, model.Date, model.Time} {
			got, err := record.ParseTime(form, text)
			if err != nil {
				continue
			}
			if got.Year() < 1 || got.Year() > 9999 || got.Nanosecond()%1000 != 0 || got.Location() != time.UTC {
				t.Fatalf("%s %q is %v", form, text, got)
			}
			layout := map[model.Type]string{model.DateTime: time.RFC3339Nano, model.Date: time.DateOnly, model.Time: time.TimeOnly}[form]
			if want, err := time.Parse(layout, text); err == nil && form != model.Time && !want.Truncate(time.Microsecond).Equal(got) {
				t.Fatalf("%s %q is %v, not %v", form, text, got, want)
			}
		}
	})
}

// A record that passes the check is what the tables hold on every database: texts of
// valid UTF-8 without NUL, in bounds, under the id that its parts give.
func FuzzCheck(f *testing.F) {
	f.Add(ident.Record("p:a", "s", "thing"), "thing", "p:a", "s", "{}", "", id, int64(3), "p")
	f.Add(ident.Record("p:${id}", "s", "other"), "other", "p:", "s", "\xff", "\x00", "", int64(-1), "")
	f.Fuzz(func(t *testing.T, recordID, name, part, source, serialized, conflicting, instance string, n int64, filter string) {
		r := record.Record{
			ID: recordID, Model: name, Partition: part, SourceID: source, Serialized: serialized, Conflicting: conflicting, SelfRef: instance,
			Version: counter.Version{Instance: instance, Counter: n}, History: counter.Counters{instance: n},
		}
		own := ident.Record(strings.ReplaceAll(part, recordID, ident.Placeholder), source, name)
		for _, id := range []string{recordID, own} {
			if r.ID = id; record.Check(r, nil, partition.Parse(filter)) != nil {
				continue
			}
			for _, text := range []string{name, part, source, serialized, conflicting} {
				if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
					t.Fatalf("%q passed", text)
				}
			}
			if !ident.Valid(id) || !ident.Valid(instance) || n < 0 || n > math.MaxInt32 || len(name) > 160 || len(source) > 384 {
				t.Fatalf("%+v passed", r)
			}
			if !partition.Parse(filter).Contains(part) || ident.Record(strings.ReplaceAll(part, id, ident.Placeholder), source, name) != id {
				t.Fatalf("%+v passed with filter %q", r, filter)
			}
		}
	})
}
