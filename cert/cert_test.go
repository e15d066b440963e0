package cert_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/model"
)

// keys are made once: making one takes a tenth of a second.
var keys = sync.OnceValue(func() []cert.Key {
	made := make([]cert.Key, 3)
	for i := range made {
		key, err := cert.GenerateKey(rand.Reader)
		if err != nil {
			panic(err)
		}
		made[i] = key
	}
	return made
})

var full = model.ScopeDefinition{ID: "full", Profile: "facilitydata", Version: 2,
	PrimaryScopeParam: "dataset_id", ReadWriteTemplate: "${dataset_id}"}

var single = model.ScopeDefinition{ID: "single", Profile: "facilitydata", Version: 1,
	ReadTemplate: "${dataset_id}:ro", WriteTemplate: "${dataset_id}:rw", ReadWriteTemplate: "${dataset_id}:user:${user_id}"}

func defs(id string) (model.ScopeDefinition, bool) {
	for _, d := range []model.ScopeDefinition{full, single} {
		if d.ID == id {
			return d, true
		}
	}
	return model.ScopeDefinition{}, false
}

func nothingKnown(string) (*cert.Certificate, bool) { return nil, false }

func newRoot(t testing.TB, key int) *cert.Certificate {
	t.Helper()
	root, err := cert.NewRoot(full, keys()[key], "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func childOf(t interface{ Fatal(...any) }, parent *cert.Certificate, key int, salt string, extra map[string]string) *cert.Certificate {
	params := map[string]string{"dataset_id": parent.ID}
	if parent.ParentID != "" {
		params["dataset_id"] = parent.ParentID
	}
	scope := full
	for name, value := range extra {
		params[name], scope = value, single
	}
	child, err := parent.Issue(cert.Request{
		ParentID: parent.ID, Profile: "facilitydata", ScopeDefinition: scope.ID, ScopeVersion: scope.Version,
		ScopeParams: cert.Params(params), PublicKey: keys()[key].Public().String(),
	}, salt, defs)
	if err != nil {
		t.Fatal(err)
	}
	return child
}

func TestChainSurvivesTheWire(t *testing.T) {
	root := newRoot(t, 0)
	rapid.Check(t, func(t *rapid.T) {
		// White space would split the filter, and with it widen the scope.
		user := rapid.StringOfN(rapid.RuneFrom(nil, unicode.L, unicode.N, unicode.P, unicode.S), 0, 20, -1).Draw(t, "user")
		salt := rapid.StringMatching(`[0-9a-f]{0,32}`).Draw(t, "salt")
		chain := []*cert.Certificate{root, childOf(t, root, 1, salt, map[string]string{"user_id": user})}
		parsed, err := cert.ParseChain([]byte(cert.MarshalChain(chain)))
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range chain {
			public := *c
			public.PrivateKey = ""
			if diff := cmp.Diff(&public, parsed[i]); diff != "" {
				t.Fatalf("certificate %d (-sent +arrived):\n%s", i, diff)
			}
		}
		fresh, err := cert.CheckChain(parsed, chain[1].ID, defs, nothingKnown)
		if err != nil || len(fresh) != 2 {
			t.Fatalf("%d fresh, %v", len(fresh), err)
		}
	})
}

// Whatever single byte of a chain changes on the way, nobody gets another scope.
func TestTamperedChainGrantsNothingElse(t *testing.T) {
	root := newRoot(t, 0)
	chain := []*cert.Certificate{root, childOf(t, root, 1, "5a17", map[string]string{"user_id": "u1"})}
	text := cert.MarshalChain(chain)
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		to := rapid.Byte().Draw(t, "to")
		changed := text[:at] + string([]byte{to}) + text[at+1:]
		parsed, err := cert.ParseChain([]byte(changed))
		if err != nil {
			return
		}
		if _, err := cert.CheckChain(parsed, "", defs, nothingKnown); err != nil {
			return
		}
		for i, c := range parsed {
			if c.Serialized != chain[i].Serialized || c.ID != chain[i].ID {
				t.Fatalf("accepted other content: %s", c.Serialized)
			}
		}
	})
}

