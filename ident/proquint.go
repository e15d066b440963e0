package ident

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// A proquint writes 16 bits as five letters that can be spoken: consonant, vowel,
// consonant, vowel, consonant, of four and two bits each.
const (
	consonants = "bdfghjklmnprstvz"
	vowels     = "aiou"
)

// ErrNotProquint says that a text is not a number in spoken form.
var ErrNotProquint = errors.New("not a proquint")

// Proquint returns the spoken form of a number that is not negative: groups of five
// letters joined by dashes, as many as the number needs and at least one.
func Proquint(n *big.Int) string {
	var groups []string
	rest, low, mask := new(big.Int).Set(n), new(big.Int), big.NewInt(0xffff)
	for len(groups) == 0 || rest.Sign() > 0 {
		groups = append(groups, group(uint16(low.And(rest, mask).Uint64())))
		rest.Rsh(rest, 16)
	}
	slices.Reverse(groups)
	return strings.Join(groups, "-")
}

// group returns the five letters of 16 bits.
func group(bits uint16) string {
	return string([]byte{
		consonants[bits>>12],
		vowels[bits>>10&3],
		consonants[bits>>6&15],
		vowels[bits>>4&3],
		consonants[bits&15],
	})
}

// FromProquint returns the number of a spoken form: lower-case groups of five
// letters joined by single dashes. The error wraps ErrNotProquint.
func FromProquint(s string) (*big.Int, error) {
	n := new(big.Int)
	for part := range strings.SplitSeq(s, "-") {
		if len(part) != 5 {
			return nil, fmt.Errorf("group %.20q has not five letters: %w", part, ErrNotProquint)
		}
		for i := range len(part) {
			letters, width := consonants, uint(4)
			if i%2 == 1 {
				letters, width = vowels, 2
			}
			bits := strings.IndexByte(letters, part[i])
			if bits < 0 {
				return nil, fmt.Errorf("group %.20q: letter %q does not belong there: %w", part, part[i], ErrNotProquint)
			}
			n.Lsh(n, width)
			n.Or(n, big.NewInt(int64(bits)))
		}
	}
	return n, nil
}

// InstanceHash returns the spoken form of an instance id's first 8 digits, by
// which people tell peers apart; "" when instanceID is not an id.
func InstanceHash(instanceID string) string {
	if !Valid(instanceID) {
		return ""
	}
	n, ok := new(big.Int).SetString(instanceID[:8], 16)
	if !ok {
		return ""
	}
	return Proquint(n)
}
