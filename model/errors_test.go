package model_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/morango-go/morango/model"
)

// small is a valid profile; each case below spoils it.
const small = `profile: school
scopes:
  - {id: all, read-write: "${x}"}
models:
  - name: class
    table: class
    source: random
    partition: "${id}"
    columns:
      - {name: title, type: text}
  - name: pupil
    table: pupil
    source: {template: "${name}"}
    partition: "p"
    columns:
      - {name: name, type: text, length: 20}
      - {name: age, type: smallint}
      - {name: class_id, type: uuid, references: class}
`

func load(text string) (*model.Profile, error) {
	return model.Load("school.yaml", strings.NewReader(text))
}

func TestLoadFillsIn(t *testing.T) {
	p, err := load(small)
	if err != nil {
		t.Fatal(err)
	}
	pupil, _ := p.Model("pupil")
	var names []string
	for _, c := range pupil.Columns {
		names = append(names, c.Name)
	}
	if got := strings.Join(names, " "); got != "id _morango_source_id _morango_partition name age class_id" {
		t.Errorf("columns %s", got)
	}
	scope, ok := p.Scope("all")
	if !ok || scope.Profile != "school" || scope.Version != 1 || p.Capture != model.CaptureTriggers {
		t.Errorf("scope %+v, capture %s", scope, p.Capture)
	}
	if refs := pupil.References(); len(refs) != 1 || refs[0].References.Table != "class" {
		t.Errorf("references %+v", refs)
	}
}

// spoilers each replace a piece of the small profile; the error names file, line
// and model.
var spoilers = []struct{ old, new, want string }{
	{"profile: school", "profile: ''", "school.yaml:1: the profile has no name"},
	{"profile: school", "profil: school", `school.yaml:1: unknown key "profil"; known are capture, instance-info, models, profile, scopes`},
	{"profile: school", "profile: a-name-too-long-for-it", "school.yaml:1: the name"},
	{"profile: school", "profile: 7", "school.yaml:1: expected text; put it in quotes"},
	{"profile: school", "profile: school\ncapture: never", `school.yaml:2: unknown capture "never"`},
	{"profile: school", "profile: school\nprofile: school", "school.yaml:2: "},
	{"profile: school", "profile: school\ninstance-info: [1]", "school.yaml:2: expected a mapping of text to text"},
	{"id: all, ", "", "school.yaml:3: the scope definition has no name"},
	{"id: all, read-write: \"${x}\"", "id: all, read: \"${x\"", "school.yaml:3: scope definition all: template"},
	{"id: all, ", "id: all, version: one, ", "school.yaml:3: expected a whole number"},
	{"- name: class\n", "- name: pupil\n", `school.yaml:11: model pupil: two models have the name "pupil"`},
	{"    table: class\n", "", "school.yaml:5: model class: no table"},
	{"    table: class\n", "    table: pupil\n", "school.yaml:12: model pupil: shares table pupil with model class"},
	{"- {name: title, type: text}", "- {name: title, type: text, references: pupil}", "a foreign key must be of type uuid"},
	{"- {name: title, type: text}", "- {name: title, type: uuid, references: pupil}", "models need each other in a circle: class needs pupil needs class"},
	{"- {name: title, type: text}", "- {name: title, type: uuid, references: teacher}", `school.yaml:10: model class: column title: refers to model "teacher"`},
	{"- {name: title, type: text}", "- {name: a, type: uuid, nullable: true, references: class}\n      - {name: b, type: uuid, nullable: true, references: class}", "school.yaml:11: model class: column b: a second self-reference"},
	{"- {name: title, type: text}", "- {name: title, type: text}\n      - {name: title, type: text}", "school.yaml:11: model class: column title: stands twice"},
	{"- {name: title, type: text}", "- {name: title, tpye: text}", `school.yaml:10: model class: column title: unknown key "tpye"`},
	{"- {name: title, type: text}", "- {name: title, type: string}", `school.yaml:10: model class: column title: unknown type "string"`},
	{"- {name: title, type: text}", "- {name: title, type: text, nullable: maybe}", "column title: expected true or false"},
	{"- {name: title, type: text}", "- {type: text}", "column number 4 has no name"},
	{"- {name: title, type: text}", "- title", "school.yaml:10: model class: expected a mapping"},
	{"- {name: title, type: text}", "- {name: _morango_dirty_bit, type: boolean}", "must not be listed"},
	{"- {name: title, type: text}", "- {name: id, type: bigint}", "column id: must be of type uuid"},
	{"- {name: title, type: text}", "- {name: id, local: true}", "column id: may only be listed to fix its place"},
	{"- {name: title, type: text}", "- {name: title, type: text, local: true}", "must be nullable or have a default"},
	{"- {name: title, type: text}", "- {name: title, type: text, default: [1]}", "expected a mapping"},
	{"- {name: title, type: text}", "- {name: title, type: text, default: {value: [1]}}", "a default is null, a text"},
	{"- {name: title, type: text}", "- {name: title, type: text, default: {now: true, random: true}}", "more than one default"},
	{"- {name: title, type: text}", "- {name: title, type: text, default: {now: true}}", "now is no value of type text"},
	{"- {name: title, type: text}", "- {name: title, type: text, default: {random: true}}", "a random id is no value of type text"},
	{"- {name: title, type: text}", "- {name: title, type: text, default: null}", "<nil> is no value of type text"},
	{"- {name: title, type: text}", "- {name: title, type: text, length: 3, min-length: 4}", "no text of at least 4 characters fits"},
	{"- {name: title, type: text}", "- {name: title, type: text, min: 4}", "min and max are only for numbers"},
	{"- {name: title, type: text}", "- {name: title, type: text, pattern: '['}", "the pattern is no RE2 expression"},
	{"- {name: title, type: text}", "- {name: title, type: text, choices: [1.5]}", "a choice is a text or a whole number"},
	{"type: smallint", "type: smallint, length: 4", "school.yaml:17: model pupil: column age: a length is"},
	{"type: smallint", "type: smallint, default: 32768", "32768 is no value of type smallint"},
	{"type: smallint", "type: smallint, min: 4, max: 3", "min is greater than max"},
	{"type: smallint", "type: smallint, min: .inf", "expected a number"},
	{"type: smallint", "type: smallint, choices: [one]", `"one" is no whole number`},
	{"type: smallint", "type: smallint, pattern: x", "min-length and pattern are only for type text"},
	{"type: smallint", "type: date, choices: [x]", "choices are only for texts and whole numbers"},
	{"source: random", "source: never", "school.yaml:7: model class: unknown rule \"never\""},
	{"source: random", "source: {column: titel}", `school.yaml:7: model class: unknown column "titel"; the model has id, `},
	{"source: random", "source: {column: title, uuid5: title}", "two rules, column and uuid5"},
	{"source: random", "source: {uuid5: title, namespace: x}", `namespace: "x" is no UUID`},
	{"source: random", "source: {column: title, namespace: x}", "a namespace is only for uuid5"},
	{"source: random", "source: {root-certificate: x}", `unknown scope definition "x"`},
	{"source: random", "source: {template: \"\"}", "an empty template gives no source id"},
	{"source: random", "source: {template: \"${id}\"}", "uses id, which is itself made from it"},
	{"source: random", "source: {}", "no rule for the source id"},
	{"source: random", "id: random", `unknown rule "random" for ids`},
	{"source: random", "source: {column: title}\n    id: source", "column title must be of type uuid"},
	{"source: {template: \"${name}\"}", "source: {template: \"${name}\"}\n    id: source", "a template does not promise that"},
	{`partition: "${id}"`, "id: source\n    partition: \"${id}:${title}\"", "must be one template with ${id} and no other column"},
	{`partition: "${id}"`, "id: source\n    partition: shared", "must be one template with ${id} and no other column"},
	{`partition: "${id}"`, "id: source\n    partition: [{when-null: title, template: \"${id}\"}, {template: \"${id}\"}]", "must be one template with ${id}"},
	{`partition: "${id}"`, "", "school.yaml:5: model class: no partition"},
	{`partition: "${id}"`, `partition: "${}"`, "is no column name"},
	{`partition: "${id}"`, `partition: "a b"`, "white space"},
	{`partition: "${id}"`, `partition: "${titel}"`, `unknown column "titel"`},
	{`partition: "${id}"`, `partition: [{template: a}, {template: b}]`, "rule 1 has no condition"},
	{`partition: "${id}"`, `partition: [{template: a, when-null: title}]`, "the last rule has a condition"},
	{`partition: "${id}"`, `partition: [{template: a, when-null: title}, {template: b}]`, "that column is not nullable"},
	{`partition: "${id}"`, `partition: [{template: a, when-null: x}, {template: b}]`, `unknown column "x"`},
	{`partition: "p"`, `after: [pupil, x]` + "\n    partition: p", `comes after model "x"`},
	{`partition: "p"`, `after: [pupil, x]` + "\n    partition: p", "cannot come after itself"},
	{`partition: "p"`, `where: {age: "3", x: y}` + "\n    partition: p", `unknown column "x" in where`},
	{`partition: "p"`, `where: {age: "3", x: y}` + "\n    partition: p", "must be of type text"},
	{`partition: "p"`, `partition: &p x`, "school.yaml:14: model pupil: expected text"},
	{"models:", "models: x\nm:", "expected a list"},
}

