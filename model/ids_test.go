package model_test

import (
	"strings"
	"testing"

	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
)

// row reads columns from a map; what is not in it is null.
func row(values map[string]string) func(string) (string, bool) {
	return func(column string) (string, bool) {
		value, ok := values[column]
		return value, ok
	}
}

func TestSourceIDThatCannotBeMade(t *testing.T) {
	random := func() string { return "r" }
	for _, c := range []struct {
		rule model.SourceRule
		row  map[string]string
		want string
	}{
		{model.SourceRule{Kind: model.SourceColumn, Text: "name"}, nil, "source id of a row of model m: column name is null"},
		{model.SourceRule{Kind: model.SourceColumn, Text: "name"}, map[string]string{"name": ""}, "an empty text"},
		{model.SourceRule{Kind: model.SourceTemplate, Text: "${name}"}, nil, "column name is null"},
		{model.SourceRule{Kind: model.SourceUUID5, Text: "name"}, map[string]string{"name": "n"}, "source id of a row of model m"},
		{model.SourceRule{}, nil, `unknown rule ""`},
	} {
		m := &model.Model{Name: "m", Source: c.rule}
		_, err := m.SourceIDOf(row(c.row), random)
		checkMessage(t, err, c.want)
	}
	m := &model.Model{Source: model.SourceRule{Kind: model.SourceColumn, Text: "name"}}
	if got, err := m.SourceIDOf(row(map[string]string{model.ColumnSourceID: "kept"}), random); got != "kept" || err != nil {
		t.Errorf("a source id that is there must stay: %q, %v", got, err)
	}
}

func TestPartitionThatCannotBeMade(t *testing.T) {
	m := &model.Model{Name: "m", Partition: []model.PartitionRule{{WhenNull: "b", Template: "${a}"}}}
	_, err := m.PartitionOf(row(nil))
	checkMessage(t, err, "partition of a row of model m", "column a is null")
	_, err = m.PartitionOf(row(map[string]string{"b": ""}))
	checkMessage(t, err, "no rule applies")
}

func TestCheckID(t *testing.T) {
	m := &model.Model{Name: "m"}
	id := ident.Record("a:${id}:b:${id}", "s", "m")
	if err := m.CheckID(id, "a:"+id+":b:"+id, "s"); err != nil {
		t.Error(err)
	}
	checkMessage(t, m.CheckID(id, "a:"+id, "s"), "partition and source id give the id")
	checkMessage(t, m.CheckID("", "a", "s"), "has no id")
	own := &model.Model{Name: "m", IDIsSource: true, Partition: []model.PartitionRule{{Template: "${id}:own"}}}
	if err := own.CheckID(id, id+":own", id); err != nil {
		t.Error(err)
	}
	checkMessage(t, own.CheckID(id, id+":own", "s"), "give the id s")
	for _, elsewhere := range []string{"", "own", id, id + ":own:", "a:" + id + ":own", "${id}:own", strings.Repeat("0", 32) + ":own"} {
		checkMessage(t, own.CheckID(id, elsewhere, id), "its partition must be "+id+":own")
	}
}
