package client

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
)

// Certificates finds an own certificate, the one with the given id unless that is "",
// and one of the peer's that come from the same root; ErrNoCertificate.
func (s Syncer) Certificates(ctx context.Context, id string) (own, other *cert.Certificate, err error) {
	var all owned
	err = s.Engine.Env().DB.Read(ctx, func(tx *db.Tx) (err error) {
		all, err = s.owned(ctx, tx)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	chain, other, err := s.choose(ctx, id, all, map[string][]*cert.Certificate{})
	if err != nil {
		return nil, nil, err
	}
	return chain.own(), other, nil
}

// owned are our own certificates, each with its chain.
type owned []chain

// chain is a certificate's, root first, itself last.
type chain []*cert.Certificate

func (c chain) root() string           { return c[0].ID }
func (c chain) own() *cert.Certificate { return c[len(c)-1] }

func (s Syncer) owned(ctx context.Context, tx *db.Tx) (all owned, err error) {
	list, err := session.Owned(ctx, tx, s.Engine.Env().Profile.Name)
	for _, mine := range list {
		var c chain
		if c, err = session.Chain(ctx, tx, mine); err != nil {
			break
		}
		all = append(all, c)
	}
	if err != nil {
		return nil, fmt.Errorf("own certificates: %w", err)
	}
	return all, nil
}

// choose is Certificates of those owned; asked are the peer's certificates by root, as far as
// they are known already.
func (s Syncer) choose(ctx context.Context, id string, all owned, asked map[string][]*cert.Certificate) (mine chain, other *cert.Certificate, err error) {
	for _, mine := range all {
		if id != "" && mine.own().ID != id {
			continue
		}
		root := mine.root()
		if _, ok := asked[root]; !ok {
			if asked[root], err = s.Peer.Certificates(ctx, root); err != nil {
				return nil, nil, err
			}
		}
		if theirs := asked[root]; len(theirs) > 0 {
			return mine, s.widest(ctx, theirs), nil
		}
	}
	return nil, nil, fmt.Errorf("%w with %s for profile %s: this node holds %d certificates and the server has none under their roots; get one with a certificate request (--user)",
		ErrNoCertificate, s.Peer.BaseURL, s.Engine.Env().Profile.Name, len(all))
}

// widest returns the certificate that allows at least what the others do, or the
// first when none does.
func (s Syncer) widest(ctx context.Context, all []*cert.Certificate) *cert.Certificate {
	best := all[0]
	if len(all) == 1 {
		return best
	}
	bestScope, err := s.scopeOf(ctx, best)
	if err != nil {
		return best
	}
	for _, other := range all[1:] {
		scope, err := s.scopeOf(ctx, other)
		if err == nil && bestScope.SubsetOf(scope) == nil {
			best, bestScope = other, scope
		}
	}
	return best
}

func (s Syncer) scopeOf(ctx context.Context, one *cert.Certificate) (scope partition.Scope, err error) {
	err = s.Engine.Env().DB.Read(ctx, func(tx *db.Tx) error {
		scope, err = scopeIn(ctx, tx, one)
		return err
	})
	return scope, err
}

func scopeIn(ctx context.Context, tx *db.Tx, one *cert.Certificate) (partition.Scope, error) {
	defs, err := session.Definitions(ctx, tx)
	if err != nil {
		return partition.Scope{}, err
	}
	return one.Scope(defs)
}

// scopes reads the scopes of the session's two certificates, which may be one and the
// same: a copied device may meet its original.
func (c *conversation) scopes(ctx context.Context) error {
	return c.Engine.Env().DB.Read(ctx, func(tx *db.Tx) error {
		mine, theirs, err := session.Two(ctx, tx, c.sync.ClientCertificateID, c.sync.ServerCertificateID)
		if err != nil {
			return fmt.Errorf("the certificates of sync session %s: %w", c.sync.ID, err)
		}
		return c.scopesOf(ctx, tx, mine, theirs)
	})
}

// scopesOf is scopes of certificates that were read.
func (c *conversation) scopesOf(ctx context.Context, tx *db.Tx, mine, theirs *cert.Certificate) error {
	defs, err := session.Definitions(ctx, tx)
	if err == nil {
		c.mine, err = mine.Scope(defs)
	}
	if err == nil {
		c.theirs, err = theirs.Scope(defs)
	}
	if err != nil {
		return fmt.Errorf("what certificates %s and %s allow: %w", mine.ID, theirs.ID, err)
	}
	return nil
}

// filter returns what is to be transferred in one direction: what was asked for, or
// all that both certificates allow.
func (c *conversation) filter(push bool, asked partition.Filter) (partition.Filter, error) {
	mine, theirs := c.mine.Read, c.theirs.Write
	if push {
		mine, theirs = c.mine.Write, c.theirs.Read
	}
	if asked.IsZero() {
		both := common(mine, theirs)
		if both.IsZero() {
			return both, fmt.Errorf("%s with %s: %w: they have no partition in common in this direction",
				directionName(push), c.peer.BaseURL, ErrScope)
		}
		return both, nil
	}
	for _, side := range []struct {
		whose string
		scope partition.Filter
	}{{"ours", mine}, {"the server's", theirs}} {
		if !asked.SubsetOf(side.scope) {
			return asked, fmt.Errorf("%s of filter %q: %w: %s allows %q",
				directionName(push), asked, ErrScope, side.whose, side.scope)
		}
	}
	return asked, nil
}

// common is what lies in both filters: of each pair of prefixes of which one holds the
// other, the narrower one.
func common(a, b partition.Filter) partition.Filter {
	var both partition.Filter
	for _, pair := range [][2]partition.Filter{{a, b}, {b, a}} {
		for _, prefix := range pair[0].Prefixes() {
			one := partition.Of(prefix)
			if one.SubsetOf(pair[1]) && !one.SubsetOf(both) {
				both = both.Plus(one)
			}
		}
	}
	return both
}
