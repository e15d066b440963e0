package cert_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/model"
)

// definitions reads the scope definitions that the vectors were recorded with.
func definitions(t testing.TB) cert.Definitions {
	t.Helper()
	var list []struct {
		ID, Profile, Description string
		Version                  int
		PrimaryScopeParam        string `json:"primary_scope_param_key"`
		ReadTemplate             string `json:"read_filter_template"`
		WriteTemplate            string `json:"write_filter_template"`
		ReadWriteTemplate        string `json:"read_write_filter_template"`
	}
	if err := json.Unmarshal(conformance.File(t, "scope_definitions.json"), &list); err != nil {
		t.Fatalf("scope definitions: %v", err)
	}
	byID := map[string]model.ScopeDefinition{}
	for _, d := range list {
		byID[d.ID] = model.ScopeDefinition{
			ID: d.ID, Profile: d.Profile, Version: d.Version, Description: d.Description,
			PrimaryScopeParam: d.PrimaryScopeParam,
			ReadTemplate:      d.ReadTemplate, WriteTemplate: d.WriteTemplate, ReadWriteTemplate: d.ReadWriteTemplate,
		}
	}
	return func(id string) (model.ScopeDefinition, bool) {
		d, ok := byID[id]
		return d, ok
	}
}

// kept is a database of certificates in a map.
type kept map[string]*cert.Certificate

func (k kept) find(id string) (*cert.Certificate, bool) {
	c, ok := k[id]
	return c, ok
}

// save does what a peer does with a chain that arrives.
func (k kept) save(chain, expectedLastID string, defs cert.Definitions) (*cert.Certificate, error) {
	parsed, err := cert.ParseChain([]byte(chain))
	if err != nil {
		return nil, err
	}
	fresh, err := cert.CheckChain(parsed, expectedLastID, defs, k.find)
	if err != nil {
		return nil, err
	}
	for _, c := range fresh {
		k[c.ID] = c
	}
	return k[parsed[len(parsed)-1].ID], nil
}

// refusals maps the reference's exceptions to our classes.
var refusals = map[string]cert.Class{
	"CertificateSignatureInvalid": cert.ErrSignature,
	"CertificateScopeNotSubset":   cert.ErrScope,
	"CertificateProfileInvalid":   cert.ErrProfile,
	"CertificateIDInvalid":        cert.ErrID,
	"CertificateRootScopeInvalid": cert.ErrRootScope,
	"AssertionError":              cert.ErrChain,
	"DoesNotExist":                cert.ErrUnknownScope,
	"KeyError":                    cert.ErrMalformed,
	"TypeError":                   cert.ErrMalformed,
	"IndexError":                  cert.ErrMalformed,
	"JSONDecodeError":             cert.ErrMalformed,
}

func TestConformanceCertificates(t *testing.T) {
	defs := definitions(t)
	conformance.Run(t, "certificates", func(t *conformance.T, c conformance.Case) {
		var in struct {
			ChainJSON      string   `json:"chain_json"`
			ExpectedLastID *string  `json:"expected_last_id"`
			KnownChains    []string `json:"known_chains"`
		}
		var want struct {
			Result      string
			ID          string
			SavedIDs    []string `json:"saved_ids"`
			ReadFilter  []string `json:"read_filter"`
			WriteFilter []string `json:"write_filter"`
		}
		t.Decode(c.Input, &in)
		t.Decode(c.Expected, &want)
		here := kept{}
		for _, chain := range in.KnownChains {
			_, err := here.save(chain, "", defs)
			t.True(err == nil, "known chain: %v", err)
		}
		before := slices.Sorted(maps.Keys(here))
		contradicts := contradicts(in.ChainJSON, here)
		expected := ""
		if in.ExpectedLastID != nil {
			expected = *in.ExpectedLastID
		}
		got, err := here.save(in.ChainJSON, expected, defs)
		after := slices.Sorted(maps.Keys(here))
		if contradicts && want.Result == "ok" {
			t.Deviates(20)
			t.True(err != nil, "a chain that contradicts what is kept was accepted")
			t.Equal("kept certificates", after, before)
			return
		}
		t.Equal("kept certificates", after, slices.Sorted(slices.Values(want.SavedIDs)))
		if want.Result != "ok" {
			t.True(errors.Is(err, refusals[want.Result]), "got %v, want %s", err, refusals[want.Result])
			return
		}
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		scope, err := got.Scope(defs)
		t.True(err == nil, "scope: %v", err)
		t.Equal("id", got.ID, want.ID)
		t.Equal("read filter", scope.Read.Prefixes(), want.ReadFilter)
		t.Equal("write filter", scope.Write.Prefixes(), want.WriteFilter)
	})
}

