package conformance

import "testing"

// Named checks the cases of a family that has no file of cases of its own, by name,
// and prints the family's line at the end as Run does. where says what it ran on.
func Named(t *testing.T, family, where string, names []string, check func(t *T, name string)) {
	t.Helper()
	tally := newTally(family, []string{where})
	t.Cleanup(func() { tally.report(t) })
	if len(names) == 0 {
		t.Errorf("family %s holds no case", family)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			ct := &T{T: t, family: family}
			t.Cleanup(func() {
				if t.Skipped() {
					t.Errorf("a case is never left out")
				}
				tally.count(ct)
			})
			check(ct, name)
			if ct.asserted == 0 && !t.Failed() {
				t.Errorf("case asserts nothing")
			}
		})
	}
}
