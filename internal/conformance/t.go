package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// T is the test of one case: a testing.T that counts assertions and deviations.
type T struct {
	*testing.T
	family   string
	asserted int
	rules    []int
}

// Deviates says that in this case we mean to differ from the reference by a rule of
// rules.go. It excuses nothing: the case still has to assert what we do instead.
func (t *T) Deviates(rule int) {
	t.Helper()
	r, ok := ruleOf(rule)
	if !ok || !slices.Contains(r.families, t.family) {
		t.Errorf("no rule %d lets family %s deviate", rule, t.family)
	}
	if !slices.Contains(t.rules, rule) {
		t.Logf("deviates by rule %d: %s", rule, r.reason)
		t.rules = append(t.rules, rule)
	}
}

// Equal asserts that got is what it should be; what names the value. Go values are
// compared with go-cmp.
func (t *T) Equal(what string, got, want any) {
	t.Helper()
	t.asserted++
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// True asserts a condition; format and args say what should have been.
func (t *T) True(ok bool, format string, args ...any) {
	t.Helper()
	t.asserted++
	if !ok {
		t.Errorf(format, args...)
	}
}

// EqualJSON asserts that got, turned into JSON, is the value that want holds. The
// order of keys and white space do not matter; digits of numbers do.
func (t *T) EqualJSON(what string, got any, want json.RawMessage) {
	t.Helper()
	t.Equal(what, t.value(got), t.value(want))
}

// EqualRows asserts that got, turned into JSON, holds the same rows as want, in any
// order. An absent list and null count as no rows.
func (t *T) EqualRows(what string, got any, want json.RawMessage) {
	t.Helper()
	if want == nil {
		want = json.RawMessage("null")
	}
	t.Equal(what, t.rows(what, got), t.rows(what, want))
}

// Decode decodes JSON of the case (case-insensitive names, as encoding/json); a
// failure ends the case.
func (t *T) Decode(from json.RawMessage, into any) {
	t.Helper()
	if err := json.Unmarshal(from, into); err != nil {
		t.Fatalf("decode %.200s: %v", from, err)
	}
}

// value returns what v is as JSON, with numbers as their digits.
func (t *T) value(v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("as JSON: %v", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var plain any
	if err := decoder.Decode(&plain); err != nil {
		t.Fatalf("as JSON: %v", err)
	}
	return plain
}

// rows returns a list of rows in an order of their own.
func (t *T) rows(what string, v any) []any {
	t.Helper()
	plain := t.value(v)
	list, ok := plain.([]any)
	if !ok && plain != nil {
		t.Fatalf("%s is %T, not a list of rows", what, plain)
	}
	slices.SortFunc(list, func(a, b any) int {
		return bytes.Compare(fmt.Append(nil, a), fmt.Append(nil, b))
	})
	return list
}