// contradicts is the predicate of rule 20: the reference stops looking at the
// first certificate, from the last upwards, that it already has. From there up
// the presented chain differs from what is kept, or is none.
func contradicts(chain string, here kept) bool {
	var links []struct {
		ID, Serialized, Signature string
	}
	if json.Unmarshal([]byte(chain), &links) != nil {
		return false
	}
	last := len(links) - 1
	for last >= 0 && here[links[last].ID] == nil {
		last--
	}
	for i := last; i >= 0; i-- {
		stored := here[links[i].ID]
		if stored == nil || stored.Serialized != links[i].Serialized || stored.Signature != links[i].Signature {
			return true
		}
		twice := i > 0 && stored.ParentID == "" && links[i] == links[i-1]
		if i > 0 && stored.ParentID != links[i-1].ID && !twice {
			return true
		}
	}
	return false
}

func TestConformanceKeys(t *testing.T) {
	conformance.Run(t, "keys", func(t *conformance.T, c conformance.Case) {
		var in struct {
			Public    string `json:"public_key_string"`
			Private   string `json:"private_key_string"`
			Message   string
			Signature string
		}
		t.Decode(c.Input, &in)
		switch c.Kind {
		case "parse_public":
			var want struct {
				Public string `json:"public_key_string"`
			}
			t.Decode(c.Expected, &want)
			key, err := cert.ParsePublic(in.Public)
			t.True(err == nil, "refused: %v", err)
			t.Equal("canonical form", key.String(), want.Public)
		case "parse_private":
			var want struct {
				Private string `json:"private_key_string"`
				Public  string `json:"public_key_string"`
			}
			t.Decode(c.Expected, &want)
			key, err := cert.ParsePrivate(in.Private)
			t.True(err == nil, "refused: %v", err)
			t.Equal("canonical form", key.PEM(), want.Private)
			t.Equal("public half", key.Public().String(), want.Public)
		case "parse_public_bad":
			_, err := cert.ParsePublic(in.Public)
			t.True(err != nil, "a bad key was accepted")
		case "sign":
			key, err := cert.ParsePrivate(in.Private)
			t.True(err == nil, "refused: %v", err)
			signature, err := key.Sign(in.Message)
			t.True(err == nil, "signing: %v", err)
			t.EqualJSON("signature", signature, signatureOf(t, c))
		case "verify":
			checkVerify(t, c, in.Public, in.Message, in.Signature)
		default:
			t.Errorf("unknown kind %q", c.Kind)
		}
	})
}

// signatureOf finds the expected signature, which stands alone or under its name.
func signatureOf(t *conformance.T, c conformance.Case) json.RawMessage {
	t.Helper()
	var named struct{ Signature json.RawMessage }
	if strings.HasPrefix(string(c.Expected), "{") {
		t.Decode(c.Expected, &named)
		return named.Signature
	}
	return c.Expected
}

func checkVerify(t *conformance.T, c conformance.Case, public, message, signature string) {
	t.Helper()
	key, err := cert.ParsePublic(public)
	t.True(err == nil, "refused: %v", err)
	err = key.Verify(message, signature)
	switch want := string(c.Expected); want {
	case "true":
		t.True(err == nil, "should verify: %v", err)
	case "false":
		t.True(errors.Is(err, cert.ErrSignature) && !errors.Is(err, cert.ErrEncoding), "should not verify: %v", err)
	default:
		t.True(strings.HasPrefix(want, `"error:`) && errors.Is(err, cert.ErrEncoding), "should be no base64: %v", err)
	}
}
