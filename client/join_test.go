package client_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/client"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

var testProfile = &model.Profile{Name: "facilitydata", Scopes: []model.ScopeDefinition{
	{ID: "full", Profile: "facilitydata", Version: 1, PrimaryScopeParam: "dataset_id", ReadWriteTemplate: "${dataset_id}"},
	{ID: "single", Profile: "facilitydata", Version: 3, ReadWriteTemplate: "${dataset_id}:${user_id}"},
}}

func testScope(id string) (model.ScopeDefinition, bool) {
	for _, d := range testProfile.Scopes {
		if d.ID == id {
			return d, true
		}
	}
	return model.ScopeDefinition{}, false
}

var testKey = sync.OnceValue(func() cert.Key {
	key, err := cert.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

func testRoot(t *testing.T, salt string) *cert.Certificate {
	t.Helper()
	root, err := cert.NewRoot(testProfile.Scopes[0], testKey(), salt, nil)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// office is a peer that signs certificates for bob.
type office struct {
	t     *testing.T
	owned []*cert.Certificate
	// forge changes what is signed; nil is honest.
	forge  func(*cert.Request)
	pushed [][]*cert.Certificate
}

func (o *office) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == wire.Item(wire.PathInfo, wire.InfoItem):
		answer(w, 200, `{"instance_id": "`+someID+`", "capabilities": ["ALLOW_CERTIFICATE_PUSHING"]}`)
	case r.URL.Path == wire.PathPublicKey:
		answer(w, 200, `[{"public_key": "`+testKey().Public().String()+`"}]`)
	case r.URL.Path == wire.PathNonces:
		answer(w, 201, `{"id": "`+someID+`", "timestamp": "2026-11-22T01:31:31Z", "ip": "127.0.0.1"}`)
	case r.URL.Path == wire.PathCertificateChain:
		var text string
		o.must(json.NewDecoder(r.Body).Decode(&text))
		chain, err := cert.ParseChain([]byte(text))
		o.must(err)
		o.pushed = append(o.pushed, chain)
		answer(w, 201, `"Certificate chain has been saved"`)
	case r.Method == http.MethodGet:
		answer(w, 200, cert.MarshalChain(o.owned))
	default:
		o.sign(w, r)
	}
}

func (o *office) sign(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); user != "facility=f&username=bob" || password != "secret" {
		answer(w, 401, `{"detail": "Invalid credentials."}`)
		return
	}
	text, err := io.ReadAll(r.Body)
	o.must(err)
	body, err := wire.ParseCertificateRequest(text)
	o.must(err)
	asked := cert.Request{ParentID: body.Parent, Profile: body.Profile, ScopeDefinition: body.ScopeDefinition,
		ScopeVersion: body.ScopeVersion, ScopeParams: body.ScopeParams, PublicKey: body.PublicKey}
	if o.forge != nil {
		o.forge(&asked)
	}
	child, err := o.owned[0].Issue(asked, "5a17", testScope)
	o.must(err)
	text, err = wire.Marshal(child.Link())
	o.must(err)
	answer(w, 201, string(text))
}

func (o *office) must(err error) {
	if err != nil {
		o.t.Error(err)
	}
}

func newOffice(t *testing.T) (*office, *client.Peer, *db.DB) {
	t.Helper()
	o := &office{t: t, owned: []*cert.Certificate{testRoot(t, "")}}
	d := dbtest.New(t)
	err := d.Write(t.Context(), func(tx *db.Tx) error { return session.SaveScopes(t.Context(), tx, testProfile) })
	if err != nil {
		t.Fatal(err)
	}
	return o, peerOf(t, o.ServeHTTP), d
}

func kept(t *testing.T, d *db.DB) (owned []*cert.Certificate, all int) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		if owned, err = session.Owned(t.Context(), tx, ""); err != nil {
			return err
		}
		return tx.QueryRow(t.Context(), `SELECT COUNT(*) FROM morango_certificate`).Scan(&all)
	})
	if err != nil {
		t.Fatal(err)
	}
	return owned, all
}

var bob = client.JoinOptions{Profile: "facilitydata", User: "facility=f&username=bob", Password: "secret", Rand: rand.Reader}

