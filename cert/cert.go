// Package cert holds keys, certificates and certificate chains: who may read and
// write which partitions, proved by signatures down from a self-signed root.
//
// It belongs to the words layer: pure values, no I/O. It imports ident, model
// and partition. On a row's path it decides, before anything travels, which
// filters two peers may exchange.
package cert

import (
	"github.com/morango-go/morango/model"
)

// Certificate is one link of a chain: a public key and the scope of a profile
// that it grants. It is a row of morango_certificate without the tree columns.
type Certificate struct {
	ID              string // 32 hex digits, computed from public key, profile and salt
	ParentID        string // "" for a root
	Profile         string
	ScopeDefinition string // id of the scope definition
	ScopeVersion    int
	ScopeParams     string // JSON object of the template parameters
	PublicKey       string // canonical one-line form, see PublicKey.String
	Serialized      string // exact JSON text that is signed
	Signature       string // base64, by the parent's key (a root's by its own)
	Salt            string // "" or up to 32 characters
	PrivateKey      string // PEM; "" when the certificate is not ours
}

// Owned reports whether this database holds the certificate's private key.
func (c *Certificate) Owned() bool { return c.PrivateKey != "" }

// Definitions finds a scope definition by its id.
type Definitions func(id string) (model.ScopeDefinition, bool)
