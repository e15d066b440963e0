package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/morango-go/morango"
)

// serializeCmd brings changed rows into the store.
type serializeCmd struct {
	node
	Filter string `help:"Partition prefixes, separated by white space; all when not given."`
	JSON   bool   `help:"Print one JSON object."`
}

// Run serializes and prints what was done.
func (f *serializeCmd) Run(ctx context.Context, c console) error {
	return f.with(ctx, morango.Config{Logger: c.log}, func(n *morango.Node) error {
		filter := morango.Filter{}
		if f.Filter != "" {
			filter = morango.ParseFilter(f.Filter)
		}
		r, err := n.Serialize(ctx, filter)
		if err != nil {
			return err
		}
		if f.JSON {
			err = json.NewEncoder(c.out).Encode(r)
		} else {
			fmt.Fprintf(c.out, "Serialized %s: %s new, %s changed, %s deleted.\n",
				plural(r.Records, "record"), count(r.New), count(r.Changed), count(r.Deleted))
			for _, p := range r.LeftOut {
				fmt.Fprintf(c.out, "left out  %s %s: %s\n", p.Model, p.ID, p.Reason)
			}
		}
		if err == nil && r.LeftOutTotal > 0 {
			return errPartial
		}
		return err
	})
}

// statusCmd shows what a database holds.
type statusCmd struct {
	node
	JSON bool `help:"Print one JSON object."`
}

// Run prints the status.
func (f *statusCmd) Run(ctx context.Context, c console) error {
	return f.with(ctx, morango.Config{Logger: c.log}, func(n *morango.Node) error {
		s, err := n.Status(ctx)
		if err != nil {
			return err
		}
		if f.JSON {
			return json.NewEncoder(c.out).Encode(s)
		}
		return printStatus(c.out, s)
	})
}

func printStatus(w io.Writer, s morango.Status) error {
	fmt.Fprintf(w, "instance      %s (counter %d)\ndatabase id   %s\nprofile       %s\ncertificates  %d\n\n",
		s.InstanceID, s.Counter, s.DatabaseID, s.Profile, s.Certificates)
	t := table{head: []string{"MODEL", "ROWS", "RECORDS", "DELETED", "CHANGED", "WAITING"},
		right: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true}}
	for _, m := range s.Models {
		t.add(m.Model, count(m.Rows), count(m.Records), count(m.Deleted), count(m.Changed), count(m.Waiting))
	}
	if err := t.write(w); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nCHANGED rows are serialized with the next sync; WAITING records came from peers\nand are not applied yet.\n")
	fmt.Fprintf(w, "Open: %s.\n", plural(int64(s.OpenSessions), "sync session"))
	for _, last := range s.Sessions {
		state := "closed"
		if last.Active {
			state = "open"
		}
		fmt.Fprintf(w, "session %s  %-6s  %s UTC  %s\n", last.ID, state, last.LastTime.UTC().Format(time.DateTime), last.Peer)
		if last.Failure != "" {
			fmt.Fprintf(w, "        failed at stage %s\n", last.Failure)
		}
	}
	printProblems(w, s.Problems, s.ProblemsTotal)
	return nil
}
