package model_test

import (
	"strings"
	"testing"

	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/model"
)

// New objects of the vectors' application get id, source id and partition by the rules.
func TestConformanceTestAppModels(t *testing.T) {
	p, err := model.LoadFile("../testdata/testapp.yaml")
	if err != nil {
		t.Fatal(err)
	}
	conformance.Run(t, "uuid", func(t *conformance.T, c conformance.Case) {
		var in struct {
			Model  string
			Fields map[string]*string
		}
		t.Decode(c.Input, &in)
		m, ok := p.Model(in.Model)
		if !ok {
			t.Fatalf("no model %s", in.Model)
		}
		in.Fields[model.ColumnSourceID] = in.Fields["preset_source_id"]
		get := func(column string) (string, bool) {
			if value := in.Fields[column]; value != nil {
				return *value, true
			}
			return "", false
		}
		sourceID, err := m.SourceIDOf(get, func() string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		partition, err := m.PartitionOf(get)
		if err != nil {
			t.Fatal(err)
		}
		id := m.IDOf(partition, sourceID)
		stored := strings.ReplaceAll(partition, ident.Placeholder, id)
		t.EqualJSON("new object", map[string]string{"id": id, "source_id": sourceID, "partition": stored}, c.Expected)
		t.True(m.CheckID(id, stored, sourceID) == nil, "the id must pass its own check")
		t.True(m.CheckID(ident.Hash("other"), stored, sourceID) != nil, "another id must not pass")
	}, "testapp_model")
}
