package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/morango-go/morango"
)

// errorsCmd shows what could not be applied and what cannot be sent.
type errorsCmd struct {
	node
	Retry bool `help:"First try all of them again (a sync tries those that may succeed by now)."`
	Limit int  `default:"20" help:"The most records to show one by one; 0 shows only the kinds."`
	JSON  bool `help:"Print one JSON object a record, a line each, all of them."`
}

// Validate refuses impossible values before anything is opened.
func (f *errorsCmd) Validate() error {
	if f.Limit < 0 {
		return fmt.Errorf("--limit %d: a number from 0 is needed", f.Limit)
	}
	return nil
}

// Run prints the problems; the exit code says whether there are any.
func (f *errorsCmd) Run(ctx context.Context, c console) error {
	return f.with(ctx, morango.Config{Logger: c.log}, func(n *morango.Node) error {
		if f.Retry {
			r, err := n.Deserialize(ctx, morango.Filter{})
			if err != nil {
				return err
			}
			if !f.JSON {
				fmt.Fprintf(c.out, "Tried again: %s applied, %s deleted.\n\n", count(r.Applied), count(r.Deleted))
			}
		}
		if f.JSON {
			return printProblemLines(ctx, c.out, n)
		}
		return f.print(ctx, c.out, n)
	})
}

// printLeftOut prints what did not travel.
func printLeftOut(w io.Writer, s morango.Summary) {
	if s.Push.Unsent.Total == 0 {
		for _, p := range s.Push.LeftOut {
			fmt.Fprintf(w, "not sent     %s %s: %s\n", p.Model, p.ID, p.Reason)
		}
	}
	for _, part := range []struct {
		what string
		o    morango.Omission
	}{
		{"not sent   ", s.Push.Unsent}, {"not sent by the peer", s.Pull.Unsent},
		{"not taken  ", s.Pull.Refused}, {"not taken by the peer", s.Push.Refused},
	} {
		for _, p := range part.o.First {
			fmt.Fprintf(w, "%s  %s %s: %s\n", part.what, p.Model, p.ID, p.Reason)
		}
		if rest := part.o.Total - int64(len(part.o.First)); rest > 0 {
			fmt.Fprintf(w, "%s  %s more\n", part.what, count(rest))
		}
	}
}

// printProblems prints the first problems at the end of a summary.
func printProblems(w io.Writer, first []morango.Problem, total int64) {
	for _, p := range first {
		fmt.Fprintf(w, "not applied  %s %s: %s\n", p.Model, p.ID, p.Reason)
	}
	if rest := total - int64(len(first)); rest > 0 {
		fmt.Fprintf(w, "not applied  %s more: morango errors shows them\n", count(rest))
	}
}

// printProblemLines prints all problems as JSON.
func printProblemLines(ctx context.Context, w io.Writer, n *morango.Node) error {
	any := false
	lines := json.NewEncoder(w)
	for p, err := range n.Problems(ctx) {
		if err == nil {
			err = lines.Encode(struct {
				morango.Problem
				Mend string `json:"mend"`
			}{p, p.Kind.Mend()})
		}
		if err != nil {
			return err
		}
		any = true
	}
	if any {
		return errPartial
	}
	return nil
}

// group is all problems that differ in nothing but the values they name.
type group struct {
	kind          morango.ProblemKind
	model, reason string
}

// tally counts problems by group, in bounds.
type tally struct {
	groups map[group]int64
	first  []morango.Problem
	kinds  map[morango.ProblemKind]int64
	total  int64
}