func TestRefusals(t *testing.T) {
	root := newRoot(t, 0)
	child := childOf(t, root, 1, "5a17", map[string]string{"user_id": "u1"})
	other := newRoot(t, 2)
	forged := *child
	forged.ParentID, forged.Signature = other.ID, root.Signature
	for name, c := range map[string]struct {
		chain []*cert.Certificate
		last  string
		want  error
	}{
		"empty":          {nil, "", cert.ErrMalformed},
		"no root":        {[]*cert.Certificate{child}, "", cert.ErrChain},
		"wrong last":     {[]*cert.Certificate{root, child}, root.ID, cert.ErrChain},
		"foreign parent": {[]*cert.Certificate{other, child}, "", cert.ErrChain},
		"forged":         {[]*cert.Certificate{other, &forged}, "", cert.ErrSignature},
	} {
		fresh, err := cert.CheckChain(c.chain, c.last, defs, nothingKnown)
		if !errors.Is(err, c.want) || fresh != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	root := newRoot(t, 0)
	good := cert.Request{ParentID: root.ID, Profile: "facilitydata", ScopeDefinition: "full",
		ScopeParams: root.ScopeParams, PublicKey: keys()[1].Public().String()}
	for name, c := range map[string]struct {
		change func(*cert.Request)
		salt   string
		want   error
	}{
		"other parent":     {func(r *cert.Request) { r.ParentID = strings.Repeat("0", 32) }, "", cert.ErrChain},
		"other profile":    {func(r *cert.Request) { r.Profile = "other" }, "", cert.ErrProfile},
		"unknown scope":    {func(r *cert.Request) { r.ScopeDefinition = "none" }, "", cert.ErrUnknownScope},
		"wider":            {func(r *cert.Request) { r.ScopeParams = `{"dataset_id": "0"}` }, "", cert.ErrScope},
		"params no object": {func(r *cert.Request) { r.ScopeParams = `[]` }, "", cert.ErrMalformed},
		"no key":           {func(r *cert.Request) { r.PublicKey = "AAAA" }, "", cert.ErrMalformed},
		"long salt":        {func(*cert.Request) {}, strings.Repeat("s", 33), cert.ErrMalformed},
		"NUL":              {func(r *cert.Request) { r.ScopeParams = "{\"dataset_id\": \"\x00\"}" }, "", cert.ErrMalformed},
	} {
		r := good
		c.change(&r)
		if _, err := root.Issue(r, c.salt, defs); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	public := *root
	public.PrivateKey = ""
	if _, err := public.Issue(good, "", defs); !errors.Is(err, cert.ErrNotOwned) {
		t.Errorf("signing without the key: %v", err)
	}
}

func TestNewRoot(t *testing.T) {
	root, err := cert.NewRoot(full, keys()[0], "", map[string]string{"b": "ü", "a": `"`, "dataset_id": "mine"})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"dataset_id": "` + root.ID + `", "a": "\"", "b": "\u00fc"}`; root.ScopeParams != want {
		t.Errorf("scope parameters %s, want %s", root.ScopeParams, want)
	}
	if _, err := cert.NewRoot(single, keys()[0], "", nil); err == nil {
		t.Error("a root of a scope without primary parameter was made")
	}
	open := model.ScopeDefinition{ID: "open", Profile: "facilitydata", PrimaryScopeParam: "x"}
	if _, err := cert.NewRoot(open, keys()[0], "", nil); !errors.Is(err, cert.ErrRootScope) {
		t.Errorf("a root that grants everything: %v", err)
	}
}

func TestKeptCertificateMustAgree(t *testing.T) {
	root := newRoot(t, 0)
	child := childOf(t, root, 1, "5a17", nil)
	here := kept{root.ID: root, child.ID: child}
	fresh, err := cert.CheckChain([]*cert.Certificate{child}, child.ID, defs, here.find)
	if err != nil || len(fresh) != 0 {
		t.Errorf("a chain that begins at a kept certificate: %d fresh, %v", len(fresh), err)
	}
	changed := *child
	changed.Serialized += " "
	if _, err := cert.CheckChain([]*cert.Certificate{root, &changed}, "", defs, here.find); !errors.Is(err, cert.ErrChain) {
		t.Errorf("a kept certificate with other text: %v", err)
	}
}

func TestSessionMessageIsProved(t *testing.T) {
	root := newRoot(t, 0)
	message := cert.SessionMessage("n", "s")
	signature, err := root.Sign(message)
	if err != nil || message != "n:s" {
		t.Fatalf("%q: %v", message, err)
	}
	if err := root.Verify(message, signature); err != nil {
		t.Error(err)
	}
	if err := root.Verify("n:t", signature); !errors.Is(err, cert.ErrSignature) {
		t.Errorf("another message: %v", err)
	}
}
