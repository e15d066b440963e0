package hostile

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/wire"
)

// certificateID is the id that a certificate of this key, profile and salt has.
func certificateID(c cert.Certificate) string {
	id, _ := ident.Fields(c.PublicKey, c.Profile, c.Salt)
	return id
}

// A root of the attacker's own making is right in itself, and no business of this hub's:
// it opens nothing and fills nothing.
func ownWorld(t *testing.T, s *scene) {
	key, err := cert.GenerateKey(rand.Reader)
	must(t, err)
	def, _ := s.Profile().Scope("world")
	before := s.number(`SELECT COUNT(*) FROM morango_certificate`)
	for range 5 {
		root, err := cert.NewRoot(def, key, random(t), nil)
		must(t, err)
		stranger := &outsider{hub: s.hub, chain: []*cert.Certificate{root}, http: s.a.http}
		request := stranger.greeting(t, stranger.nonce(t), random(t))
		stranger.refused(t, "POST", wire.PathSyncSessions, text(t, request))
	}
	if after := s.number(`SELECT COUNT(*) FROM morango_certificate`); after != before {
		t.Errorf("%d certificates of strangers were kept", after-before)
	}
}

// Certificates pushed to the hub for another key than the one it offers, with a salt that
// is no nonce, of a wider scope, or with a parent that did not sign.
func pushed(t *testing.T, s *scene) {
	var keys []wire.PublicKey
	must(t, json.Unmarshal([]byte(s.a.allowed(t, "GET", wire.PathPublicKey, "")), &keys))
	own, root := s.a.certificate(), s.a.chain[0]
	issue := func(change func(*cert.Request), salt string) *cert.Certificate {
		request := cert.Request{ParentID: own.ID, Profile: own.Profile, ScopeDefinition: own.ScopeDefinition, ScopeVersion: 1, ScopeParams: own.ScopeParams, PublicKey: keys[0].PublicKey}
		change(&request)
		c, err := own.Issue(request, salt, definitions(s))
		must(t, err)
		return c
	}
	same := func(*cert.Request) {}
	ownKey := func(r *cert.Request) { r.PublicKey = own.PublicKey }
	fresh := func() string { return s.a.nonce(t) }
	wide := s.forged(t, own, func(c *cert.Certificate) { c.ScopeDefinition = "world"; c.Salt = fresh() })
	for name, chain := range map[string][]*cert.Certificate{
		"own key": {root, own, issue(ownKey, fresh())}, "no nonce": {root, own, issue(same, random(t))}, "another parent": {root, issue(same, fresh())},
		"parent of bob": {root, s.bob.certificate(), issue(same, fresh())}, "wider": {root, own, wide}, "alone": {issue(same, fresh())}, "of the issuer only": {root, own},
	} {
		before := s.number(`SELECT COUNT(*) FROM morango_certificate`)
		s.a.refused(t, "POST", wire.PathCertificateChain, text(t, cert.MarshalChain(chain)))
		if after := s.number(`SELECT COUNT(*) FROM morango_certificate`); after != before {
			t.Errorf("%s: %d certificates were kept", name, after-before)
		}
	}
	for _, given := range hostileTexts() {
		s.a.refused(t, "POST", wire.PathCertificateChain, text(t, given))
	}
}

// definitions are the scope definitions of the hub.
func definitions(s *scene) cert.Definitions { return s.Profile().Scope }

// Certificates asked for under another name, scope, parent, profile or with SQL and paths
// in every field.
func requested(t *testing.T, s *scene) {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(attackerName+":"+password))
	good := map[string]any{
		"parent": s.world, "profile": "things", "scope_definition": "user", "scope_version": 1,
		"scope_params": text(t, map[string]string{"world": s.world, "user": attackerName}), "public_key": s.a.certificate().PublicKey,
	}
	ask := func(field string, value any) {
		request := map[string]any{}
		for name, old := range good {
			request[name] = old
		}
		request[field] = value
		s.a.refused(t, "POST", wire.PathCertificates, text(t, request), "Authorization", basic)
	}
	for _, user := range []string{"bob", "", "ann", "anna\n" + s.world, "${world}", "*"} {
		ask("scope_params", text(t, map[string]string{"world": s.world, "user": user}))
	}
	ask("scope_params", `{"world": "", "user": "anna"}`)
	ask("scope_params", `{"user": "anna", "user": "bob", "world": "`+s.world+`"}`)
	ask("scope_definition", "world")
	ask("parent", s.bob.certificate().ID)
	ask("parent", s.a.certificate().ID)
	ask("profile", "facilitydata")
	for _, given := range hostileTexts() {
		for _, field := range []string{"parent", "profile", "scope_definition", "scope_params", "public_key"} {
			ask(field, given)
		}
	}
	for _, version := range []any{-1 << 40, 1 << 40, 1.5, "1", nil} {
		ask("scope_version", version)
	}
}

// Whoever guesses passwords is slowed down, and is the only one.
func credentials(t *testing.T, s *scene) {
	body := text(t, map[string]any{"parent": s.world})
	slowed := 0
	for i := range 200 {
		given := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "bob:guess %d", i))
		status, _ := s.a.ask(t, "POST", wire.PathCertificates, body, "Authorization", "Basic "+given)
		switch status {
		case http.StatusTooManyRequests:
			slowed++
		case http.StatusUnauthorized:
		default:
			t.Fatalf("status %d", status)
		}
	}
	if slowed < 150 {
		t.Errorf("%d of 200 guesses were put off", slowed)
	}
	for _, header := range []string{"", "Basic", "Basic ", "Basic !!!", "Basic " + strings.Repeat("A", 50_000), "Bearer x", "Basic Og==", "Negotiate"} {
		s.a.refused(t, "POST", wire.PathCertificates, body, "Authorization", header)
	}
}
