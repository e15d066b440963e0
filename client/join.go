package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

// ErrChoose says that the peer owns several certificates that could sign ours.
var ErrChoose = errors.New("the peer owns certificates of several roots")

// ErrNoPushing says that the peer does not take pushed certificates.
var ErrNoPushing = errors.New("the peer does not take pushed certificates")

// JoinOptions say which certificate is asked for, and as whom.
type JoinOptions struct {
	Profile         string
	Parent          string            // certificate of the peer that is to sign; "" when it owns just one at the top
	ScopeDefinition string            // "" is the parent's
	Params          map[string]string // template parameters beside the parent's, which stay
	User, Password  string            // see UserArgs for more than a name
	Rand            io.Reader         // for the key
}

// UserArgs puts several user arguments, such as username and facility, into the
// form in which a peer takes them in place of a user's name.
func UserArgs(args map[string]string) (string, error) {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(args)) {
		part := name + "=" + args[name]
		if strings.Count(part, "=") != 1 || strings.ContainsAny(part, "&:") {
			return "", fmt.Errorf("user argument %q: peers cannot take '&', '=' or ':' in it", name)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "&"), nil
}

// Join asks the peer for a certificate, checks it and the chain above it, and keeps
// both with the private key, which never leaves this node. On an error nothing is
// kept. The errors to decide on are ErrCredentials, ErrForbidden, ErrChoose,
// ErrNoCertificate, those of the peer, and those of package cert.
func Join(ctx context.Context, d *db.DB, p *Peer, o JoinOptions) (*cert.Certificate, error) {
	if strings.Contains(o.User, ":") {
		return nil, fmt.Errorf("user %q: HTTP Basic credentials cannot hold ':' in the user's name", o.User)
	}
	parent, err := p.chooseParent(ctx, o)
	if err != nil {
		return nil, err
	}
	chain, err := p.CertificateChain(ctx, parent)
	if err != nil {
		return nil, err
	}
	defs, err := checkChain(ctx, d, chain, parent)
	if err != nil {
		return nil, fmt.Errorf("the certificate chain of %s: %w", p.BaseURL, err)
	}
	own, err := p.signed(ctx, o, chain[len(chain)-1], defs)
	if err != nil {
		return nil, err
	}
	err = d.Write(ctx, func(tx *db.Tx) error {
		_, _, err := session.SaveChain(ctx, tx, append(slices.Clone(chain), own), own.ID)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("keeping the certificate from %s: %w", p.BaseURL, err)
	}
	return own, nil
}

// chooseParent finds the peer's certificate that is to sign ours.
func (p *Peer) chooseParent(ctx context.Context, o JoinOptions) (string, error) {
	if o.Parent != "" {
		return o.Parent, nil
	}
	list, err := p.CertificatesOf(ctx, o.Profile)
	if err != nil {
		return "", err
	}
	listed := map[string]bool{}
	for _, c := range list {
		listed[c.ID] = true
	}
	var top []string
	for _, c := range list {
		if c.Profile == o.Profile && !listed[c.ParentID] {
			top = append(top, c.ID)
		}
	}
	switch len(top) {
	case 0:
		return "", fmt.Errorf("%s owns no certificate of profile %q that could sign one: %w", p.BaseURL, o.Profile, ErrNoCertificate)
	case 1:
		return top[0], nil
	default:
		return "", fmt.Errorf("%s, profile %q: %w; choose one of %s", p.BaseURL, o.Profile, ErrChoose, strings.Join(top, ", "))
	}
}

// checkChain checks the peer's chain before it sees a password, and returns the
// scope definitions it was checked with.
func checkChain(ctx context.Context, d *db.DB, chain []*cert.Certificate, last string) (cert.Definitions, error) {
	if len(chain) == 0 {
		return nil, fmt.Errorf("it does not own certificate %.40q: %w", last, ErrNoCertificate)
	}
	var defs cert.Definitions
	err := d.Read(ctx, func(tx *db.Tx) (err error) {
		if defs, err = session.Definitions(ctx, tx); err != nil {
			return err
		}
		var failed error
		known := func(id string) (*cert.Certificate, bool) {
			c, err := session.Certificate(ctx, tx, id)
			if err != nil && !errors.Is(err, session.ErrNotFound) {
				failed = err
			}
			return c, err == nil
		}
		_, err = cert.CheckChain(chain, last, defs, known)
		return cmp.Or(failed, err)
	})
	return defs, err
}

// signed makes a key, has the parent's owner sign it, and checks what comes back.
func (p *Peer) signed(ctx context.Context, o JoinOptions, parent *cert.Certificate, defs cert.Definitions) (*cert.Certificate, error) {
	request, err := certificateRequest(o.ScopeDefinition, o.Params, parent, defs)
	if err != nil {
		return nil, err
	}
	key, err := cert.GenerateKey(o.Rand)
	if err != nil {
		return nil, err
	}
	request.PublicKey = key.Public().String()
	own, err := p.RequestCertificate(ctx, wire.CertificateRequest{
		Parent: request.ParentID, Profile: request.Profile, ScopeDefinition: request.ScopeDefinition,
		ScopeVersion: request.ScopeVersion, ScopeParams: request.ScopeParams, PublicKey: request.PublicKey,
	}, o.User, o.Password)
	if err != nil {
		return nil, err
	}
	if own.PublicKey != request.PublicKey || own.ScopeDefinition != request.ScopeDefinition || own.ScopeParams != request.ScopeParams {
		return nil, fmt.Errorf("%s signed another certificate (%s) than the one asked for: %w", p.BaseURL, own.ID, ErrNotMorango)
	}
	if err := own.Check(parent, defs); err != nil {
		return nil, fmt.Errorf("what %s signed: %w", p.BaseURL, err)
	}
	own.PrivateKey = key.PEM()
	return own, nil
}

// certificateRequest fills in what the caller left open from the parent, all but
// the public key.
func certificateRequest(scope string, params map[string]string, parent *cert.Certificate, defs cert.Definitions) (cert.Request, error) {
	r := cert.Request{
		ParentID: parent.ID, Profile: parent.Profile,
		ScopeDefinition: cmp.Or(scope, parent.ScopeDefinition), ScopeVersion: parent.ScopeVersion,
	}
	def, ok := defs(r.ScopeDefinition)
	if !ok {
		return r, fmt.Errorf("profile %q has no scope definition %q", parent.Profile, r.ScopeDefinition)
	}
	r.ScopeVersion = def.Version
	var err error
	r.ScopeParams, err = mergeParams(parent.ScopeParams, params)
	return r, err
}

// mergeParams adds parameters to the parent's; without any the text stays as it is.
func mergeParams(text string, more map[string]string) (string, error) {
	if len(more) == 0 {
		return text, nil
	}
	merged := map[string]jsontext.Value{}
	if err := json.Unmarshal([]byte(text), &merged); err != nil {
		return "", fmt.Errorf("the scope parameters of the parent certificate are no JSON object: %w", err)
	}
	for name, value := range more {
		quoted, err := jsontext.AppendQuote(nil, value)
		if err != nil {
			return "", fmt.Errorf("scope parameter %q: %w", name, err)
		}
		merged[name] = quoted
	}
	return wire.MarshalText(merged)
}

// PushOptions say which certificate is given to the peer.
type PushOptions struct {
	Parent          string            // own certificate that signs
	ScopeDefinition string            // "" is the parent's
	Params          map[string]string // template parameters beside the parent's, which stay
}

// PushCertificate signs a certificate for the peer's shared key, hands it over with
// its chain, and keeps it here without a private key. It is the way to let a peer
// that nobody can log in to take part. ErrNoPushing when the peer does not want that.
func PushCertificate(ctx context.Context, d *db.DB, p *Peer, o PushOptions) (*cert.Certificate, error) {
	if err := p.takesCertificates(ctx); err != nil {
		return nil, err
	}
	var chain []*cert.Certificate
	var defs cert.Definitions
	err := d.Read(ctx, func(tx *db.Tx) (err error) {
		if chain, err = session.Ancestors(ctx, tx, o.Parent); err != nil {
			return err
		}
		defs, err = session.Definitions(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("own certificate to sign with: %w", err)
	}
	pushed, err := p.issueFor(ctx, o, chain[len(chain)-1], defs)
	if err != nil {
		return nil, err
	}
	if err := p.PushCertificateChain(ctx, append(slices.Clone(chain), pushed)); err != nil {
		return nil, err
	}
	if err := d.Write(ctx, func(tx *db.Tx) error { return session.SaveCertificate(ctx, tx, pushed) }); err != nil {
		return nil, fmt.Errorf("certificate %s is with %s, but keeping it here failed: %w", pushed.ID, p.BaseURL, err)
	}
	return pushed, nil
}

func (p *Peer) takesCertificates(ctx context.Context) error {
	info, err := p.Info(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(info.Capabilities, wire.AllowCertificatePushing) {
		return fmt.Errorf("%s: %w: ask it for a certificate instead", p.BaseURL, ErrNoPushing)
	}
	return nil
}

// issueFor signs a certificate for the peer's shared key, with its nonce as salt.
func (p *Peer) issueFor(ctx context.Context, o PushOptions, parent *cert.Certificate, defs cert.Definitions) (*cert.Certificate, error) {
	request, err := certificateRequest(o.ScopeDefinition, o.Params, parent, defs)
	if err != nil {
		return nil, err
	}
	keys, err := p.PublicKeys(ctx)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s offers no key to sign a certificate for: %w", p.BaseURL, ErrNoPushing)
	}
	nonce, err := p.Nonce(ctx)
	if err != nil {
		return nil, err
	}
	if !ident.Valid(nonce.ID) {
		return nil, fmt.Errorf("%s gave %.40q as a nonce: %w", p.BaseURL, nonce.ID, ErrNotMorango)
	}
	request.PublicKey = keys[0].PublicKey
	return parent.Issue(request, nonce.ID, defs)
}
