package cert

import "github.com/morango-go/morango/model"

// NewRoot makes a self-signed certificate for a scope definition that names a
// primary scope parameter; that parameter gets the certificate's id. salt may
// be ""; extra holds further parameters and may be nil.
func NewRoot(def model.ScopeDefinition, key Key, salt string, extra map[string]string) (*Certificate, error) {
	panic("not written")
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
	panic("not written")
}

// Params writes template parameters as the JSON object text that
// Certificate.ScopeParams holds, names sorted.
func Params(params map[string]string) string { panic("not written") }

// SessionMessage is what both sides of a new sync session sign.
func SessionMessage(nonce, sessionID string) string { return nonce + ":" + sessionID }

// Sign signs a message with the certificate's private key; ErrNotOwned without one.
func (c *Certificate) Sign(message string) (string, error) { panic("not written") }

// Verify checks a signature by the certificate's key; the error is ErrSignature
// or says why the text is none.
func (c *Certificate) Verify(message, signature string) error { panic("not written") }
