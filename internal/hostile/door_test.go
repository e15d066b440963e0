package hostile

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/wire"
)

// Getting in as somebody else, or for more than was granted: nonces, signatures,
// certificates, chains.
func TestGettingIn(t *testing.T) {
	attacks := []attack{
		{"nonce used twice", func(t *testing.T, s *scene) {
			nonce := s.a.nonce(t)
			s.a.allowed(t, "POST", wire.PathSyncSessions, text(t, s.a.greeting(t, nonce, random(t))))
			s.a.refused(t, "POST", wire.PathSyncSessions, text(t, s.a.greeting(t, nonce, random(t))))
		}},
		{"nonce used after a refusal", func(t *testing.T, s *scene) {
			nonce := s.a.nonce(t)
			taken := s.a.greeting(t, nonce, s.bob.sync)
			s.a.refused(t, "POST", wire.PathSyncSessions, text(t, taken))
		}},
		{"nonces of nobody", func(t *testing.T, s *scene) {
			for _, nonce := range append(hostileTexts(), random(t), "") {
				if greeting := s.a.greeting(t, nonce, random(t)); json.Valid([]byte(text(t, greeting))) {
					s.a.refused(t, "POST", wire.PathSyncSessions, text(t, greeting))
				}
			}
		}},
		{"nonce that is too old", func(t *testing.T, s *scene) {
			nonce := s.a.nonce(t)
			s.do(`UPDATE morango_nonce SET timestamp = '2001-01-01 00:00:00' WHERE id = $1`, nonce)
			s.a.refused(t, "POST", wire.PathSyncSessions, text(t, s.a.greeting(t, nonce, random(t))))
		}},
		{"a greeting repeated", func(t *testing.T, s *scene) {
			whole := text(t, s.bob.greeting(t, s.bob.nonce(t), random(t)))
			s.bob.allowed(t, "POST", wire.PathSyncSessions, whole)
			s.a.refused(t, "POST", wire.PathSyncSessions, whole)
			s.do(`UPDATE morango_syncsession SET active = FALSE WHERE client_certificate_id = $1 AND id <> $2`, s.bob.certificate().ID, s.bob.sync)
			s.do(`DELETE FROM morango_syncsession WHERE client_certificate_id = $1 AND id <> $2`, s.bob.certificate().ID, s.bob.sync)
		}},
		{"the server's ids as a session", func(t *testing.T, s *scene) {
			database := strings.Trim(strings.SplitN(s.rows(`SELECT replace(CAST(id AS text), '-', '') FROM morango_databaseidmodel WHERE current`), "\n", 3)[1], "[]")
			for _, id := range append(hostileTexts(), s.bob.sync, database, "") {
				s.a.refused(t, "POST", wire.PathSyncSessions, text(t, s.a.greeting(t, s.a.nonce(t), id)))
			}
		}},
		{"unsigned, and signed by others", signatures},
		{"certificates made wider", widened},
		{"chains put together", chains},
		{"a world of one's own", ownWorld},
		{"certificates pushed", pushed},
		{"certificates asked for", requested},
		{"credentials", credentials},
	}
	attempts(t, attacks)
}

// signatures of other messages, of other keys, and of nobody.
func signatures(t *testing.T, s *scene) {
	good := func() wire.SyncSessionRequest { return s.a.greeting(t, s.a.nonce(t), random(t)) }
	for name, change := range map[string]func(*wire.SyncSessionRequest){
		"none":          func(r *wire.SyncSessionRequest) { r.Signature = "" },
		"nonsense":      func(r *wire.SyncSessionRequest) { r.Signature = strings.Repeat("A", 344) },
		"of another id": func(r *wire.SyncSessionRequest) { r.ID = random(t) },
		"of the nonce":  func(r *wire.SyncSessionRequest) { r.Signature, _ = s.a.certificate().Sign(r.Nonce) },
		"the other way": func(r *wire.SyncSessionRequest) { r.Signature, _ = s.a.certificate().Sign(r.ID + ":" + r.Nonce) },
		"of the chain":  func(r *wire.SyncSessionRequest) { r.Signature = s.a.certificate().Signature },
		"for bob": func(r *wire.SyncSessionRequest) {
			r.ClientCertificateID, r.CertificateChain = s.bob.certificate().ID, cert.MarshalChain(s.bob.chain)
		},
		"for bob by id": func(r *wire.SyncSessionRequest) { r.ClientCertificateID = s.bob.certificate().ID },
		"for the server": func(r *wire.SyncSessionRequest) {
			r.ClientCertificateID, r.CertificateChain = s.world, cert.MarshalChain(s.a.chain[:1])
		},
		"to bob":     func(r *wire.SyncSessionRequest) { r.ServerCertificateID = s.bob.certificate().ID },
		"to oneself": func(r *wire.SyncSessionRequest) { r.ServerCertificateID = s.a.certificate().ID },
		"to nobody":  func(r *wire.SyncSessionRequest) { r.ServerCertificateID = random(t) },
	} {
		request := good()
		change(&request)
		if said := s.a.refused(t, "POST", wire.PathSyncSessions, text(t, request)); said == "" {
			t.Errorf("%s was taken", name)
		}
	}
}

