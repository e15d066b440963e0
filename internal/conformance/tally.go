package conformance

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Report names a file to which the line of each family is appended.
const Report = "MORANGO_CONFORMANCE_REPORT"

// tally counts the cases of one family.
type tally struct {
	name string

	mu                   sync.Mutex
	exact, failed, total int
	byRule               map[int]int
}

func newTally(family string, kinds []string) *tally {
	name := family
	if len(kinds) > 0 {
		name += " (" + strings.Join(kinds, ", ") + ")"
	}
	return &tally{name: name, byRule: map[int]int{}}
}

// count adds a finished case. A case that deviates by two rules counts under both.
func (y *tally) count(t *T) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.total++
	switch {
	case t.Failed():
		y.failed++
	case len(t.rules) == 0:
		y.exact++
	default:
		for _, rule := range t.rules {
			y.byRule[rule]++
		}
	}
}

func (y *tally) String() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	line := fmt.Sprintf("conformance: %s: %d cases, %d exact", y.name, y.total, y.exact)
	for _, rule := range slices.Sorted(maps.Keys(y.byRule)) {
		line += fmt.Sprintf(", %d deviating by rule %d", y.byRule[rule], rule)
	}
	return line + fmt.Sprintf(", %d failed", y.failed)
}

// report prints the family's line, and appends it to the report when one is asked
// for. It goes to standard output, not to the test's log, so that a person sees it
// without reading through the subtests.
func (y *tally) report(t *testing.T) {
	line := y.String() + "\n"
	fmt.Print(line)
	name := os.Getenv(Report)
	if name == "" {
		return
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Errorf("report of the vectors: %v", err)
		return
	}
	_, err = file.WriteString(line)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		t.Errorf("report of the vectors: %v", err)
	}
}
