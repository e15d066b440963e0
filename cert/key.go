package cert

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
)

// keyBits is the only size of key that peers accept.
const keyBits = 2048

// publicHeader is the base64 of what SubjectPublicKeyInfo puts before the PKCS#1
// form of a 2048-bit key. Its length is a multiple of three bytes, so the text
// can be cut off. Old peers write keys without it, new ones read both.
const publicHeader = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"

// publicSize is the length of the PKCS#1 form that fits under publicHeader.
const publicSize = 270

// maxKeyText bounds the text of a key, in bytes; real ones have under 2,000.
const maxKeyText = 16 << 10

// Key is an RSA private key. The zero value is not usable.
type Key struct{ rsa *rsa.PrivateKey }

// PublicKey is an RSA public key. The zero value is not usable.
type PublicKey struct{ rsa *rsa.PublicKey }

// GenerateKey makes a fresh RSA key of 2048 bits. The standard library decides
// whether random is read or the system's source is used.
func GenerateKey(random io.Reader) (Key, error) {
	key, err := rsa.GenerateKey(random, keyBits)
	if err != nil {
		return Key{}, fmt.Errorf("making an RSA key: %w", err)
	}
	return Key{key}, nil
}

// ParsePrivate reads a private key: PKCS#1 or PKCS#8, PEM or only its base64 body.
func ParsePrivate(text string) (Key, error) {
	der, err := keyBytes(text)
	if err != nil {
		return Key{}, fmt.Errorf("private key: %w", err)
	}
	key, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		if key, err = parsePKCS8(der); err != nil {
			return Key{}, errors.New("private key: neither PKCS#1 nor PKCS#8 RSA")
		}
	}
	if key.N.BitLen() != keyBits {
		return Key{}, fmt.Errorf("private key has %d bits, want %d", key.N.BitLen(), keyBits)
	}
	return Key{key}, nil
}

func parsePKCS8(der []byte) (*rsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a %T is no RSA key", parsed)
	}
	return key, nil
}

// ParsePublic reads a public key: PKCS#1 or PKCS#8 (SubjectPublicKeyInfo), PEM
// or only its base64 body, wrapped or on one line. Only RSA of 2048 bits is accepted.
func ParsePublic(text string) (PublicKey, error) {
	der, err := keyBytes(text)
	if err != nil {
		return PublicKey{}, fmt.Errorf("public key: %w", err)
	}
	key, err := x509.ParsePKCS1PublicKey(der)
	if err != nil {
		return PublicKey{}, errors.New("public key: not RSA in PKCS#1 or SubjectPublicKeyInfo form")
	}
	if key.N.BitLen() != keyBits || len(der) != publicSize {
		return PublicKey{}, fmt.Errorf("public key has %d bits in %d bytes, want %d in %d",
			key.N.BitLen(), len(der), keyBits, publicSize)
	}
	if !bytes.Equal(x509.MarshalPKCS1PublicKey(key), der) {
		return PublicKey{}, errors.New("public key: not in canonical form, something else stands beside its two numbers")
	}
	return PublicKey{key}, nil
}

// keyBytes takes the lines that begin and end a PEM block off and decodes the
// rest. Blocks are taken apart by hand because peers leave out or mix up the
// lines around them.
func keyBytes(text string) ([]byte, error) {
	if len(text) > maxKeyText {
		return nil, fmt.Errorf("text of %d bytes is too long", len(text))
	}
	var body strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "---") {
			body.WriteString(strings.Join(strings.Fields(line), ""))
		}
	}
	der, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(body.String(), publicHeader))
	if err != nil {
		return nil, fmt.Errorf("not base64: %w", err)
	}
	return der, nil
}

// PEM is the key's text at rest: PKCS#1 PEM.
func (k Key) PEM() string {
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k.rsa)}
	return string(pem.EncodeToMemory(block))
}

// Public is the key's public half.
func (k Key) Public() PublicKey { return PublicKey{&k.rsa.PublicKey} }

// Sign signs the message (PKCS#1 v1.5, SHA-256) and returns base64 on one line.
func (k Key) Sign(message string) (string, error) {
	digest := sha256.Sum256([]byte(message))
	signature, err := rsa.SignPKCS1v15(nil, k.rsa, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}

// String is the canonical form: base64 of the PKCS#1 DER, no header, one line.
func (p PublicKey) String() string {
	return base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(p.rsa))
}

// Verify returns nil when signature is the key's over message, else ErrSignature,
// together with ErrEncoding when the signature is not base64.
func (p PublicKey) Verify(message, signature string) error {
	raw, err := decodeSignature(signature)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	digest := sha256.Sum256([]byte(message))
	if rsa.VerifyPKCS1v15(p.rsa, crypto.SHA256, digest[:], raw) != nil {
		return ErrSignature
	}
	return nil
}

// decodeSignature reads base64 as the reference does: what is outside the
// alphabet is ignored, and nothing after the padding is read.
func decodeSignature(text string) ([]byte, error) {
	var digits strings.Builder
	pads := 0
	for i := range len(text) {
		c := text[i]
		if c == '=' {
			// Padding counts only where it completes a group of four.
			if used := digits.Len() % 4; used >= 2 {
				if pads++; used+pads >= 4 {
					return base64.RawStdEncoding.DecodeString(digits.String())
				}
			}
			continue
		}
		if isBase64(c) {
			digits.WriteByte(c)
			pads = 0
		}
	}
	if digits.Len()%4 != 0 {
		return nil, ErrEncoding
	}
	return base64.RawStdEncoding.DecodeString(digits.String())
}

func isBase64(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/'
}
