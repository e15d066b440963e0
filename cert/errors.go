package cert

import "errors"

// Class names what is wrong with a certificate or a chain, by the names that
// peers use on the wire.
type Class string

// The classes of certificate errors.
const (
	ClassSignature    Class = "CertificateSignatureInvalid" // signature does not verify
	ClassScope        Class = "CertificateScopeNotSubset"   // scope is wider than the parent's
	ClassProfile      Class = "CertificateProfileInvalid"   // profile differs from the parent's
	ClassID           Class = "CertificateIDInvalid"        // id does not recompute
	ClassRootScope    Class = "CertificateRootScopeInvalid" // a root's scope leaves its own partition
	ClassChain        Class = "CertificateChainInvalid"     // links do not fit together
	ClassUnknownScope Class = "ScopeDefinitionUnknown"      // no such scope definition here
	ClassMalformed    Class = "CertificateMalformed"        // not a certificate at all
)

// Error says which certificate is wrong and how.
type Error struct {
	Class   Class
	ID      string // the certificate's id as it claims it; "" when unreadable
	Message string
}

// Error returns the message with the class and the id.
func (e *Error) Error() string { panic("not written") }

// Is makes errors.Is(err, cert.ErrSignature) and the like true for an *Error of that class.
func (e *Error) Is(target error) bool { panic("not written") }

// Sentinels, one a class, for errors.Is.
var (
	ErrSignature    = errors.New("certificate signature is not valid")
	ErrScope        = errors.New("certificate scope is not within its parent's")
	ErrProfile      = errors.New("certificate profile is not its parent's")
	ErrID           = errors.New("certificate id does not fit its key")
	ErrRootScope    = errors.New("root certificate's scope leaves its own partition")
	ErrChain        = errors.New("certificate chain does not fit together")
	ErrUnknownScope = errors.New("scope definition is not known")
	ErrMalformed    = errors.New("certificate is malformed")
)

// ErrNotOwned: signing was asked of a certificate whose private key is not here.
var ErrNotOwned = errors.New("no private key for the certificate")
