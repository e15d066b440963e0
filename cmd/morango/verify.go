package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/verify"
)

// verifyCmd checks a database, or compares it with a peer's.
type verifyCmd struct {
	node
	URL      string `arg:"" optional:"" help:"Address of a peer: compare with what it holds, instead of checking this database by itself."`
	Filter   string `help:"Partition prefixes to compare, separated by white space; all that the certificates allow when not given."`
	CAFile   string `name:"ca-file" type:"existingfile" placeholder:"FILE" help:"Certificates (PEM) of authorities to trust beside the system's."`
	Examples int    `default:"10" help:"How many findings of each kind are listed."`
	JSON     bool   `help:"Print one JSON object."`
}

// Validate refuses impossible values before anything is opened.
func (f *verifyCmd) Validate() error {
	if f.Examples < 1 || f.Examples > 100_000 {
		return fmt.Errorf("--examples %d: a number from 1 to 100000 is needed", f.Examples)
	}
	if f.URL == "" && f.Filter != "" {
		return fmt.Errorf("--filter %q: a filter is only for comparing with a peer", f.Filter)
	}
	return nil
}

// Run checks or compares, and prints what is wrong.
func (f *verifyCmd) Run(ctx context.Context, c console) error {
	httpClient, err := (&syncCmd{CAFile: f.CAFile}).httpClient()
	if err != nil {
		return err
	}
	return f.with(ctx, morango.Config{Logger: c.log, Client: httpClient}, func(n *morango.Node) error {
		if f.URL != "" {
			return f.compare(ctx, c, n)
		}
		r, err := n.Verify(ctx, morango.VerifyOptions{Examples: f.Examples})
		if err != nil {
			return err
		}
		return f.tell(c, r.Clean(), r, func() error { return printVerified(c.out, r) })
	})
}

// compare compares with the peer.
func (f *verifyCmd) compare(ctx context.Context, c console, n *morango.Node) error {
	var o morango.CompareOptions
	o.Examples = f.Examples
	if f.Filter != "" {
		o.Filter = morango.ParseFilter(f.Filter)
	}
	r, err := n.Compare(ctx, f.URL, o)
	if err != nil {
		return err
	}
	return f.tell(c, r.Clean(), r, func() error { return printCompared(c.out, r) })
}

// tell prints a report, and makes the exit code of it.
func (f *verifyCmd) tell(c console, clean bool, report any, lines func() error) error {
	return c.tell(f.JSON, clean, struct {
		Clean  bool `json:"clean"`
		Report any  `json:"report"`
	}{clean, report}, lines)
}

// tell prints a report as JSON or in lines, and makes the exit code of it.
func (c console) tell(asJSON, clean bool, report any, lines func() error) error {
	var err error
	if asJSON {
		err = json.NewEncoder(c.out).Encode(report)
	} else {
		err = lines()
	}
	if err == nil && !clean {
		return errPartial
	}
	return err
}

// printVerified tells of a check: what was looked at, what waits, what was found.
func printVerified(w io.Writer, r morango.VerifyReport) error {
	fmt.Fprintf(w, "Checked %s, %s and %s.\n", plural(r.Checked.Records, "record"),
		plural(r.Checked.Rows, "row"), plural(r.Checked.Certificates, "certificate"))
	if wait := r.Waiting; wait.Changed+wait.Deletions+wait.Records > 0 {
		fmt.Fprintf(w, "Waiting: %s and %s to be serialized, %s to be applied",
			plural(wait.Changed, "changed row"), plural(wait.Deletions, "deletion"), plural(wait.Records, "record"))
		if wait.Failing > 0 {
			fmt.Fprintf(w, " (%s cannot be yet)", count(wait.Failing))
		}
		fmt.Fprintln(w, ".")
	}
	if len(r.Found) == 0 {
		fmt.Fprintln(w, "Nothing is wrong.")
		return nil
	}
	fmt.Fprintln(w)
	if err := printFound(w, r.Found); err != nil {
		return err
	}
	if r.Clean() {
		fmt.Fprintln(w, "\nNothing is wrong: what was found is harmless.")
	}
	return nil
}

// printFound lists findings: a table of the kinds, then the first of each.
func printFound(w io.Writer, found []verify.Found) error {
	t := table{head: []string{"FOUND", "COUNT", "WHAT TO DO"}, right: map[int]bool{1: true}}
	for _, f := range found {
		t.add(string(f.Kind), count(f.Count), f.Remedy)
	}
	if err := t.write(w); err != nil {
		return err
	}
	for _, f := range found {
		fmt.Fprintln(w)
		for _, e := range f.Examples {
			of := ""
			if e.Model != "" {
				of = e.Model + " "
			}
			fmt.Fprintf(w, "%s  %s%s: %s\n", f.Kind, of, e.Object, e.Problem)
		}
		if more := f.Count - int64(len(f.Examples)); more > 0 {
			fmt.Fprintf(w, "%s  and %s more\n", f.Kind, count(more))
		}
	}
	return nil
}

// printCompared tells of a comparison.
func printCompared(w io.Writer, r morango.Comparison) error {
	fmt.Fprintf(w, "Compared %s here with %s there, in %s.\n", plural(r.Here, "record"), count(r.There), plural(int64(r.Questions), "question"))
	switch {
	case !r.Clean():
		fmt.Fprintf(w, "%s lost, %s damaged, %s not synced yet.\n", plural(r.Lost, "record"), count(r.Damaged), count(r.Explained))
	case r.Explained > 0:
		fmt.Fprintf(w, "Nothing is wrong: %s not the same yet, and the next sync ends that.\n", isAre(r.Explained, "record"))
	default:
		fmt.Fprintln(w, "Nothing is wrong: both hold the same.")
	}
	if r.Stopped {
		fmt.Fprintln(w, "That many differ that the rest was not compared: sync first, then verify again.")
	}
	if len(r.Differences) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := table{head: []string{"RECORD", "VERDICT", "VERSION HERE", "VERSION THERE", "PARTITION"}}
	for _, d := range r.Differences {
		t.add(d.ID, string(d.Verdict), shortVersion(d.Here), shortVersion(d.There), fmt.Sprintf("%.80q", d.Partition))
	}
	if err := t.write(w); err != nil {
		return err
	}
	if r.Lost > 0 {
		fmt.Fprintln(w, "\nWhat is lost here, `morango repair URL` fetches again; what is lost there, the peer has to.")
	}
	return nil
}

// isAre is a number of things with the verb that goes with it.
func isAre(n int64, name string) string {
	if n == 1 {
		return plural(n, name) + " is"
	}
	return plural(n, name) + " are"
}

// shortVersion is a version with as much of the instance as people need.
func shortVersion(text string) string {
	const enough = 20
	switch {
	case text == "":
		return "-"
	case len(text) > enough:
		return text[:enough] + "…"
	}
	return text
}
