package record_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/record"
)

// everything is a model with a column of every type, all of them nullable.
func everything() *model.Model {
	m := &model.Model{Name: "thing", Table: "thing"}
	for _, name := range []string{model.ColumnID, model.ColumnSourceID, model.ColumnPartition} {
		m.Columns = append(m.Columns, model.Column{Name: name, Type: model.Text})
	}
	m.Columns[0].Type = model.UUID
	for _, t := range []model.Type{
		model.UUID, model.DashedUUID, model.Text, model.Integer, model.SmallInt, model.BigInt, model.Float,
		model.Decimal, model.Boolean, model.DateTime, model.DateTimeTZ, model.Date, model.Time, model.JSON,
	} {
		m.Columns = append(m.Columns, model.Column{Name: string(t), Type: t, Nullable: true})
	}
	m.Columns = append(m.Columns, model.Column{Name: "here", Type: model.Text, Local: true, Default: &model.Default{Value: "only"}})
	return m
}

const id = "0123456789abcdef0123456789abcdef"

// drawn makes a row of everything, without the local column.
func drawn(t *rapid.T) []any {
	hex := rapid.StringMatching(`[0-9a-f]{32}`)
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.ReplaceAll(strings.ToValidUTF8(rapid.String().Draw(t, "text"), ""), "\x00", "")
	})
	at := rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMilli(rapid.Int64Range(-6e13, 2.5e14).Draw(t, "at")).UTC()
	})
	or := func(v any) any {
		if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
			return nil
		}
		return v
	}
	moment := at.Draw(t, "moment")
	year, month, day := moment.Date()
	clock := time.Date(1, 1, 1, moment.Hour(), moment.Minute(), moment.Second(), moment.Nanosecond(), time.UTC)
	float := rapid.Float64().Filter(func(f float64) bool { return !math.IsNaN(f) }).Draw(t, "float")
	return []any{
		id, "source", "part",
		or(hex.Draw(t, "uuid")), or(hex.Draw(t, "dashed")), or(text.Draw(t, "plain")),
		or(int64(rapid.Int32().Draw(t, "int"))), or(int64(rapid.Int16().Draw(t, "small"))), or(rapid.Int64().Draw(t, "big")),
		or(float), or(rapid.StringMatching(`-?[0-9]{1,30}(\.[0-9]{1,30})?`).Draw(t, "decimal")), or(rapid.Bool().Draw(t, "bool")),
		or(moment), or(moment.Format("2006-01-02 15:04:05.000000") + "(Africa/Nairobi)"),
		or(time.Date(year, month, day, 0, 0, 0, 0, time.UTC)), or(clock), or(`{"a": ` + string(asText(t, text.Draw(t, "inner"))) + `}`),
	}
}

func asText(t interface{ Fatal(...any) }, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func never() string { panic("no random value is wanted") }

func TestEncodeThenDecodeGivesTheRowBack(t *testing.T) {
	m := everything()
	rapid.Check(t, func(t *rapid.T) {
		row := drawn(t)
		text, err := record.Encode(m, row)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("more than printable ASCII: %q", text)
		}
		got, err := record.Decode(m, id, "source", "part", text, time.Time{}, never)
		if err != nil {
			t.Fatalf("decode %s: %v", text, err)
		}
		if diff := cmp.Diff(append(row, "only"), got); diff != "" {
			t.Fatalf("%s (-row +decoded):\n%s", text, diff)
		}
	})
}

func TestUpdateKeepsWhatItDoesNotKnow(t *testing.T) {
	m := everything()
	rapid.Check(t, func(t *rapid.T) {
		unknown := rapid.SampledFrom([]string{
			`12345678901234567890`, `0.1000000000000000055511151231257827`, `{"b": [1, {"c": null}], "a": ""}`, `"\ud800"`,
			`"\u00e9\ud83d\ude00"`, `true`, `[]`, `{}`, `1e-400`, `NaN`, `"\\\"/"`,
		})
		before, after := unknown.Draw(t, "before"), unknown.Draw(t, "after")
		row := drawn(t)
		encoded, err := record.Encode(m, row)
		if err != nil {
			t.Fatal(err)
		}
		old := `{"zzz": ` + before + `, "id": 5, "text": "old", "\u00e9": ` + after + `}`
		updated, err := record.Update(old, m, row)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(updated, `{"zzz": `+before+`, "id": "`+id+`", "text": `) {
			t.Fatalf("keys have moved: %s", updated)
		}
		if !strings.Contains(updated, `, "\u00e9": `+after+`, "_morango_source_id": `) {
			t.Fatalf("the other unknown key is lost or moved: %s", updated)
		}
		again, err := record.Update(updated, m, row)
		if err != nil || again != updated {
			t.Fatalf("a second update changes the text: %v\n%s\n%s", err, updated, again)
		}
		same, err := record.Update(encoded, m, row)
		if err != nil || same != encoded {
			t.Fatalf("updating with the same row changes the text: %v\n%s\n%s", err, encoded, same)
		}
	})
}

