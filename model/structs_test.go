package model_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/model"
)

type class struct {
	model.Row `morango:"class; table=school_class; source=column:title; partition=${_morango_source_id}"`

	ID    string `morango:"id"`
	Title string `morango:"title; length=50; min-length=1; unique"`
	Above *class // not tagged: no column
}

type badge struct {
	model.Row `morango:"badge; source=random; id=source; partition=${id}:badge"`
	Colour    string `morango:"colour"`
}

type times struct {
	Created time.Time  `morango:"created; default-now"`
	Seen    *time.Time `morango:"seen; local"`
}

type pupil struct {
	model.Row `morango:"pupil; source=uuid5:name:aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa; partition=${class_id}:pupil; partition-when-null=class_id:none; where=kind:pupil; after=class"`
	times

	Name    string          `morango:"name"`
	Kind    string          `morango:"kind; default=pupil; choices=pupil|guest"`
	ClassID *string         `morango:"class_id; references=class"`
	Seat    int16           `morango:"seat; default=3; min=1; max=40"`
	Height  float64         `morango:"height; default=1; when-empty"`
	Present bool            `morango:"present; default=true"`
	Notes   json.RawMessage `morango:"notes; default={}"`
	Token   string          `morango:"token; type=uuid-dashed; default-random"`
	Code    string          `morango:"code; pattern=[A-Z]+"`
}

const schoolYAML = `
profile: school
scopes: [{id: all, read-write: "${x}"}]
models:
  - name: badge
    table: badge
    source: random
    id: source
    partition: "${id}:badge"
    columns: [{name: colour, type: text}]
  - name: class
    table: school_class
    source: {column: title}
    partition: "${_morango_source_id}"
    columns:
      - {name: _morango_source_id, type: text, length: 96}
      - {name: _morango_partition, type: text, length: 128}
      - {name: id, type: uuid}
      - {name: title, type: text, length: 50, min-length: 1, unique: true}
  - name: pupil
    table: pupil
    source: {uuid5: name, namespace: aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa}
    partition:
      - {when-null: class_id, template: none}
      - {template: "${class_id}:pupil"}
    where: {kind: pupil}
    after: [class]
    columns:
      - {name: created, type: datetime, default: {now: true}}
      - {name: seen, type: datetime, nullable: true, local: true}
      - {name: name, type: text}
      - {name: kind, type: text, default: pupil, choices: [pupil, guest]}
      - {name: class_id, type: uuid, nullable: true, references: class}
      - {name: seat, type: smallint, default: 3, min: 1, max: 40}
      - {name: height, type: float, default: {value: 1, when-empty: true}}
      - {name: present, type: boolean, default: true}
      - {name: notes, type: json, default: "{}"}
      - {name: token, type: uuid-dashed, default: {random: true}}
      - {name: code, type: text, pattern: "[A-Z]+"}
`

// Both ways of declaring end in the same value.
func TestStructsAndYAMLAgree(t *testing.T) {
	scopes := []model.ScopeDefinition{{ID: "all", Version: 1, ReadWriteTemplate: "${x}"}}
	fromStructs, err := model.FromStructs("school", scopes, badge{}, &pupil{}, class{})
	if err != nil {
		t.Fatal(err)
	}
	fromYAML, err := model.Load("school.yaml", strings.NewReader(schoolYAML))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromYAML, fromStructs); diff != "" {
		t.Errorf("-YAML +structs\n%s", diff)
	}
	if scopes[0].Profile != "" {
		t.Errorf("the caller's scope definitions were changed")
	}
}

func TestStructsThatAreNoModels(t *testing.T) {
	type noRow struct {
		Name string `morango:"name"`
	}
	type badField struct {
		model.Row `morango:"bad; source=random; partition=x"`
		Channel   chan int `morango:"channel"`
	}
	type badOptions struct {
		model.Row `morango:"bad; source=random; partition=x; table=t; where=kind; colour=red; id=mine"`
		Name      string `morango:"name; lengthy=3; length=x; min=y; default-never; type=float"`
	}
	type badDefault struct {
		model.Row `morango:"bad; source=random; partition=x"`
		Count     int32 `morango:"count; default=many"`
	}
	for _, c := range []struct {
		given any
		want  []string
	}{
		{nil, []string{"a model is a struct"}},
		{3, []string{"a model is a struct or a pointer to one, not int"}},
		{noRow{}, []string{"model_test.noRow", "embeds no model.Row"}},
		{badField{}, []string{"model_test.badField.Channel: model bad: column channel", "needs the option type="}},
		{badOptions{}, []string{
			`where needs a column and a value`, `unknown option "colour"`, `unknown rule "mine"`,
			"option lengthy: there is no such option", "option length: expected a whole number",
			"option min: expected a number", "option default-never: there is no such option",
		}},
		{badDefault{}, []string{"badDefault.Count", `"many" is no value of type integer`}},
	} {
		_, err := model.FromStructs("school", nil, c.given)
		checkMessage(t, err, c.want...)
	}
}

// checkMessage expects an error that says all of that.
func checkMessage(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error; expected one with %q", want)
		return
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q:\n%v", text, err)
		}
	}
}
