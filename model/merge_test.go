package model_test

import (
	"strings"
	"testing"

	"github.com/morango-go/morango/model"
)

// merging puts a merge rule into a profile whose model has a moment, a number and a
// local moment.
func merging(rule string) string {
	return `profile: school
models:
  - name: note
    table: note
    source: random
    partition: x
    merge: ` + rule + `
    columns:
      - {name: title, type: text}
      - {name: modified, type: datetime}
      - {name: zoned, type: datetime-tz}
      - {name: day, type: date}
      - {name: ticks, type: bigint}
      - {name: seen, type: datetime, local: true, nullable: true}
`
}

func TestMergeRules(t *testing.T) {
	for text, want := range map[string]model.MergeRule{
		"reference":                           {Kind: model.MergeReference},
		"{rule: reference}":                   {Kind: model.MergeReference},
		"custom":                              {Kind: model.MergeCustom},
		"{rule: newest, by: modified}":        {Kind: model.MergeNewest, By: "modified"},
		"{rule: newest, by: ticks}":           {Kind: model.MergeNewest, By: "ticks"},
		"{by: zoned, rule: fields}":           {Kind: model.MergeFields, By: "zoned"},
		"\n      rule: fields\n      by: day": {Kind: model.MergeFields, By: "day"},
	} {
		p, err := load(merging(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := p.Models[0].Merge; got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	p, err := load(small)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range p.Models {
		if m.Merge != (model.MergeRule{Kind: model.MergeReference}) {
			t.Errorf("without a rule model %s has %+v", m.Name, m.Merge)
		}
	}
}

func TestBadMergeRules(t *testing.T) {
	for text, want := range map[string]string{
		"latest":                         `unknown merge rule "latest"`,
		"newest":                         "needs the column",
		"{rule: fields}":                 "needs the column",
		"{rule: newest, by: title}":      "tells no moment",
		"{rule: newest, by: seen}":       "is local",
		"{rule: newest, by: nowhere}":    `unknown column "nowhere"`,
		"{rule: reference, by: day}":     "takes no column",
		"{rule: custom, by: day}":        "takes no column",
		"{by: day}":                      `unknown merge rule ""`,
		"{rule: newest, column: day}":    `unknown key "column"`,
		"[newest]":                       "expected text",
		"{rule: [newest], by: modified}": "expected text",
	} {
		_, err := load(merging(text))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "school.yaml:7: model note: ") {
			t.Errorf("%s: want %q on line 7, got %v", text, want, err)
		}
	}
}

type merged struct {
	model.Row `morango:"note; source=random; partition=x; merge=fields:ticks"`

	ID    string `morango:"id"`
	Ticks int64  `morango:"ticks"`
}

func TestMergeRuleOfStruct(t *testing.T) {
	p, err := model.FromStructs("school", nil, merged{})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Models[0].Merge; got != (model.MergeRule{Kind: model.MergeFields, By: "ticks"}) {
		t.Errorf("merge rule %+v", got)
	}
}
