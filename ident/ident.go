// Package ident computes and checks the identifiers of the system: record ids,
// certificate ids, database and instance ids, and their spoken form (proquint).
//
// It belongs to the words layer: pure values; the one thing it reads from
// outside, the identity of this machine, comes in through Sources. It imports
// only the standard library. On a row's path it is used wherever an id is made
// or checked.
package ident

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Placeholder stands in a partition for the record's own id while that id is
// being computed, because the id depends on the partition.
const Placeholder = "${id}"

// Length is the number of characters of an id: 32 lower-case hex digits.
const Length = 32

// The first and the last id. In place of "", where PostgreSQL wants an id, Lowest stands
// for the beginning.
const (
	Lowest  = "00000000000000000000000000000000"
	Highest = "ffffffffffffffffffffffffffffffff"
)

// ErrInvalid says that a text is not an id. Errors of Parse and UUID5 wrap it.
var ErrInvalid = errors.New("not an id (32 hex digits)")

// Hash returns the first 32 hex digits of SHA-256 over the parts joined by "::".
// Every id of the system that is not random has this form.
func Hash(parts ...string) string {
	var room [512]byte // each record that travels is hashed some times
	text := room[:0]
	for i, part := range parts {
		if i > 0 {
			text = append(text, "::"...)
		}
		text = append(text, part...)
	}
	sum := sha256.Sum256(text)
	var digits [Length]byte
	hex.Encode(digits[:], sum[:Length/2])
	return string(digits[:])
}

// Record returns the id of a record. partition still holds Placeholder where the
// record's own id belongs.
func Record(partition, sourceID, modelName string) string {
	return Hash(partition, sourceID, modelName)
}

// Fields returns the id made of field values in their order: empty ones are left
// out, the others joined by ":" and hashed. With nothing left it returns "" and
// false, and the caller takes a random id, so that records without any value do
// not collide. Certificate ids (public key, profile, salt) have this form. A
// field that holds the number 0 counts as empty: give it as "".
func Fields(values ...string) (id string, ok bool) {
	var kept []string
	for _, v := range values {
		if v != "" {
			kept = append(kept, v)
		}
	}
	if len(kept) == 0 {
		return "", false
	}
	return Hash(strings.Join(kept, ":")), true
}

// New returns a random id, with the version and variant bits of a version-4 UUID.
// The error is that of r.
func New(r io.Reader) (string, error) {
	var b [Length / 2]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return "", fmt.Errorf("read 16 random bytes for a new id: %w", err)
	}
	return stamp(b, 4), nil
}

// Valid says whether s is an id in the form in which ids are stored and travel:
// 32 lower-case hex digits.
func Valid(s string) bool {
	if len(s) != Length {
		return false
	}
	wrong := byte(0)
	for i := range len(s) {
		// Without branches: which digit comes next nobody can guess.
		c := s[i]
		wrong |= digits[(c&0xf+c>>6*9)&0xf] ^ c
	}
	return wrong == 0
}

const digits = "0123456789abcdef"

// Parse returns the stored form of an id that a person or another program wrote:
// dashes and upper-case digits are accepted. The error wraps ErrInvalid.
func Parse(s string) (string, error) {
	id := strings.ToLower(s)
	if len(id) == Length+4 && id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-' {
		id = id[:8] + id[9:13] + id[14:18] + id[19:23] + id[24:]
	}
	if !Valid(id) {
		return "", fmt.Errorf("id %.40q: %w", s, ErrInvalid)
	}
	return id, nil
}

// UUID5 returns the version-5 UUID of a name in a namespace, as an id. The
// namespace is an id in any form that Parse accepts; the error wraps ErrInvalid.
func UUID5(namespace, name string) (string, error) {
	id, err := Parse(namespace)
	if err != nil {
		return "", fmt.Errorf("namespace of a version-5 UUID: %w", err)
	}
	space, err := hex.DecodeString(id)
	if err != nil {
		return "", fmt.Errorf("namespace of a version-5 UUID: %w", err)
	}
	sum := sha1.Sum(append(space, name...))
	return stamp([Length / 2]byte(sum[:Length/2]), 5), nil
}

// stamp writes a UUID's version and variant bits into b and returns it as an id.
func stamp(b [Length / 2]byte, version byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	return hex.EncodeToString(b[:])
}
