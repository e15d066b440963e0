package partition_test

import (
	"testing"

	"github.com/morango-go/morango/partition"
)

// However the parameters of a certificate are chosen, its scope is made of words, lies
// in itself and in what matches all, and is one with its text.
func FuzzNewScopeJSON(f *testing.F) {
	f.Add("${a}", "", "${a}:user:${b}", `{"a": "x", "b": "y"}`)
	f.Add("${a}", "${a}:${b}", "", `{"a": "x\ny", "b": ""}`)
	f.Add("$$$$", "$a ${a}", "${a", `{"a": "${a} $b"}`)
	f.Add("", "", "", `{"a": 1e400, "b": [true, null, {"c": "\u2028"}]}`)
	f.Fuzz(func(t *testing.T, read, write, both, params string) {
		scope, err := partition.NewScopeJSON(read, write, both, params)
		if err != nil {
			return
		}
		all := partition.Scope{Read: partition.All(), Write: partition.All()}
		if err := scope.SubsetOf(scope); err != nil || scope.SubsetOf(all) != nil || !scope.Equal(scope) {
			t.Fatalf("%+v: %v", scope, err)
		}
		for _, filter := range []partition.Filter{scope.Read, scope.Write} {
			if again := partition.Parse(filter.String()); again.String() != filter.String() || filter.IsZero() {
				t.Fatalf("%q parses to %q", filter, again)
			}
			for _, prefix := range filter.Prefixes() {
				if one := partition.Of(prefix); !one.SubsetOf(filter) || !filter.Contains(prefix+":more") {
					t.Fatalf("%q does not lie in %q", prefix, filter)
				}
			}
		}
	})
}
