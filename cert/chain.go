package cert

import (
	"strings"

	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/partition"
)

// Link is a certificate as it travels: the JSON object of a chain, of a CSR's
// answer and of certificate lists. Only Serialized, Signature and ID count; the
// others are copies.
type Link struct {
	ID              string  `json:"id"`
	Parent          *string `json:"parent"`
	Profile         string  `json:"profile"`
	ScopeDefinition string  `json:"scope_definition"`
	ScopeVersion    int     `json:"scope_version"`
	ScopeParams     string  `json:"scope_params"`
	PublicKey       string  `json:"public_key"`
	Serialized      string  `json:"serialized"`
	Signature       string  `json:"signature"`
	Salt            string  `json:"salt"`
}

// Link gives the travelling form of the certificate, without its private key.
func (c *Certificate) Link() Link {
	l := Link{
		ID: c.ID, Profile: c.Profile, ScopeDefinition: c.ScopeDefinition,
		ScopeVersion: c.ScopeVersion, ScopeParams: c.ScopeParams, PublicKey: c.PublicKey,
		Serialized: c.Serialized, Signature: c.Signature, Salt: c.Salt,
	}
	if c.ParentID != "" {
		l.Parent = &c.ParentID
	}
	return l
}

// Links gives the travelling forms of certificates in their order.
func Links(chain []*Certificate) []Link {
	links := make([]Link, len(chain))
	for i, c := range chain {
		links[i] = c.Link()
	}
	return links
}

// MarshalChain writes the list of travelling certificates as Python's json.dumps would.
func MarshalChain(chain []*Certificate) string {
	texts := make([]string, len(chain))
	for i, c := range chain {
		var o object
		o.string("id", c.ID)
		o.stringOrNull("parent", c.ParentID)
		o.string("profile", c.Profile)
		o.string("scope_definition", c.ScopeDefinition)
		o.int("scope_version", c.ScopeVersion)
		o.string("scope_params", c.ScopeParams)
		o.string("public_key", c.PublicKey)
		o.string("serialized", c.Serialized)
		o.string("signature", c.Signature)
		o.string("salt", c.Salt)
		texts[i] = o.end()
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// Scope fills the certificate's scope definition with its parameters. The error
// is ErrUnknownScope, or ErrMalformed when the parameters are no JSON object.
func (c *Certificate) Scope(defs Definitions) (partition.Scope, error) {
	def, ok := defs(c.ScopeDefinition)
	if !ok {
		return partition.Scope{}, wrong(ErrUnknownScope, c.ID,
			"scope definition %q is not part of this peer's profile", c.ScopeDefinition)
	}
	scope, err := partition.NewScopeJSON(def.ReadTemplate, def.WriteTemplate, def.ReadWriteTemplate, c.ScopeParams)
	if err != nil {
		return partition.Scope{}, wrong(ErrMalformed, c.ID, "scope parameters: %v", err)
	}
	return scope, nil
}

// Check checks the certificate against its parent (nil for a root): id,
// signature, profile, and that its scope only narrows.
func (c *Certificate) Check(parent *Certificate, defs Definitions) error {
	if want, _ := ident.Fields(c.PublicKey, c.Profile, c.Salt); c.ID != want {
		return wrong(ErrID, c.ID, "the id of this key, profile and salt is %s", want)
	}
	if parent == nil {
		return c.checkRoot(defs)
	}
	if c.ParentID != parent.ID {
		return wrong(ErrChain, c.ID, "its parent is %q, not %s", c.ParentID, parent.ID)
	}
	if err := parent.Verify(c.Serialized, c.Signature); err != nil {
		return wrong(ErrSignature, c.ID, "not signed by its parent %s: %v", parent.ID, err)
	}
	mine, err := c.Scope(defs)
	if err != nil {
		return err
	}
	theirs, err := parent.Scope(defs)
	if err != nil {
		return err
	}
	if err := mine.SubsetOf(theirs); err != nil {
		return wrong(ErrScope, c.ID, "grants more than its parent %s: %v", parent.ID, err)
	}
	if c.Profile != parent.Profile {
		return wrong(ErrProfile, c.ID, "profile is %q but the parent's is %q", c.Profile, parent.Profile)
	}
	return nil
}

func (c *Certificate) checkRoot(defs Definitions) error {
	if c.ParentID != "" {
		return wrong(ErrChain, c.ID, "it has a parent, %s, and so is no root", c.ParentID)
	}
	if err := c.Verify(c.Serialized, c.Signature); err != nil {
		return wrong(ErrSignature, c.ID, "not signed by itself: %v", err)
	}
	scope, err := c.Scope(defs)
	if err != nil {
		return err
	}
	own := partition.Of(c.ID)
	if err := scope.SubsetOf(partition.Scope{Read: own, Write: own}); err != nil {
		return wrong(ErrRootScope, c.ID, "%v", err)
	}
	return nil
}

// CheckChain checks a chain that was presented, root first. Certificates that
// known finds are trusted as stored, and what was presented for them must be the
// same; a chain may begin below the root with one of these. expectedLastID is the
// id that the last must have, or "".
// It returns those that are new, root first, to be saved in that order.
func CheckChain(chain []*Certificate, expectedLastID string, defs Definitions, known func(id string) (*Certificate, bool)) ([]*Certificate, error) {
	// The reference takes a root that is given twice.
	for len(chain) > 1 && chain[1].ParentID == "" && same(chain[0], chain[1]) {
		chain = chain[1:]
	}
	if err := checkLinks(chain, expectedLastID); err != nil {
		return nil, err
	}
	var fresh []*Certificate
	var parent *Certificate
	for _, c := range chain {
		stored, ok := known(c.ID)
		switch {
		case !ok:
			if err := c.Check(parent, defs); err != nil {
				return nil, err
			}
			fresh = append(fresh, c)
			parent = c
		case !same(stored, c):
			return nil, wrong(ErrChain, c.ID, "differs from the certificate of that id that is kept here")
		default:
			parent = stored
		}
	}
	return fresh, nil
}

// same says whether two certificates are the same text under the same signature.
func same(a, b *Certificate) bool {
	return a.Serialized == b.Serialized && a.Signature == b.Signature
}

// checkLinks checks that each certificate names the one before as its parent.
func checkLinks(chain []*Certificate, expectedLastID string) error {
	if len(chain) == 0 || len(chain) > MaxChain {
		return wrong(ErrMalformed, "", "a chain has 1 to %d certificates, not %d", MaxChain, len(chain))
	}
	if last := chain[len(chain)-1]; expectedLastID != "" && last.ID != expectedLastID {
		return wrong(ErrChain, last.ID, "the chain should end with %.40q", expectedLastID)
	}
	for i := 1; i < len(chain); i++ {
		if c := chain[i]; c.ParentID != chain[i-1].ID {
			return wrong(ErrChain, c.ID, "its parent is %q, but %s comes before it", c.ParentID, chain[i-1].ID)
		}
	}
	return nil
}
