package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/morango-go/morango"
)

// identityCmd shows who a database saves as, and renews it.
type identityCmd struct {
	node
	Renew bool `env:"-" help:"Give the database a new database id, and so a new instance id. Do it after restoring a backup or copying a database file. A copy that was not renewed is noticed at its next sync."`
	JSON  bool `help:"Print one JSON object."`
}

// Run prints the identity.
func (f *identityCmd) Run(ctx context.Context, c console) error {
	return f.with(ctx, morango.Config{Logger: c.log}, func(n *morango.Node) error {
		show := n.Identity
		if f.Renew {
			show = n.RenewIdentity
		}
		i, err := show(ctx)
		if err != nil {
			return err
		}
		if f.JSON {
			return json.NewEncoder(c.out).Encode(i)
		}
		return printIdentity(c.out, i)
	})
}

func printIdentity(w io.Writer, i morango.Identity) error {
	orNone := func(id string) string {
		if id == "" {
			return "(none)"
		}
		return id
	}
	fmt.Fprintf(w, "instance id  %s (%s)\ndatabase id  %s\nsystem id    %s\nnode id      %s\ncounter      %d\n",
		i.InstanceID, i.InstanceHash, i.DatabaseID, orNone(i.SystemID), orNone(i.NodeID), i.Counter)
	if len(i.Earlier) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := table{head: []string{"EARLIER INSTANCE", "DATABASE ID", "COUNTER"}, right: map[int]bool{2: true}}
	for _, one := range i.Earlier {
		t.add(one.InstanceID, one.DatabaseID, fmt.Sprint(one.Counter))
	}
	return t.write(w)
}
