// Command testreport reads what "go test -json" prints and shows what a person
// wants of it: a line per package, the output of what failed, the tally of each
// conformance family, and at the end the counts. It exits 1 when anything failed,
// was skipped, or never ended.
//
// It belongs to the project's frame and imports only the standard library.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// event is one line of "go test -json"; see "go doc test2json".
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

// report is what was seen so far.
type report struct {
	out      io.Writer
	packages map[string]string   // how each package ended; "" while it runs
	output   map[string][]string // of tests that have not passed, by package and test
	tallies  []string
	passed   int
	failed   []string
	said     map[string][]string // the first lines of what failed
	skipped  []string
}

// worthRepeating is how many lines of a failed test the end shows once more: who reads only
// the end of a long log sees why, and can draw a random failure again.
const worthRepeating = 40

func main() {
	start := time.Now()
	r := newReport(os.Stdout)
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	if !r.close(time.Since(start)) {
		os.Exit(1)
	}
}

func newReport(out io.Writer) *report {
	return &report{out: out, packages: map[string]string{}, output: map[string][]string{}, said: map[string][]string{}}
}

// read takes events until the input ends. Lines that are none are shown as they are.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		switch {
		case len(line) == 0:
		case json.Unmarshal(line, &e) != nil:
			_, _ = r.out.Write(line)
		default:
			r.take(e)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// take counts one event.
func (r *report) take(e event) {
	name := strings.TrimSpace(e.Package + " " + e.Test)
	switch e.Action {
	case "build-output":
		r.print(e.Output)
	case "start":
		r.packages[e.Package] = ""
	case "output":
		r.keep(name, e)
	case "pass":
		r.end(e)
		r.passed += count(e)
	case "fail":
		r.end(e)
		r.failed = append(r.failed, name)
		r.said[name] = r.output[name][:min(len(r.output[name]), worthRepeating)]
		for _, line := range r.output[name] {
			r.print(line)
		}
	case "skip":
		r.end(e)
		if e.Test != "" { // else the package has no tests
			r.skipped = append(r.skipped, name)
		}
	default:
		return
	}
	if e.Action != "output" {
		delete(r.output, name)
	}
}

// keep remembers a line in case its test fails, and shows the lines of packages.
func (r *report) keep(name string, e event) {
	if strings.HasPrefix(e.Output, "conformance: ") {
		_, variant, _ := strings.Cut(e.Test, "/") // the database of a family that runs on several
		r.tallies = append(r.tallies, strings.TrimSpace(strings.TrimSpace(e.Output)+" "+variant)+"\n")
	}
	if e.Test == "" && (strings.HasPrefix(e.Output, "ok  \t") || strings.HasPrefix(e.Output, "FAIL\t")) {
		r.print(e.Output)
		return
	}
	r.output[name] = append(r.output[name], e.Output)
}

// end notes how a package ended.
func (r *report) end(e event) {
	if e.Test == "" {
		r.packages[e.Package] = e.Action
	}
}

// count is 1 for a test and 0 for a package.
func count(e event) int {
	if e.Test == "" {
		return 0
	}
	return 1
}

// close prints the counts and tells whether all is well.
func (r *report) close(took time.Duration) bool {
	for pkg, end := range r.packages {
		if end == "" {
			r.failed = append(r.failed, pkg+" (never ended)")
		}
	}
	slices.Sort(r.tallies)
	for _, line := range r.tallies {
		r.print(line)
	}
	slices.Sort(r.failed)
	for _, name := range slices.Compact(r.failed) {
		r.print("failed: " + name + "\n")
		for _, line := range r.said[name] {
			r.print("| " + line)
		}
	}
	slices.Sort(r.skipped)
	for _, name := range r.skipped {
		r.print("skipped, which no test may be: " + name + "\n")
	}
	tested := 0
	for _, end := range r.packages {
		if end != "skip" {
			tested++
		}
	}
	r.print(fmt.Sprintf("%d packages, %d tests passed, %d failed, %d skipped, in %s\n",
		tested, r.passed, len(r.failed), len(r.skipped), took.Round(time.Second)))
	return r.passed > 0 && len(r.failed) == 0 && len(r.skipped) == 0
}

// print shows text; that it cannot be shown helps nobody to know.
func (r *report) print(text string) {
	_, _ = io.WriteString(r.out, text)
}
