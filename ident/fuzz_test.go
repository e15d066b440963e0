package ident_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/morango-go/morango/ident"
)

// What reads as an id is hex for the standard library too, has the form that is stored,
// and reads as itself.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"467dd5c2b39c066bc3b73c9881f95430", "467DD5C2-B39C-066B-C3B7-3C9881F95430", "467dd5c2b39c066bc3b73c9881f9543", "İ67dd5c2b39c066bc3b73c9881f95430",
		"--------------------------------", "", "467dd5c2-b39c-066b-c3b73c98-81f95430",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ident.Parse(text)
		if err != nil {
			if !errors.Is(err, ident.ErrInvalid) || len(err.Error()) > 400 || ident.Valid(text) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := ident.Parse(id)
		bytes, hexErr := hex.DecodeString(id)
		if err != nil || hexErr != nil || again != id || !ident.Valid(id) || len(bytes) != 16 || strings.ToLower(id) != id {
			t.Fatalf("%q reads as %q, that as %q: %v, %v", text, id, again, err, hexErr)
		}
		if name, err := ident.UUID5(text, "x"); err != nil || !ident.Valid(name) || name[12] != '5' {
			t.Fatalf("%q: name %q: %v", text, name, err)
		}
		if spoken := ident.InstanceHash(id); len(spoken) == 0 || len(spoken) > 11 {
			t.Fatalf("%q is spoken as %q", id, spoken)
		}
	})
}

// What reads as a proquint is the spoken form of its number, but for zeros in front.
func FuzzFromProquint(f *testing.F) {
	for _, text := range []string{"babab", "lusab-babad", "zuzuz-zuzuz-zuzuz", "babab-babad", "", "-", "bAbab", "babab-"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ident.FromProquint(text)
		if err != nil {
			if !errors.Is(err, ident.ErrNotProquint) {
				t.Fatal(err)
			}
			return
		}
		spoken := ident.Proquint(n)
		if n.Sign() < 0 || !strings.HasSuffix(text, spoken) || strings.Trim(strings.ReplaceAll(strings.TrimSuffix(text, spoken), "babab", ""), "-") != "" {
			t.Fatalf("%q is %s, which is %q", text, n, spoken)
		}
	})
}
