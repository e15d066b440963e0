package record_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/record"
)

func TestDifferences(t *testing.T) {
	for name, c := range map[string]struct {
		ours   string
		copies []string
		want   []record.Difference
	}{
		"nothing": {`{"a": 1, "b": "ü"}`, []string{`{"b":"\u00fc","a":1}`}, nil},
		"fields": {`{"a": 1, "b": 2, "c": 3}`, []string{`{"a": 1.0, "b": 2}`, `{"d": null, "a": 1}`}, []record.Difference{
			{Field: "a", Ours: "1", Copies: []string{"1.0", "1"}}, {Field: "b", Ours: "2", Copies: []string{"2", ""}},
			{Field: "c", Ours: "3", Copies: []string{"", ""}}, {Field: "d", Ours: "", Copies: []string{"", "null"}},
		}},
		"stamps":    {`{"a": 1, "_morango_fields": {}}`, []string{`{"a": 1}`}, nil},
		"empty":     {"", []string{`{"a": 1}`}, []record.Difference{{Field: "a", Copies: []string{"1"}}}},
		"no object": {`{"a": 1}`, []string{"x\xff"}, []record.Difference{{Ours: `"{\"a\": 1}"`, Copies: []string{`"x?"`}}}},
	} {
		if diff := cmp.Diff(c.want, record.Differences(c.ours, c.copies)); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

func TestSet(t *testing.T) {
	got, err := record.Set(`{"a": 1, "keep": 12345678901234567890.10, "b": 2}`,
		map[string]string{"b": ` {"x":[1]} `, "z": "null", "c": `"é"`})
	if want := `{"a": 1, "keep": 12345678901234567890.10, "b": {"x": [1]}, "c": "\u00e9", "z": null}`; got != want || err != nil {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	if got, err := record.Set("", map[string]string{"a": "1"}); got != `{"a": 1}` || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	for _, bad := range []string{"", "x", "NaN", "1 2", "\"\xff\""} {
		if got, err := record.Set("{}", map[string]string{"a": bad}); err == nil {
			t.Errorf("%q became %s", bad, got)
		}
	}
	if _, err := record.Set("[]", nil); err == nil {
		t.Error("a list got fields")
	}
}

func TestFill(t *testing.T) {
	for _, c := range []struct{ text, other, want string }{
		{`{"a":1}`, `{"a": 2, "b": 1.10, "c": [1,2]}`, `{"a": 1, "b": 1.1, "c": [1, 2]}`},
		{`{"a":1}`, `{"a": 2}`, `{"a":1}`}, {`{"a":1}`, "", `{"a":1}`}, {`{"a":1}`, "broken", `{"a":1}`}, {"broken", `{"a": 1}`, "broken"},
	} {
		if got := record.Fill(c.text, c.other); got != c.want {
			t.Errorf("%s and %s: %s, want %s", c.text, c.other, got, c.want)
		}
	}
}

func TestCanonical(t *testing.T) {
	m := note(model.MergeReference)
	r := record.Record{ID: noteID(0), Serialized: `{"title":"a","parent_id":null,"new":1.10,"modified":"2026-01-01 00:00"}`}
	got, err := record.Canonical(r, m, time.Time{}, nil)
	want := `{"title": "a", "parent_id": null, "new": 1.1, "modified": "2026-01-01T00:00:00Z", "id": "` + noteID(0) + `", "body": null, "size": 7}`
	if got != want || err != nil {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	r.Serialized = `{"size": "much"}`
	var field *record.FieldError
	if _, err := record.Canonical(r, m, time.Time{}, nil); !errors.As(err, &field) || field.Column != "size" {
		t.Errorf("error %v", err)
	}
	if fields, err := record.Fields(`{"a": [1,2]}`); err != nil || fields["a"] != "[1,2]" || len(fields) != 1 {
		t.Errorf("fields %v, %v", fields, err)
	}
	if _, err := record.Fields("[]"); err == nil || !strings.Contains(err.Error(), "not an object") {
		t.Errorf("fields of a list: %v", err)
	}
}
