package cert

import (
	"errors"
	"fmt"
)

// Class says what kind of thing is wrong with a certificate or a chain, by the
// name that peers use on the wire. It is an error itself, so that
// errors.Is(err, ErrScope) asks for the class of an *Error.
type Class string

// The classes of certificate errors.
const (
	ErrSignature    Class = "CertificateSignatureInvalid" // signature does not verify
	ErrScope        Class = "CertificateScopeNotSubset"   // scope is wider than the parent's
	ErrProfile      Class = "CertificateProfileInvalid"   // profile differs from the parent's
	ErrID           Class = "CertificateIDInvalid"        // id does not recompute
	ErrRootScope    Class = "CertificateRootScopeInvalid" // a root's scope leaves its own partition
	ErrChain        Class = "CertificateChainInvalid"     // links do not fit together
	ErrUnknownScope Class = "ScopeDefinitionUnknown"      // no such scope definition here
	ErrMalformed    Class = "CertificateMalformed"        // not a certificate at all
)

// Error is the class's name.
func (c Class) Error() string { return string(c) }

// Error says which certificate is wrong and how.
type Error struct {
	Class   Class
	ID      string // the certificate's id as it claims it; "" when unreadable
	Message string // one clause without the id
}

// Error returns the id, the message and the class.
func (e *Error) Error() string {
	if e.ID == "" {
		return fmt.Sprintf("certificate: %s (%s)", e.Message, e.Class)
	}
	return fmt.Sprintf("certificate %s: %s (%s)", e.ID, e.Message, e.Class)
}

// Unwrap returns the class.
func (e *Error) Unwrap() error { return e.Class }

// ErrEncoding: a signature is not base64.
var ErrEncoding = errors.New("signature is not base64")

// ErrNotOwned: signing was asked of a certificate whose private key is not here.
var ErrNotOwned = errors.New("no private key for the certificate")

func wrong(class Class, id, format string, args ...any) error {
	return &Error{Class: class, ID: id, Message: fmt.Sprintf(format, args...)}
}