func TestLoadRefuses(t *testing.T) {
	for _, c := range spoilers {
		spoilt := strings.Replace(small, c.old, c.new, 1)
		if spoilt == small {
			t.Errorf("%q does not stand in the small profile", c.old)
		}
		_, err := load(spoilt)
		checkMessage(t, err, c.want)
	}
}

func TestLoadRefusesWhatIsNoProfile(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "one YAML document",
		"a: 1\n---\nb: 2":            "one YAML document",
		"just words":                 "school.yaml:1: expected a mapping",
		"profile: [":                 "school.yaml:1: not valid YAML",
		"profile: \"x":               "not valid YAML",
		strings.Repeat("[", 60):      "nested too deeply",
		strings.Repeat("- ", 600):    "nested too deeply",
		strings.Repeat("#", 1<<20+1): "larger than",
	} {
		_, err := load(text)
		checkMessage(t, err, want)
	}
}

func TestLoadFileNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent.yaml")
	_, err := model.LoadFile(path)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(path, []byte("profile: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = model.LoadFile(path)
	checkMessage(t, err, path+": no models")
	var problem *model.Problem
	if !errors.As(err, &problem) || problem.At != path {
		t.Errorf("problem %+v", problem)
	}
}

// All problems are reported at once.
func TestLoadReportsAll(t *testing.T) {
	spoilt := strings.NewReplacer("type: smallint", "type: tiny", "name: title, type: text", "name: title, type: word").Replace(small)
	_, err := load(spoilt)
	checkMessage(t, err, `school.yaml:10: model class: column title: unknown type "word"`, `school.yaml:17: model pupil: column age: unknown type "tiny"`)
}