func TestUpdateSpellsAsTheReference(t *testing.T) {
	m := &model.Model{Name: "m", Columns: []model.Column{{Name: "a", Type: model.Integer}}}
	for old, want := range map[string]string{
		"":                                `{"a": 1}`,
		"{}":                              `{"a": 1}`,
		` { "b":1.10,"c":[ 1 , 2.50 ] } `: `{"b": 1.1, "c": [1, 2.5], "a": 1}`,
		`{"a":0,"b":"é\/","a":5,"c":1E5}`: `{"a": 1, "b": "\u00e9/", "c": 100000.0}`,
		`{"b":1e+100,"c":-0.0,"d":1e16}`:  `{"b": 1e+100, "c": -0.0, "d": 1e+16, "a": 1}`,
		`{"b":12345678901234567890.1}`:    `{"b": 12345678901234567890.1, "a": 1}`,
		"{\"b\":\"\\ud83d\\ude00\x7f\"}":  `{"b": "\ud83d\ude00\u007f", "a": 1}`,
	} {
		got, err := record.Update(old, m, []any{int64(1)})
		if err != nil || got != want {
			t.Errorf("Update(%q) = %q, %v; want %q", old, got, err, want)
		}
	}
}

func TestUpdateRefusesWhatIsNoObject(t *testing.T) {
	m := &model.Model{Name: "m", Columns: []model.Column{{Name: "a", Type: model.Integer}}}
	deep := strings.Repeat("[", 600) + strings.Repeat("]", 600)
	for _, old := range []string{
		"null", "[1]", "not json", `"text"`, "{", `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1}x`, `{'a':1}`, `{"a":01}`,
		`{"a":"\x"}`, `{"a":"\u12g4"}`, "{\"a\":\"\n\"}", "{\"a\":\"\xff\"}", `{"a":` + deep + `}`, `{"a":1.}`, `{"a":-}`, `{a:1}`,
	} {
		if got, err := record.Update(old, m, []any{int64(1)}); err == nil {
			t.Errorf("Update(%.40q) = %q, want an error", old, got)
		}
	}
}

