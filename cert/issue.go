package cert

import (
	"fmt"
	"maps"
	"slices"

	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
)

// NewRoot makes a self-signed certificate for a scope definition that names a
// primary scope parameter; that parameter gets the certificate's id. salt may
// be ""; extra holds further parameters and may be nil.
func NewRoot(def model.ScopeDefinition, key Key, salt string, extra map[string]string) (*Certificate, error) {
	if def.PrimaryScopeParam == "" {
		return nil, fmt.Errorf("scope definition %q names no primary scope parameter: it cannot be a root's", def.ID)
	}
	public := key.Public().String()
	id, _ := ident.Fields(public, def.Profile, salt)
	c := &Certificate{
		ID: id, Profile: def.Profile, ScopeDefinition: def.ID, ScopeVersion: def.Version,
		ScopeParams: rootParams(def.PrimaryScopeParam, id, extra),
		PublicKey:   public, Salt: salt, PrivateKey: key.PEM(),
	}
	c.Serialized = c.serialize()
	signature, err := key.Sign(c.Serialized)
	if err != nil {
		return nil, fmt.Errorf("root certificate %s: %w", c.ID, err)
	}
	c.Signature = signature
	only := func(id string) (model.ScopeDefinition, bool) { return def, id == def.ID }
	return c, c.Check(nil, only)
}

// rootParams puts the primary parameter first, as the reference does; a further
// parameter of its name is left out.
func rootParams(primary, id string, extra map[string]string) string {
	var o object
	o.string(primary, id)
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		if name != primary {
			o.string(name, extra[name])
		}
	}
	return o.end()
}

// Params writes template parameters as the JSON object text that
// Certificate.ScopeParams holds, names sorted.
func Params(params map[string]string) string {
	var o object
	for _, name := range slices.Sorted(maps.Keys(params)) {
		o.string(name, params[name])
	}
	return o.end()
}

// Request asks a parent certificate's owner for a child: the body of a
// certificate signing request.
type Request struct {
	ParentID        string
	Profile         string
	ScopeDefinition string
	ScopeVersion    int
	ScopeParams     string // JSON object
	PublicKey       string // any form that ParsePublic reads
}

// Issue signs a child of the certificate c, whose private key must be here, and
// checks it as any receiver will. salt is a fresh id (when the certificate is
// pushed to a server: that server's nonce).
func (c *Certificate) Issue(r Request, salt string, defs Definitions) (*Certificate, error) {
	if r.ParentID != c.ID {
		return nil, wrong(ErrChain, "", "asked of parent %s, signed by %s", r.ParentID, c.ID)
	}
	key, err := ParsePublic(r.PublicKey)
	if err != nil {
		return nil, wrong(ErrMalformed, "", "%v", err)
	}
	public := key.String()
	id, _ := ident.Fields(public, r.Profile, salt)
	child := &Certificate{
		ID: id, ParentID: c.ID, Profile: r.Profile,
		ScopeDefinition: r.ScopeDefinition, ScopeVersion: r.ScopeVersion, ScopeParams: r.ScopeParams,
		PublicKey: public, Salt: salt,
	}
	if err := child.checkFields(); err != nil {
		return nil, err
	}
	child.Serialized = child.serialize()
	if child.Signature, err = c.Sign(child.Serialized); err != nil {
		return nil, err
	}
	if err := child.Check(c, defs); err != nil {
		return nil, err
	}
	return child, nil
}

// serialize writes the text that is signed.
func (c *Certificate) serialize() string {
	var o object
	o.string("id", c.ID)
	o.stringOrNull("parent_id", c.ParentID)
	o.string("profile", c.Profile)
	o.string("salt", c.Salt)
	o.string("scope_definition_id", c.ScopeDefinition)
	o.int("scope_version", c.ScopeVersion)
	o.string("scope_params", c.ScopeParams)
	o.string("public_key_string", c.PublicKey)
	return o.end()
}

// SessionMessage is what both sides of a new sync session sign.
func SessionMessage(nonce, sessionID string) string { return nonce + ":" + sessionID }

// Sign signs a message with the certificate's private key; ErrNotOwned without one.
func (c *Certificate) Sign(message string) (string, error) {
	if !c.Owned() {
		return "", fmt.Errorf("%w %s: sign with one that this database owns", ErrNotOwned, c.ID)
	}
	key, err := ParsePrivate(c.PrivateKey)
	if err != nil {
		return "", fmt.Errorf("certificate %s: %w", c.ID, err)
	}
	return key.Sign(message)
}

// Verify checks a signature by the certificate's key; the error is that of
// PublicKey.Verify.
func (c *Certificate) Verify(message, signature string) error {
	key, err := ParsePublic(c.PublicKey)
	if err != nil {
		return wrong(ErrMalformed, c.ID, "%v", err)
	}
	return key.Verify(message, signature)
}
