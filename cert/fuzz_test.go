package cert_test

import (
	"encoding/json"
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

// A travelling certificate that is read is written and read again as the same, also in
// a list; nothing in it is longer than its column.
func FuzzParseLink(f *testing.F) {
	root := newRoot(f, 0)
	for _, c := range []*cert.Certificate{root, childOf(f, root, 1, "5a17", nil)} {
		text := cert.MarshalChain([]*cert.Certificate{c})
		f.Add(text[1 : len(text)-1])
	}
	f.Add(`{"id": 1, "serialized": null}`)
	f.Add(`{"id":"a","serialized":"{\"id\":\"a\"}","signature":"\u0000"}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := cert.ParseLink([]byte(text))
		var refused *cert.Error
		if err != nil {
			if !errors.As(err, &refused) {
				t.Fatalf("error without class: %v", err)
			}
			return
		}
		if len(c.Profile) > 80 || len(c.ScopeDefinition) > 80 || len(c.Salt) > 128 || len(c.ID) != 32 || len(text) > cert.MaxChainBytes || !json.Valid([]byte(text)) {
			t.Fatalf("%+v out of %d bytes", c, len(text))
		}
		list, err := cert.ParseList([]byte(cert.MarshalChain([]*cert.Certificate{c, c})))
		if err != nil || len(list) != 2 || *list[0] != *c || *list[1] != *c {
			t.Fatalf("%+v came back as %+v: %v", c, list, err)
		}
	})
}
