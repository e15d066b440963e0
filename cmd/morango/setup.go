package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
)

// initCmd makes a database ready.
type initCmd struct {
	node
	Layout db.Layout `default:"lean" enum:"lean,django" help:"Form of Morango's tables: lean, or django, as a Python application expects them. Tables that are there stay as they are."`
}

// Run makes what is missing.
func (f *initCmd) Run(ctx context.Context, c console) error {
	n, err := f.open(ctx, morango.Config{Create: true, Layout: f.Layout, Logger: c.log})
	if err != nil {
		return err
	}
	status, err := n.Status(ctx)
	if err = errors.Join(err, n.Close()); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "Ready: %s syncs profile %s (models: %d) as instance %s.\n",
		n.Database(), n.Profile().Name, len(n.Profile().Models), status.InstanceID)
	if status.Certificates == 0 {
		fmt.Fprintln(c.out, "Next: `morango cert create` for a new world of data, or `morango sync URL --user NAME` to join one.")
	}
	return nil
}

// idCmd computes a record's id.
type idCmd struct {
	Profile string            `required:"" placeholder:"FILE" type:"existingfile" help:"Profile file (YAML)."`
	Model   string            `arg:"" help:"Model of the record."`
	Columns map[string]string `arg:"" optional:"" mapsep:"none" placeholder:"COLUMN=VALUE" help:"Values of the columns that the source id and the partition are made of. A column that is not given is null."`
	JSON    bool              `help:"Print one JSON object."`
}

// Run prints the id, source id and partition.
func (f *idCmd) Run(c console) error {
	profile, err := morango.LoadProfile(f.Profile)
	if err != nil {
		return err
	}
	m, ok := profile.Model(f.Model)
	if !ok {
		return fmt.Errorf("profile %s has no model %q", profile.Name, f.Model)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Columns)) {
		if _, ok := m.Column(name); !ok {
			return fmt.Errorf("model %s has no column %q", m.Name, name)
		}
	}
	id, err := morango.NewRecordID(m, f.Columns)
	if err != nil {
		return err
	}
	if f.JSON {
		return json.NewEncoder(c.out).Encode(id)
	}
	fmt.Fprintf(c.out, "id         %s\nsource id  %s\npartition  %s\n", id.ID, id.SourceID, id.Partition)
	return nil
}

// certCmd manages certificates.
type certCmd struct {
	Create certCreateCmd `cmd:"" help:"Create a root certificate: the start of a new world of data."`
	List   certListCmd   `cmd:"" help:"List the certificates whose private keys are here."`
	Show   certShowCmd   `cmd:"" help:"Show a certificate with its chain and what it allows."`
	Push   certPushCmd   `cmd:"" help:"Issue a certificate to a peer, such as a data portal, that lets clients do so."`
}

type certCreateCmd struct {
	node
	Scope  string            `required:"" help:"Scope definition of the profile."`
	Params map[string]string `name:"param" placeholder:"NAME=VALUE" help:"Further parameters of the scope."`
}

// Run creates a root certificate and prints its id.
func (f *certCreateCmd) Run(ctx context.Context, c console) error {
	return f.with(ctx, morango.Config{Logger: c.log}, func(n *morango.Node) error {
		root, err := n.CreateRoot(ctx, f.Scope, f.Params)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "Created root certificate %s (%s).\nPartitions of its data begin with that id.\n", root.ID, root.ScopeDefinition)
		return nil
	})
}

type certListCmd struct {
	node
}

// Run lists own certificates.
func (f *certListCmd) Run(ctx context.Context, c console) error {
	return f.with(ctx, morango.Config{Logger: c.log}, func(n *morango.Node) error {
		owned, err := n.Certificates(ctx)
		if err != nil {
			return err
		}
		t := table{head: []string{"CERTIFICATE", "SCOPE", "PARAMETERS", "PARENT"}}
		for _, one := range owned {
			parent := one.ParentID
			if parent == "" {
				parent = "(root)"
			}
			t.add(one.ID, one.ScopeDefinition, one.ScopeParams, parent)
		}
		return t.write(c.out)
	})
}

type certShowCmd struct {
	node
	ID string `arg:"" name:"certificate" help:"Id of the certificate."`
}

// Run shows one certificate.
func (f *certShowCmd) Run(ctx context.Context, c console) error {
	if !ident.Valid(f.ID) {
		return fmt.Errorf("%q is not a certificate id: 32 lower-case hex digits are needed", f.ID)
	}
	return f.with(ctx, morango.Config{Logger: c.log}, func(n *morango.Node) error {
		chain, err := n.CertificateChain(ctx, f.ID)
		if err != nil {
			return err
		}
		for depth, one := range chain {
			private := ""
			if one.Owned() {
				private = ", private key here"
			}
			fmt.Fprintf(c.out, "%s%s  %s version %d %s%s\n", strings.Repeat("  ", depth),
				one.ID, one.ScopeDefinition, one.ScopeVersion, one.ScopeParams, private)
		}
		scope, err := n.Scope(ctx, chain[len(chain)-1])
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "may read   %s\nmay write  %s\n",
			strings.Join(scope.Read.Prefixes(), " "), strings.Join(scope.Write.Prefixes(), " "))
		return nil
	})
}

// with opens the database, runs do, and closes it.
func (f node) with(ctx context.Context, c morango.Config, do func(*morango.Node) error) error {
	n, err := f.open(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(do(n), n.Close())
}