func TestDecodeJudgesAsTheReference(t *testing.T) {
	least := 1.0
	for _, c := range []struct {
		column model.Column
		text   string // of the column; "" when it is missing
		want   any    // nil and fails: an error
		fails  bool
	}{
		{model.Column{Type: model.Text, Length: 3}, `"abcé"`, nil, true},
		{model.Column{Type: model.Text, Length: 4}, `"abcé"`, "abcé", false},
		{model.Column{Type: model.Text}, `[]`, "[]", false},
		{model.Column{Type: model.Text}, `true`, "True", false},
		{model.Column{Type: model.Text}, `null`, nil, true},
		{model.Column{Type: model.Text}, `"\u0000"`, nil, true},
		{model.Column{Type: model.Text}, `"\ud800"`, nil, true},
		{model.Column{Type: model.Text}, ``, nil, true},
		{model.Column{Type: model.Text, Nullable: true}, ``, nil, false},
		{model.Column{Type: model.Text, Check: model.Constraint{MinLength: 1}}, `""`, nil, true},
		{model.Column{Type: model.Text, Check: model.Constraint{Choices: []string{"a"}}}, `"b"`, nil, true},
		{model.Column{Type: model.Text, Check: model.Constraint{Choices: []string{"a"}}}, `""`, "", false},
		{model.Column{Type: model.Text, Check: model.Constraint{Pattern: "a|b"}}, `"ab"`, nil, true},
		{model.Column{Type: model.Text, Default: &model.Default{Value: "x", WhenEmpty: true}}, `""`, "x", false},
		{model.Column{Type: model.Integer}, `1.9`, int64(1), false},
		{model.Column{Type: model.Integer}, `" -5 "`, int64(-5), false},
		{model.Column{Type: model.Integer}, `true`, int64(1), false},
		{model.Column{Type: model.Integer}, `3000000000`, nil, true},
		{model.Column{Type: model.BigInt}, `9223372036854775807`, int64(math.MaxInt64), false},
		{model.Column{Type: model.BigInt}, `9223372036854775808`, nil, true},
		{model.Column{Type: model.BigInt}, `Infinity`, nil, true},
		{model.Column{Type: model.Integer, Check: model.Constraint{Min: &least}}, `0`, nil, true},
		{model.Column{Type: model.Float}, `2`, 2.0, false},
		{model.Column{Type: model.Float}, `"1e3"`, 1000.0, false},
		{model.Column{Type: model.Float}, `NaN`, nil, true},
		{model.Column{Type: model.Float}, `{}`, nil, true},
		{model.Column{Type: model.Float, Default: &model.Default{Value: int64(2)}}, ``, 2.0, false},
		{model.Column{Type: model.Boolean}, `1.0`, true, false},
		{model.Column{Type: model.Boolean}, `"f"`, false, false},
		{model.Column{Type: model.Boolean}, `"true"`, nil, true},
		{model.Column{Type: model.Boolean}, `2`, nil, true},
		{model.Column{Type: model.Decimal}, `1.50`, "1.50", false},
		{model.Column{Type: model.Decimal}, `"1,5"`, nil, true},
		{model.Column{Type: model.UUID}, `"0123456789ABCDEF0123456789abcdef"`, id, false},
		{model.Column{Type: model.UUID}, `"01234567-89ab-cdef-0123-456789abcdef"`, nil, true},
		{model.Column{Type: model.DashedUUID}, `"01234567-89ab-cdef-0123-456789abcdef"`, id, false},
		{model.Column{Type: model.UUID}, `5`, nil, true},
		{model.Column{Type: model.JSON, Nullable: true}, `"null"`, nil, false},
		{model.Column{Type: model.JSON}, `"{\"a\":1}"`, `{"a":1}`, false},
		{model.Column{Type: model.JSON}, `{"a":1}`, `{"a": 1}`, false},
		{model.Column{Type: model.JSON}, `"{"`, nil, true},
	} {
		checkColumn(t, c.column, c.text, c.want, c.fails)
	}
}

func checkColumn(t *testing.T, c model.Column, text string, want any, fails bool) {
	t.Helper()
	c.Name = "c"
	m := &model.Model{Name: "m", Columns: []model.Column{{Name: model.ColumnID, Type: model.UUID}, c}}
	object := `{"c": ` + text + `}`
	if text == "" {
		object = `{}`
	}
	got, err := record.Decode(m, id, "", "", object, time.Time{}, never)
	var fault *record.FieldError
	switch {
	case fails && (!errors.As(err, &fault) || fault.Column != "c"):
		t.Errorf("%s %s: want an error of the column, got %v, %v", c.Type, object, got, err)
	case !fails && err != nil:
		t.Errorf("%s %s: %v", c.Type, object, err)
	case !fails && !cmp.Equal(got[1], want):
		t.Errorf("%s %s: got %#v, want %#v", c.Type, object, got[1], want)
	}
}

func TestDecodeReadsMoments(t *testing.T) {
	at := func(hour, minute, second, micro int) time.Time {
		return time.Date(2020, 2, 3, hour, minute, second, micro*1000, time.UTC)
	}
	for text, want := range map[string]any{
		"2020-02-03T04:05:06Z":             at(4, 5, 6, 0),
		"2020-02-03T04:05:06.123Z":         at(4, 5, 6, 123000),
		"2020-02-03 04:05:06.1234567":      at(4, 5, 6, 123456),
		"2020-2-3 4:5":                     at(4, 5, 0, 0),
		"2020-02-03T04:05:06+02:00":        at(2, 5, 6, 0),
		"2020-02-03T04:05:06,5-0130":       at(5, 35, 6, 500000),
		"2020-02-03":                       at(0, 0, 0, 0),
		"2020-13-45T00:00:00Z":             nil,
		"2019-02-29":                       nil,
		"0000-01-01T00:00:00Z":             nil,
		"0001-01-01T00:00:00+01:00":        nil,
		"1111111111111111111111111111111":  nil,
		"not-a-date":                       nil,
		"2020-02-03T24:00:00Z":             nil,
		"2020-02-03T04:05:06Z\\n":          nil,
		"2020-02-03T04:05:06.1234567890Zz": nil,
	} {
		checkColumn(t, model.Column{Type: model.DateTime}, `"`+text+`"`, want, want == nil)
	}
	checkColumn(t, model.Column{Type: model.DateTime}, `5`, nil, true)
	checkColumn(t, model.Column{Type: model.DateTimeTZ}, `"2026-11-22 01:07:05.580304(UTC)"`, "2026-11-22 01:07:05.580304(UTC)", false)
	checkColumn(t, model.Column{Type: model.DateTimeTZ}, `"yesterday(UTC)"`, nil, true)
	checkColumn(t, model.Column{Type: model.DateTimeTZ}, `"2026-11-22  01:07:05(UTC)"`, nil, true)
	checkColumn(t, model.Column{Type: model.DateTimeTZ}, `"2026-11-22 01:07:05(UTC"`, nil, true)
	checkColumn(t, model.Column{Type: model.DateTimeTZ}, `"2026-11-22 01:07:05()"`, nil, true)
}

