package cert

import "io"

// Key is an RSA private key. The zero value is not usable.
type Key struct{}

// PublicKey is an RSA public key. The zero value is not usable.
type PublicKey struct{}

// GenerateKey makes a fresh RSA key of 2048 bits. The standard library decides
// whether random is read or the system's source is used.
func GenerateKey(random io.Reader) (Key, error) { panic("not written") }

// ParsePrivate reads a private key: PKCS#1 or PKCS#8, PEM or only its base64 body.
func ParsePrivate(text string) (Key, error) { panic("not written") }

// ParsePublic reads a public key: PKCS#1 or PKCS#8 (SubjectPublicKeyInfo), PEM
// or only its base64 body, wrapped or on one line. Only RSA of 2048 bits is accepted.
func ParsePublic(text string) (PublicKey, error) { panic("not written") }

// PEM is the key's text at rest: PKCS#1 PEM.
func (k Key) PEM() string { panic("not written") }

// Public is the key's public half.
func (k Key) Public() PublicKey { panic("not written") }

// Sign signs the message (PKCS#1 v1.5, SHA-256) and returns base64 on one line.
func (k Key) Sign(message string) (string, error) { panic("not written") }

// String is the canonical form: base64 of the PKCS#1 DER, no header, one line.
func (p PublicKey) String() string { panic("not written") }

// Verify returns nil when signature is the key's over message. The error is
// ErrSignature, or says that the signature is not base64.
func (p PublicKey) Verify(message, signature string) error { panic("not written") }
