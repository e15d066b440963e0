package morango

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/client"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/session"
)

// Certificate is a certificate of this node or of a peer.
type Certificate = cert.Certificate

// CreateRoot makes a new root certificate of a scope definition of the profile, and
// with it a new world of data: its id is the first part of every partition. params
// holds further parameters of the scope's templates and may be nil.
func (n *Node) CreateRoot(ctx context.Context, scopeDefinition string, params map[string]string) (*Certificate, error) {
	def, ok := n.Profile().Scope(scopeDefinition)
	if !ok {
		return nil, fmt.Errorf("profile %s has no scope definition %q", n.Profile().Name, scopeDefinition)
	}
	salt, err := n.engine.Env().NewID()
	if err != nil {
		return nil, err
	}
	key, err := cert.GenerateKey(n.config.Rand)
	if err != nil {
		return nil, err
	}
	root, err := cert.NewRoot(def, key, salt, params)
	if err != nil {
		return nil, err
	}
	err = n.db.Write(ctx, func(tx *db.Tx) error { return session.SaveCertificate(ctx, tx, root) })
	if err != nil {
		return nil, fmt.Errorf("keep root certificate %s: %w", root.ID, err)
	}
	return root, nil
}

// JoinOptions say which certificate is asked for, and in whose name. The zero value of
// all but User and Password is enough with most peers.
type JoinOptions struct {
	User            string
	UserArgs        map[string]string // further arguments by which the peer finds the user, such as facility
	Password        string
	ScopeDefinition string            // "" is that of the peer's certificate
	Params          map[string]string // parameters of the scope beside those of the peer's certificate
	Parent          string            // the peer's certificate that is to sign; "" when it has just one
}

// Join asks the peer at url for a certificate in the name of one of its users, keeps it,
// and returns it. A node that has joined can sync.
func (n *Node) Join(ctx context.Context, url string, o JoinOptions) (*Certificate, error) {
	peer, err := n.peer(url)
	if err != nil {
		return nil, err
	}
	user := o.User
	if len(o.UserArgs) > 0 {
		args := maps.Clone(o.UserArgs)
		args["username"] = o.User
		if user, err = client.UserArgs(args); err != nil {
			return nil, err
		}
	}
	return client.Join(ctx, n.db, peer, client.JoinOptions{
		Profile: n.Profile().Name, Parent: o.Parent, ScopeDefinition: o.ScopeDefinition,
		Params: o.Params, User: user, Password: o.Password, Rand: n.config.Rand,
	})
}

// Joined reports whether this node holds a certificate under a root that the peer at
// url knows, so that it can sync without joining first.
func (n *Node) Joined(ctx context.Context, url string) (bool, error) {
	peer, err := n.peer(url)
	if err != nil {
		return false, err
	}
	_, _, err = client.Syncer{Engine: n.engine, Peer: peer}.Certificates(ctx, "")
	if errors.Is(err, client.ErrNoCertificate) {
		return false, nil
	}
	return err == nil, err
}

// Certificates lists the certificates whose private keys are here.
func (n *Node) Certificates(ctx context.Context) (owned []*Certificate, err error) {
	err = n.db.Read(ctx, func(tx *db.Tx) error {
		owned, err = session.Owned(ctx, tx, n.Profile().Name)
		return err
	})
	return owned, err
}

// CertificateChain returns a certificate with its ancestors, root first.
func (n *Node) CertificateChain(ctx context.Context, id string) (chain []*Certificate, err error) {
	err = n.db.Read(ctx, func(tx *db.Tx) error {
		chain, err = session.Ancestors(ctx, tx, id)
		return err
	})
	if errors.Is(err, session.ErrNotFound) {
		return nil, fmt.Errorf("certificate %s is not in this database: %w", id, err)
	}
	return chain, err
}

// PushOptions say which certificate a peer is given.
type PushOptions = client.PushOptions

// PushCertificate issues a certificate to the peer at url for the key that it offers, and
// returns it. It is how a peer takes part that nobody can log in to, such as a data
// portal. client.ErrNoPushing when the peer does not want that.
func (n *Node) PushCertificate(ctx context.Context, url string, o PushOptions) (*Certificate, error) {
	peer, err := n.peer(url)
	if err != nil {
		return nil, err
	}
	return client.PushCertificate(ctx, n.db, peer, o)
}
