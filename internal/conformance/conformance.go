// Package conformance holds our results against vectors recorded by running the
// Python reference (testdata/vectors, or the folder named by MORANGO_VECTORS).
//
// It serves tests only and imports nothing of the project, so that every package
// can prove its own families in an external test. The pattern:
//
//	func TestConformanceFSIC(t *testing.T) {
//		conformance.Run(t, "fsic", func(t *conformance.T, c conformance.Case) {
//			var in struct{ Sender, Receiver counter.Counters }
//			t.Decode(c.Input, &in)
//			t.EqualJSON("difference", counter.DiffLegacy(in.Sender, in.Receiver), c.Expected)
//		}, "diff_v1")
//	}
//
// Where we mean to differ from the reference, the test computes from the case's
// input whether the rule applies, says t.Deviates(rule), and asserts what we do
// instead. A case is never left out, and a case that asserts nothing fails.
//
// Run prints one line a family: exact, deviating by which rule, failed. With
// MORANGO_CONFORMANCE_REPORT naming a file, the line is appended there too.
package conformance

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
)

// Case is one recorded case of a family.
type Case struct {
	Family           string          `json:"-"`
	ID               string          `json:"id"`   // family-number
	Note             string          `json:"note"` // information only
	Kind             string          `json:"kind"` // "" in families of one kind
	Input            json.RawMessage `json:"input"`
	Expected         json.RawMessage `json:"expected"`
	ExpectedPostgres json.RawMessage `json:"expected_postgres"` // nil when PostgreSQL agreed
	Raw              json.RawMessage `json:"-"`                 // the whole line, for fields of one family only
}

// Cases returns the cases of a family in recorded order; with kinds, only those
// of these kinds. It fails the test when the family cannot be read or nothing is
// left.
func Cases(t testing.TB, family string, kinds ...string) []Case {
	t.Helper()
	var cases []Case
	for line := range bytes.Lines(File(t, family+".jsonl")) {
		c := Case{Family: family, Raw: bytes.TrimSpace(line)}
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatalf("vectors of family %s, after %d cases: %v", family, len(cases), err)
		}
		if len(kinds) == 0 || slices.Contains(kinds, c.Kind) {
			cases = append(cases, c)
		}
	}
	if len(cases) == 0 {
		t.Fatalf("family %s holds no case of kinds %q", family, kinds)
	}
	return cases
}

// Run checks every case of a family (with kinds: of these kinds) in a subtest named
// by the case's id, and prints the family's line at the end. check may call
// t.Parallel.
func Run(t *testing.T, family string, check func(t *T, c Case), kinds ...string) {
	t.Helper()
	tally := newTally(family, kinds)
	t.Cleanup(func() { tally.report(t) })
	for _, c := range Cases(t, family, kinds...) {
		t.Run(c.ID, func(t *testing.T) {
			ct := &T{T: t, family: family}
			t.Cleanup(func() {
				if t.Skipped() {
					t.Errorf("a case is never left out")
				}
				tally.count(ct)
			})
			check(ct, c)
			if ct.asserted == 0 && !t.Failed() {
				t.Errorf("case asserts nothing")
			}
			if t.Failed() && c.Note != "" {
				t.Logf("note of the case: %s", c.Note)
			}
		})
	}
}
