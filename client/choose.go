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
	owned, roots, err := s.owned(ctx)
	if err != nil {
		return nil, nil, err
	}
	return s.choose(ctx, id, owned, roots, map[string][]*cert.Certificate{})
}

// owned are our own certificates, with the root of each.
func (s Syncer) owned(ctx context.Context) (owned []*cert.Certificate, roots map[string]string, err error) {
	env := s.Engine.Env()
	roots = map[string]string{}
	err = env.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if owned, err = session.Owned(ctx, tx, env.Profile.Name); err != nil {
			return err
		}
		for _, mine := range owned {
			chain, err := session.Ancestors(ctx, tx, mine.ID)
			if err != nil {
				return err
			}
			roots[mine.ID] = chain[0].ID
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("own certificates: %w", err)
	}
	return owned, roots, nil
}

// choose is Certificates of those owned; asked are the peer's certificates by root, as far as
// they are known already.
func (s Syncer) choose(ctx context.Context, id string, owned []*cert.Certificate, roots map[string]string, asked map[string][]*cert.Certificate) (own, other *cert.Certificate, err error) {
	for _, mine := range owned {
		if id != "" && mine.ID != id {
			continue
		}
		root := roots[mine.ID]
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
		ErrNoCertificate, s.Peer.BaseURL, s.Engine.Env().Profile.Name, len(owned))
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
	return c.Engine.Env().DB.Read(ctx, func(tx *db.Tx) (err error) {
		if c.mine, err = c.scope(ctx, tx, c.sync.ClientCertificateID); err == nil {
			c.theirs, err = c.scope(ctx, tx, c.sync.ServerCertificateID)
		}
		return err
	})
}

func (c *conversation) scope(ctx context.Context, tx *db.Tx, id string) (scope partition.Scope, err error) {
	one, err := session.Certificate(ctx, tx, id)
	if err == nil {
		scope, err = scopeIn(ctx, tx, one)
	}
	if err != nil {
		return scope, fmt.Errorf("certificate %s of sync session %s: %w", id, c.sync.ID, err)
	}
	return scope, nil
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
