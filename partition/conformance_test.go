package partition_test

import (
	"encoding/json"
	"testing"

	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/partition"
)

func TestConformanceFilter(t *testing.T) {
	checks := map[string]func(*conformance.T, conformance.Case){
		"build": checkBuild, "compare": checkCompare, "contains": checkContains, "scope": checkScope,
	}
	conformance.Run(t, "filter", func(t *conformance.T, c conformance.Case) {
		check, ok := checks[c.Kind]
		if !ok {
			t.Fatalf("unknown kind %q", c.Kind)
		}
		check(t, c)
	})
}

func checkBuild(t *conformance.T, c conformance.Case) {
	var in struct {
		Template   string
		Params     json.RawMessage
		ParamsJSON *string `json:"params_json"`
	}
	t.Decode(c.Input, &in)
	text := string(in.Params)
	if in.ParamsJSON != nil {
		text = *in.ParamsJSON
	}
	f, substituted, err := partition.BuildJSON(in.Template, text)
	if err != nil {
		t.Fatal(err)
	}
	t.EqualJSON("filter", map[string]any{
		"prefixes": f.Prefixes(), "str": f.String(), "len": f.Len(), "substituted": substituted,
	}, c.Expected)
}

func checkCompare(t *conformance.T, c conformance.Case) {
	var in struct{ A, B string }
	t.Decode(c.Input, &in)
	a, b := partition.Parse(in.A), partition.Parse(in.B)
	sum := a.Plus(b)
	t.EqualJSON("comparison", map[string]any{
		"a_subset_of_b": a.SubsetOf(b), "b_subset_of_a": b.SubsetOf(a), "equal": a.Equal(b),
		"sum_str": sum.String(), "sum_prefixes": sum.Prefixes(),
	}, c.Expected)
}

func checkContains(t *conformance.T, c conformance.Case) {
	var in struct{ Filter, Partition string }
	t.Decode(c.Input, &in)
	t.EqualJSON("contains", partition.Parse(in.Filter).Contains(in.Partition), c.Expected)
}

type definition struct {
	Read      string `json:"read_filter_template"`
	Write     string `json:"write_filter_template"`
	ReadWrite string `json:"read_write_filter_template"`
}

func checkScope(t *conformance.T, c conformance.Case) {
	var in struct {
		Def1, Def2       definition
		Params1, Params2 json.RawMessage
	}
	t.Decode(c.Input, &in)
	one := newScope(t, in.Def1, in.Params1)
	two := newScope(t, in.Def2, in.Params2)
	t.EqualJSON("scopes", map[string]any{
		"read1": one.Read.Prefixes(), "write1": one.Write.Prefixes(),
		"read2": two.Read.Prefixes(), "write2": two.Write.Prefixes(),
		"s1_subset_of_s2": one.SubsetOf(two) == nil, "s2_subset_of_s1": two.SubsetOf(one) == nil,
		"equal": one.Equal(two),
	}, c.Expected)
}

func newScope(t *conformance.T, d definition, params json.RawMessage) partition.Scope {
	s, err := partition.NewScopeJSON(d.Read, d.Write, d.ReadWrite, string(params))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
