package deserialize

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/partition"
)

// vector is the input of a case.
type vector struct {
	Filter       []string `json:"filter"`
	SkipErroring bool     `json:"skip_erroring"`
	State        state    `json:"state"`
}

func TestConformanceDeserialize(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		t.Parallel()
		env := newEnv(t, d, testProfile(t))
		conformance.Run(t, "deserialize", func(t *conformance.T, c conformance.Case) {
			var in vector
			var out struct {
				OK    state           `json:"ok"`
				Error json.RawMessage `json:"error"`
			}
			t.Decode(c.Input, &in)
			t.Decode(c.Expected, &out)
			replace(t, d, in.State)
			filter := partition.Of(in.Filter...)
			report, err := Run(t.Context(), env, filter, Options{SkipErroring: in.SkipErroring}, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := normal(t, get(t, d))
			want := state{}
			for name := range tableNames {
				want[name] = out.OK[name]
				if want[name] == nil {
					want[name] = in.State[name]
				}
			}
			want = normal(t, want)
			spec, counts := expect(env.Profile, in)
			ours := normal(t, spec)
			if out.Error == nil && cmp.Equal(ours, want) {
				t.Equal("state, as the reference has it", got, want)
			} else {
				rules := in.deviations()
				for _, rule := range rules {
					t.Deviates(rule)
				}
				t.True(len(rules) > 0, "no rule lets this case deviate")
				t.Equal("state, as the rules say", got, ours)
			}
			t.Equal("report", report, counts)
		})
	})
}

// deviations are the rules by which a case's result may be ours and not the
// reference's, found from its input.
func (v vector) deviations() []int {
	rules := map[int]bool{}
	edited, names, here := map[any]bool{}, map[any]any{}, map[any]bool{}
	for _, table := range tableOrder[:4] {
		for _, row := range v.State[table] {
			here[row["id"]] = true
			edited[row["id"]] = row["_morango_dirty_bit"] == true
			if table == "user" {
				names[row["username"]] = row["id"]
			}
		}
	}
	stored, gone := map[any]tableRow{}, map[any]bool{}
	for _, s := range v.State["store"] {
		stored[s["id"]] = s
		gone[s["id"]] = s["deleted"] == true && (v.due(s) || s["dirty_bit"] == false)
	}
	for _, s := range v.State["store"] {
		if !v.due(s) {
			continue
		}
		if edited[s["id"]] {
			rules[23] = true
		}
		var text any
		if s["deleted"] == true || json.Unmarshal([]byte(s["serialized"].(string)), &text) != nil {
			continue
		}
		fields, isObject := text.(map[string]any)
		if !isObject || indigestible(fields) {
			rules[12] = true
		}
		if id, _ := fields["id"].(string); id != s["id"] {
			rules[15] = true
		}
		user, _ := fields["user_id"].(string)
		if target := stored[user]; target != nil && !here[target["id"]] && !gone[target["id"]] {
			rules[12] = true // a target that the store has and the application has not
		}
		if name, ok := fields["username"].(string); ok {
			if other, taken := names[name]; taken && other != s["id"] {
				rules[14] = true
			}
			names[name] = s["id"]
		}
	}
	for _, table := range tableOrder[:4] {
		for _, row := range v.State[table] {
			if gone[row["parent_id"]] || gone[row["user_id"]] {
				rules[13] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(rules))
}

// due reports whether a store row is one that the run has to try.
func (v vector) due(s tableRow) bool {
	filter := partition.Of(v.Filter...)
	return s["profile"] == "facilitydata" && slices.Contains(tableOrder[:4], s["model_name"].(string)) &&
		(filter.IsZero() || filter.Contains(s["partition"].(string))) &&
		s["dirty_bit"] == true && !(v.SkipErroring && s["deserialization_error"] != "")
}

// indigestible reports whether an id or a moment is of a type that the reference's
// fields do not expect.
func indigestible(fields map[string]any) bool {
	for _, name := range []string{"id", "parent_id", "user_id", "content_id", "now_date", "last_login"} {
		switch fields[name].(type) {
		case float64, bool, []any, map[string]any:
			return true
		}
	}
	return false
}