// print prints the kinds with their counts, and the first of the records.
func (f *errorsCmd) print(ctx context.Context, w io.Writer, n *morango.Node) error {
	const mostGroups = 1000
	t := tally{groups: map[group]int64{}, kinds: map[morango.ProblemKind]int64{}}
	for p, err := range n.Problems(ctx) {
		if err != nil {
			return err
		}
		t.total++
		t.kinds[p.Kind]++
		g := group{p.Kind, p.Model, general(p.Reason)}
		if t.groups[g] == 0 && len(t.groups) == mostGroups {
			g.reason = "other reasons"
		}
		t.groups[g]++
		if len(t.first) < f.Limit {
			t.first = append(t.first, p)
		}
	}
	if t.total == 0 {
		fmt.Fprintln(w, "No errors: everything is applied, and everything can be sent.")
		return nil
	}
	if err := t.print(w, time.Now()); err != nil {
		return err
	}
	return errPartial
}

func (t tally) print(w io.Writer, now time.Time) error {
	if n := t.kinds[morango.Missing] + t.kinds[morango.Invalid] + t.kinds[morango.UnknownModel]; n > 0 {
		fmt.Fprintf(w, "%s from peers cannot be applied.\n", plural(n, "record"))
	}
	if n := t.kinds[morango.Unsendable]; n > 0 {
		fmt.Fprintf(w, "%s of this database cannot be sent.\n", plural(n, "row"))
	}
	if n := t.kinds[morango.PeerUnsendable] + t.kinds[morango.Refused] + t.kinds[morango.PeerRefused]; n > 0 {
		fmt.Fprintf(w, "%s did not travel with the last sync.\n", plural(n, "record"))
	}
	if int(t.total) > len(t.first) {
		if err := t.printGroups(w); err != nil {
			return err
		}
	}
	if len(t.first) > 0 {
		if err := t.printFirst(w, now); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	for _, kind := range []morango.ProblemKind{morango.Missing, morango.Invalid, morango.UnknownModel,
		morango.Unsendable, morango.PeerUnsendable, morango.Refused, morango.PeerRefused} {
		if t.kinds[kind] > 0 {
			fmt.Fprintf(w, "%-15s  %s\n", kind, kind.Mend())
		}
	}
	return nil
}

// printGroups prints how many problems there are of each kind, the most first.
func (t tally) printGroups(w io.Writer) error {
	const most = 20
	groups := make([]group, 0, len(t.groups))
	for g := range t.groups {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b group) int {
		if t.groups[a] != t.groups[b] {
			return int(t.groups[b] - t.groups[a])
		}
		return strings.Compare(a.model+a.reason, b.model+b.reason)
	})
	fmt.Fprintln(w)
	lines := table{head: []string{"COUNT", "KIND", "MODEL", "REASON"}, right: map[int]bool{0: true}}
	rest := int64(0)
	for i, g := range groups {
		if i < most {
			lines.add(count(t.groups[g]), string(g.kind), g.model, g.reason)
		} else {
			rest += t.groups[g]
		}
	}
	if rest > 0 {
		lines.add(count(rest), "", "", "other reasons")
	}
	return lines.write(w)
}

// printFirst prints records one by one.
func (t tally) printFirst(w io.Writer, now time.Time) error {
	fmt.Fprintln(w)
	lines := table{head: []string{"KIND", "MODEL", "RECORD", "CAME", "REASON"}}
	for _, p := range t.first {
		came := "unknown"
		switch {
		case p.Kind == morango.Unsendable:
			came = "-"
		case p.Since != nil:
			came = ago(now.Sub(*p.Since))
		}
		lines.add(string(p.Kind), p.Model, p.ID, came, p.Reason)
	}
	if err := lines.write(w); err != nil {
		return err
	}
	if rest := t.total - int64(len(t.first)); rest > 0 {
		fmt.Fprintf(w, "and %s more: --limit shows them, --json prints all\n", count(rest))
	}
	return nil
}

// values are what differs between reasons that are the same for a reader.
var values = regexp.MustCompile(`[0-9a-f]{32}|"(?:[^"\\]|\\.)*"|\d+`)

// general is a reason without the values that it names.
func general(reason string) string {
	text := []rune(values.ReplaceAllString(reason, "…"))
	if len(text) > 100 {
		text = append(text[:100], '…')
	}
	return string(text)
}

// ago writes how long ago something was.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return plural(int64(d.Hours()/24), "day") + " ago"
}