func TestJoin(t *testing.T) {
	o, p, d := newOffice(t)
	narrow := bob
	narrow.ScopeDefinition, narrow.Params = "single", map[string]string{"user_id": "b\"ö"}
	own, err := client.Join(t.Context(), d, p, narrow)
	if err != nil {
		t.Fatal(err)
	}
	owned, all := kept(t, d)
	if len(owned) != 1 || owned[0].ID != own.ID || all != 2 || own.ParentID != o.owned[0].ID {
		t.Errorf("%d own certificates of %d, want 1 of 2", len(owned), all)
	}
	scope, err := own.Scope(testScope)
	if want := o.owned[0].ID + ":b\"ö"; err != nil || scope.Read.String() != want {
		t.Errorf("scope %v, want %q: %v", scope, want, err)
	}
	if _, err := owned[0].Sign("message"); err != nil {
		t.Errorf("the private key was not kept: %v", err)
	}
	if again, err := client.Join(t.Context(), d, p, bob); err != nil || again.ScopeDefinition != "full" || again.ScopeParams != o.owned[0].ScopeParams {
		t.Errorf("joining with the parent's scope: %+v, %v", again, err)
	}
}

func TestJoinKeepsNothingOnErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*office, *client.JoinOptions)
		want   error
	}{
		"wrong password": {func(_ *office, j *client.JoinOptions) { j.Password = "guess" }, client.ErrCredentials},
		"two roots":      {func(o *office, _ *client.JoinOptions) { o.owned = append(o.owned, testRoot(o.t, "2")) }, client.ErrChoose},
		"other profile":  {func(_ *office, j *client.JoinOptions) { j.Profile = "other" }, client.ErrNoCertificate},
		"owns none":      {func(o *office, _ *client.JoinOptions) { o.owned = nil }, client.ErrNoCertificate},
		"unknown parent": {func(_ *office, j *client.JoinOptions) { j.Parent = someID }, cert.ErrChain},
		"another key": {func(o *office, _ *client.JoinOptions) {
			o.forge = func(r *cert.Request) { r.PublicKey = testKey().Public().String() }
		}, client.ErrNotMorango},
		"another scope": {func(o *office, _ *client.JoinOptions) {
			o.forge = func(r *cert.Request) { r.ScopeDefinition = "single" }
		}, client.ErrNotMorango},
		"broken chain":    {func(o *office, _ *client.JoinOptions) { o.owned[0].Signature = "AAAA" }, cert.ErrSignature},
		"colon in a name": {func(_ *office, j *client.JoinOptions) { j.User = "a:b" }, nil},
		"scope of nobody": {func(_ *office, j *client.JoinOptions) { j.ScopeDefinition = "none" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o, p, d := newOffice(t)
			options := bob
			c.change(o, &options)
			if _, err := client.Join(t.Context(), d, p, options); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if owned, all := kept(t, d); len(owned) != 0 || all != 0 {
				t.Errorf("%d certificates were kept", all)
			}
		})
	}
}

func TestPushCertificate(t *testing.T) {
	o, p, d := newOffice(t)
	own := testRoot(t, "mine")
	if _, err := client.PushCertificate(t.Context(), d, p, client.PushOptions{Parent: own.ID}); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("signing with a certificate that is not here: %v", err)
	}
	err := d.Write(t.Context(), func(tx *db.Tx) error { return session.SaveCertificate(t.Context(), tx, own) })
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := client.PushCertificate(t.Context(), d, p, client.PushOptions{Parent: own.ID})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.pushed) != 1 || len(o.pushed[0]) != 2 || o.pushed[0][1].ID != pushed.ID {
		t.Fatalf("the peer got %d chains", len(o.pushed))
	}
	if last := o.pushed[0][1]; last.Salt != someID || last.PublicKey != testKey().Public().String() || last.Check(own, testScope) != nil {
		t.Errorf("the peer got %+v", last)
	}
	if owned, all := kept(t, d); len(owned) != 1 || owned[0].ID != own.ID || all != 2 {
		t.Errorf("%d own certificates of %d, want 1 of 2", len(owned), all)
	}
}

func TestUserArgs(t *testing.T) {
	if text, err := client.UserArgs(map[string]string{"username": "bob", "facility": "f"}); err != nil || text != "facility=f&username=bob" {
		t.Errorf("%q, %v", text, err)
	}
	for _, bad := range []string{"a&b", "a=b", "a:b"} {
		if text, err := client.UserArgs(map[string]string{"username": bad}); err == nil || strings.Contains(err.Error(), bad) {
			t.Errorf("%q became %q: %v", bad, text, err)
		}
	}
}
