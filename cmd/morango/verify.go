package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/morango-go/morango"
)

// verifyCmd checks a database.
type verifyCmd struct {
	node
	Examples int  `default:"10" help:"How many findings of each kind are listed."`
	JSON     bool `help:"Print one JSON object."`
}

// Validate refuses impossible values before anything is opened.
func (f *verifyCmd) Validate() error {
	if f.Examples < 1 || f.Examples > 100_000 {
		return fmt.Errorf("--examples %d: a number from 1 to 100000 is needed", f.Examples)
	}
	return nil
}

// Run checks the database and prints what is wrong with it.
func (f *verifyCmd) Run(ctx context.Context, c console) error {
	return f.with(ctx, morango.Config{Logger: c.log}, func(n *morango.Node) error {
		r, err := n.Verify(ctx, morango.VerifyOptions{Examples: f.Examples})
		if err != nil {
			return err
		}
		if f.JSON {
			err = json.NewEncoder(c.out).Encode(struct {
				Clean bool `json:"clean"`
				morango.VerifyReport
			}{r.Clean(), r})
		} else {
			err = printVerified(c.out, r)
		}
		if err == nil && !r.Clean() {
			return errPartial
		}
		return err
	})
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
	t := table{head: []string{"FOUND", "COUNT", "WHAT TO DO"}, right: map[int]bool{1: true}}
	for _, f := range r.Found {
		t.add(string(f.Kind), count(f.Count), f.Remedy)
	}
	if err := t.write(w); err != nil {
		return err
	}
	for _, f := range r.Found {
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
	if r.Clean() {
		fmt.Fprintln(w, "\nNothing is wrong: what was found is harmless.")
	}
	return nil
}
