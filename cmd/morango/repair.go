package main

import (
	"context"
	"fmt"
	"io"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/verify"
)

// repairCmd mends a database.
type repairCmd struct {
	node
	URL    string `arg:"" optional:"" help:"Address of a peer: fetch again what is lost here and there with it, instead of mending this database by itself."`
	Trust  string `enum:",application,store" default:"" placeholder:"WHOM" help:"Who is right where a row and its record differ: application makes the row a new version, store writes the record over the row. Without it they stay as they are."`
	DryRun bool   `name:"dry-run" env:"-" help:"Only say what would be done."`
	CAFile string `name:"ca-file" type:"existingfile" placeholder:"FILE" help:"Certificates (PEM) of authorities to trust beside the system's."`
	JSON   bool   `help:"Print one JSON object."`
}

// Run mends, and prints what was mended and what was not.
func (f *repairCmd) Run(ctx context.Context, c console) error {
	httpClient, err := (&syncCmd{CAFile: f.CAFile}).httpClient()
	if err != nil {
		return err
	}
	return f.with(ctx, morango.Config{Logger: c.log, Client: httpClient}, func(n *morango.Node) error {
		if f.URL != "" {
			return f.fetch(ctx, c, n)
		}
		r, err := n.Repair(ctx, morango.RepairOptions{Trust: verify.Trust(f.Trust), DryRun: f.DryRun})
		if err != nil {
			return err
		}
		return c.tell(f.JSON, r.Left.Clean(), r, func() error { return printRepaired(c.out, r) })
	})
}

// fetch fetches what is lost here.
func (f *repairCmd) fetch(ctx context.Context, c console, n *morango.Node) error {
	r, err := n.Fetch(ctx, f.URL, f.DryRun, morango.CompareOptions{})
	if err != nil {
		return err
	}
	return c.tell(f.JSON, r.After.Clean(), r, func() error {
		if r.Pull != nil {
			fmt.Fprintf(c.out, "Asked again for what was lost here: %s pulled, %s of them new here.\n",
				plural(r.Pull.Pull.Records, "record"), count(r.Pull.Pull.New+r.Pull.Pull.FastForwards))
		}
		return printCompared(c.out, r.After)
	})
}

// printRepaired tells what was mended, and what is left.
func printRepaired(w io.Writer, r morango.RepairReport) error {
	done := "Mended"
	if r.Planned {
		done = "Would mend"
	}
	for _, m := range r.Mended {
		fmt.Fprintf(w, "%s  %s: %s\n", done, m.Kind, count(m.Count))
	}
	if len(r.Left.Found) == 0 {
		if len(r.Mended) == 0 {
			fmt.Fprintln(w, "There is nothing to mend.")
		} else if !r.Planned {
			fmt.Fprintln(w, "Nothing is wrong any more.")
		}
		return nil
	}
	if len(r.Mended) > 0 {
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "Not mended:")
	return printFound(w, r.Left.Found)
}