func TestDecodeFillsDefaultsAndTakesIdentityFromTheStore(t *testing.T) {
	m := everything()
	now := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	for i := range m.Columns {
		switch m.Columns[i].Type {
		case model.DateTime, model.DateTimeTZ:
			m.Columns[i].Default = &model.Default{Now: true}
		case model.DashedUUID:
			m.Columns[i].Default = &model.Default{Random: true}
		}
	}
	got, err := record.Decode(m, id, "s", "p", `{"here": "travelled", "_morango_partition": 5}`, now, func() string { return id })
	if err != nil {
		t.Fatal(err)
	}
	moment := time.Date(2026, 3, 1, 11, 0, 0, 123456000, time.UTC)
	want := []any{id, "s", "p", nil, id, nil, nil, nil, nil, nil, nil, nil, moment, "2026-03-01 11:00:00.123456(UTC)", nil, nil, nil, "only"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	for _, text := range []string{`{"id": "f123456789abcdef0123456789abcdef"}`, `{"id": 5}`, `null`, `[]`, ``, `{`} {
		var fault *record.FieldError
		if _, err := record.Decode(m, id, "s", "p", text, now, never); !errors.As(err, &fault) {
			t.Errorf("Decode(%q): want a FieldError, got %v", text, err)
		}
	}
}

func TestEncodeRefusesWhatTheTypeCannotHold(t *testing.T) {
	for _, c := range []struct {
		t model.Type
		v any
	}{
		{model.Integer, "1"}, {model.Text, int64(1)}, {model.Boolean, int64(1)}, {model.Float, int64(1)},
		{model.DateTime, "2020-01-01"}, {model.Text, "\xff"}, {model.Integer, time.Time{}}, {model.Text, []byte("x")},
	} {
		m := &model.Model{Name: "m", Columns: []model.Column{{Name: "c", Type: c.t}}}
		if text, err := record.Encode(m, []any{c.v}); err == nil {
			t.Errorf("Encode of %T as %s: got %s, want an error", c.v, c.t, text)
		}
	}
	if _, err := record.Encode(everything(), nil); err == nil {
		t.Error("Encode with too few values: want an error")
	}
}

func TestCarries(t *testing.T) {
	for text, want := range map[string]bool{
		`{"a": 1, "b": null}`: true, `{"\u0062": 1}`: true, `{"a": {"b": 1}}`: false, `{"a": "b"}`: false, `{}`: false,
		``: false, `null`: false, `["b"]`: false, `{"b": 1`: false, "{\"b\": \"\xff\"}": false,
	} {
		if got := record.Carries(text, []string{"c", "b"}); got != want {
			t.Errorf("%q carries b: %v", text, got)
		}
	}
}

// Of a key that stands twice the last value counts, at the place of the first, in a text of
// few keys as in one of many.
func TestRepeatedKeys(t *testing.T) {
	m := &model.Model{Name: "m"}
	for _, more := range []int{0, 200} {
		var filler strings.Builder
		for i := range more {
			fmt.Fprintf(&filler, `, "k%d": %d`, i, i)
		}
		want := `{"b": 3, "a": 2` + filler.String() + `}`
		got, err := record.Update(`{"b": 1, "a": 2`+filler.String()+`, "b": 3}`, m, nil)
		if err != nil || got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}
