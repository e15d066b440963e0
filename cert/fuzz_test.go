package cert_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/morango-go/morango/cert"
)

// Whatever arrives as a chain is refused with a class, or comes out as it came.
func FuzzParseChain(f *testing.F) {
	root := newRoot(f, 0)
	f.Add(cert.MarshalChain([]*cert.Certificate{root}))
	f.Add(cert.MarshalChain([]*cert.Certificate{root, childOf(f, root, 1, "5a17", nil)}))
	f.Add(`[]`)
	f.Add(`[{"id": "", "serialized": "{}", "signature": ""}]`)
	f.Add(strings.Repeat(`[`, 10_000))
	f.Fuzz(func(t *testing.T, text string) {
		chain, err := cert.ParseChain([]byte(text))
		var refused *cert.Error
		if err != nil {
			if !errors.As(err, &refused) {
				t.Fatalf("error without class: %v", err)
			}
			return
		}
		again, err := cert.ParseChain([]byte(cert.MarshalChain(chain)))
		if err != nil || len(again) != len(chain) {
			t.Fatalf("%d certificates came out as %d: %v", len(chain), len(again), err)
		}
		if _, err := cert.CheckChain(chain, "", defs, nothingKnown); err != nil && !errors.As(err, &refused) {
			t.Fatalf("error without class: %v", err)
		}
	})
}

// A key that is read is written in the one canonical form, and reads as itself.
func FuzzParsePublic(f *testing.F) {
	text := keys()[0].Public().String()
	f.Add(text)
	f.Add("-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A" + text + "\n-----END PUBLIC KEY-----\n")
	f.Add("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := cert.ParsePublic(text)
		if err != nil {
			return
		}
		again, err := cert.ParsePublic(key.String())
		if err != nil || again.String() != key.String() {
			t.Fatalf("%s reads as %s: %v", key, again, err)
		}
		if err := key.Verify("message", text); err == nil {
			t.Fatal("a key's text is not a signature")
		}
	})
}

func FuzzParsePrivate(f *testing.F) {
	f.Add(keys()[0].PEM())
	f.Add(strings.Join(strings.Fields(keys()[1].PEM()), "\n"))
	f.Fuzz(func(t *testing.T, text string) {
		key, err := cert.ParsePrivate(text)
		if err != nil {
			return
		}
		signature, err := key.Sign("message")
		if err != nil {
			t.Fatal(err)
		}
		if err := key.Public().Verify("message", signature); err != nil {
			t.Fatal(err)
		}
	})
}
