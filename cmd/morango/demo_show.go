package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/morango-go/morango"
)

// holdings is what both sides hold at one moment.
type holdings struct {
	hub, tablet             map[string]int64 // rows by model
	hubDigest, tabletDigest string
}

func (d *demo) holdings(ctx context.Context) (h holdings, err error) {
	if h.hub, h.hubDigest, err = holding(ctx, d.hub.node); err != nil {
		return h, err
	}
	h.tablet, h.tabletDigest, err = holding(ctx, d.tablet.node)
	return h, err
}

func holding(ctx context.Context, n *morango.Node) (map[string]int64, string, error) {
	status, err := n.Status(ctx)
	if err != nil {
		return nil, "", err
	}
	rows := map[string]int64{}
	for _, m := range status.Models {
		rows[m.Model] = m.Rows
	}
	digest, err := n.Digest(ctx)
	return rows, digest, err
}

// show prints one round as a table, and whether both sides are equal now.
func (d *demo) show(before, after holdings, s morango.Summary) error {
	t := table{head: []string{"ROWS OF", "HUB", "TABLET", "", "HUB AFTER", "TABLET AFTER"},
		right: map[int]bool{1: true, 2: true, 4: true, 5: true}}
	for _, m := range d.profile.Models {
		t.add(m.Name, count(before.hub[m.Name]), count(before.tablet[m.Name]), "->",
			count(after.hub[m.Name]), count(after.tablet[m.Name]))
	}
	if err := t.write(d.out); err != nil {
		return err
	}
	fmt.Fprintln(d.out)
	way := table{head: []string{"TRAVELLED", "RECORDS", "SENT", "RECEIVED", "NEW", "NEWER", "CONFLICTS"},
		right: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true}}
	for _, one := range []struct {
		name string
		d    morango.Direction
		here bool
	}{{"hub to tablet", s.Pull, true}, {"tablet to hub", s.Push, false}} {
		new, newer, conflicts := count(one.d.New), count(one.d.FastForwards), count(one.d.Conflicts)
		if !one.here {
			new, newer, conflicts = "", "", "" // known to the hub alone
		}
		way.add(one.name, count(one.d.Records), size(one.d.BytesSent), size(one.d.BytesReceived), new, newer, conflicts)
	}
	if err := way.write(d.out); err != nil {
		return err
	}
	equal := after.hubDigest == after.tabletDigest
	d.failed = d.failed || !equal || s.Failing() > 0
	verdict := "equal"
	if !equal {
		verdict = "NOT EQUAL"
	}
	fmt.Fprintf(d.out, "\nDigest of all rows, computed from the tables:\n  hub     %s\n  tablet  %s\n  %s\n",
		after.hubDigest, after.tabletDigest, verdict)
	if len(s.Problems) > 0 {
		reasons := make([]string, len(s.Problems))
		for i, p := range s.Problems {
			reasons[i] = p.Model + " " + p.ID + ": " + p.Reason
		}
		fmt.Fprintln(d.out, strings.Join(reasons, "\n"))
	}
	return nil
}
