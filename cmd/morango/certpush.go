package main

import (
	"context"
	"fmt"

	"github.com/morango-go/morango"
)

// certPushCmd issues a certificate to a peer.
type certPushCmd struct {
	node
	URL    string            `arg:"" help:"Address of the peer, such as https://portal.example.org."`
	Parent string            `required:"" placeholder:"ID" help:"Own certificate that signs the new one."`
	Scope  string            `help:"Scope definition of the new certificate; the parent's when not given."`
	Params map[string]string `name:"param" placeholder:"NAME=VALUE" help:"Parameters of the scope beside the parent's."`
}

// Run issues the certificate and prints its id.
func (f *certPushCmd) Run(ctx context.Context, c console) error {
	return f.with(ctx, morango.Config{Logger: c.log}, func(n *morango.Node) error {
		o := morango.PushOptions{Parent: f.Parent, ScopeDefinition: f.Scope, Params: f.Params}
		pushed, err := n.PushCertificate(ctx, f.URL, o)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "%s now has certificate %s (%s) and can be synced with.\n", f.URL, pushed.ID, pushed.ScopeDefinition)
		return nil
	})
}
