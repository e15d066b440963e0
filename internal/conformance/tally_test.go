package conformance

import "testing"

func TestTallyCountsByRule(t *testing.T) {
	y := newTally("queue", []string{"a", "b"})
	for _, rules := range [][]int{nil, nil, {22}, {1, 22}} {
		y.count(&T{T: t, rules: rules})
	}
	const want = "conformance: queue (a, b): 4 cases, 2 exact, 1 deviating by rule 1, 2 deviating by rule 22, 0 failed"
	if got := y.String(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestEveryRuleHasFamiliesAndReason(t *testing.T) {
	if len(rules) != 27 || rules[0].families != nil {
		t.Errorf("%d rules, numbered from 1", len(rules)-1)
	}
	for number := 1; number < len(rules); number++ {
		if r, ok := ruleOf(number); !ok || len(r.families) == 0 || r.reason == "" {
			t.Errorf("rule %d has no family or no reason", number)
		}
	}
	for _, number := range []int{-1, 0, 27} {
		if _, ok := ruleOf(number); ok {
			t.Errorf("there is a rule %d", number)
		}
	}
}