// forged is a certificate of the attacker's with another content, signed by the key that
// the attacker has.
func (s *scene) forged(t *testing.T, parent *cert.Certificate, change func(*cert.Certificate)) *cert.Certificate {
	t.Helper()
	key, err := cert.ParsePrivate(s.a.certificate().PrivateKey)
	must(t, err)
	c := *s.a.certificate()
	c.ParentID, c.Salt = parent.ID, random(t)
	change(&c)
	fields := map[string]any{
		"parent_id": c.ParentID, "profile": c.Profile, "salt": c.Salt, "scope_definition_id": c.ScopeDefinition, "scope_version": c.ScopeVersion,
		"scope_params": c.ScopeParams, "public_key_string": key.Public().String(),
	}
	c.PublicKey = key.Public().String()
	c.ID = certificateID(c)
	fields["id"] = c.ID
	c.Serialized = text(t, fields)
	c.Signature, err = key.Sign(c.Serialized)
	must(t, err)
	return &c
}

// widened certificates grant more than the attacker's own, under every parent.
func widened(t *testing.T, s *scene) {
	params := func(user string) string { return text(t, map[string]string{"world": s.world, "user": user}) }
	for name, change := range map[string]func(*cert.Certificate){
		"the whole world": func(c *cert.Certificate) { c.ScopeDefinition, c.ScopeParams = "world", params("") },
		"another user":    func(c *cert.Certificate) { c.ScopeParams = params("bob") },
		"all users":       func(c *cert.Certificate) { c.ScopeParams = params("") },
		"a shorter name":  func(c *cert.Certificate) { c.ScopeParams = params("ann") },
		"a line more":     func(c *cert.Certificate) { c.ScopeParams = params("anna\n" + s.world) },
		"a space more":    func(c *cert.Certificate) { c.ScopeParams = params("anna " + s.world + ":user:bob") },
		"a hole":          func(c *cert.Certificate) { c.ScopeParams = params("${world}") },
		"another world":   func(c *cert.Certificate) { c.ScopeParams = `{"world": "", "user": "anna"}` },
		"a parameter twice": func(c *cert.Certificate) {
			c.ScopeParams = `{"world": "` + s.world + `", "user": "anna", "user": "bob"}`
		},
		"no parameters":      func(c *cert.Certificate) { c.ScopeParams = `{}` },
		"no object":          func(c *cert.Certificate) { c.ScopeParams = `[]` },
		"an unknown scope":   func(c *cert.Certificate) { c.ScopeDefinition = "everything" },
		"another profile":    func(c *cert.Certificate) { c.Profile = "facilitydata" },
		"a scope with quote": func(c *cert.Certificate) { c.ScopeDefinition = "x' OR '1'='1" },
	} {
		for _, parent := range []*cert.Certificate{s.a.certificate(), s.a.chain[0], s.bob.certificate()} {
			evil := s.forged(t, parent, change)
			other := &outsider{hub: s.hub, chain: append(append([]*cert.Certificate{}, s.a.chain...), evil), http: s.a.http}
			other.certificate().PrivateKey = s.a.certificate().PrivateKey
			if parent != s.a.certificate() {
				other.chain = []*cert.Certificate{s.a.chain[0], evil}
			}
			other.refused(t, "POST", wire.PathSyncSessions, text(t, other.greeting(t, other.nonce(t), random(t))))
			if n := s.number(`SELECT COUNT(*) FROM morango_certificate WHERE id = $1`, evil.ID); n != 0 {
				t.Errorf("%s: the certificate was kept", name)
			}
		}
	}
}

// chains that lack a link, repeat one, go round or begin in the air.
func chains(t *testing.T, s *scene) {
	root, own, bob := s.a.chain[0], s.a.certificate(), s.bob.certificate()
	narrow := s.forged(t, own, func(*cert.Certificate) {})
	around := s.forged(t, own, func(c *cert.Certificate) { c.ParentID = narrow.ID })
	self := s.forged(t, own, func(c *cert.Certificate) { c.ParentID = "" })
	altered := *root
	altered.Signature = own.Signature
	var long []*cert.Certificate
	for range 100 {
		long = append(long, root)
	}
	for name, chain := range map[string][]*cert.Certificate{
		"without its root": {narrow}, "backwards": {own, root}, "a leaf alone": {around}, "around": {narrow, around, narrow}, "long": append(long, own),
		"of strangers": {bob, own}, "with another's root": {self, own}, "altered": {&altered, own}, "self made": {self}, "none": {},
	} {
		request := s.a.greeting(t, s.a.nonce(t), random(t))
		request.CertificateChain = cert.MarshalChain(chain)
		if len(chain) > 0 {
			request.ClientCertificateID = chain[len(chain)-1].ID
			request.Signature, _ = own.Sign(cert.SessionMessage(request.Nonce, request.ID))
		}
		if name == "backwards" || name == "a leaf alone" {
			request.ClientCertificateID = own.ID
		}
		before := s.number(`SELECT COUNT(*) FROM morango_certificate`)
		s.a.refused(t, "POST", wire.PathSyncSessions, text(t, request))
		if after := s.number(`SELECT COUNT(*) FROM morango_certificate`); after != before {
			t.Errorf("%s: %d certificates were kept", name, after-before)
		}
	}
	for _, broken := range append(hostileTexts(), `[{}]`, `[{"id": 1}]`, `[`+strings.Repeat(`[`, 50_000), `{"id": "`+own.ID+`"}`) {
		request := s.a.greeting(t, s.a.nonce(t), random(t))
		request.CertificateChain = broken
		s.a.refused(t, "POST", wire.PathSyncSessions, text(t, request))
	}
}
