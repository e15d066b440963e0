package client_test

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/client"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/internal/conformance/recorded"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

// openSession opens a sync session, and ends it.
func openSession(t *conformance.T, library recorded.Library, s recorded.Scenario, d *db.DB) {
	t.Helper()
	mode, _, _ := strings.Cut(s.Name, "-")
	script := slices.Concat(library.Read(t, mode+"-info").Exchanges, library.Read(t, mode+"-csr").Exchanges[:1], s.Exchanges)
	c := newSide(t, s, script, d)
	recordedChain := map[string]string{}
	if err := json.Unmarshal(s.Exchanges[1].RequestBody, &recordedChain); err != nil {
		t.Fatal(err)
	}
	_, err := client.Syncer{Engine: c.engine, Peer: c.peer}.Sync(t.Context(), client.Options{
		Pull: true, Retries: -1, CertificateID: recordedChain["client_certificate_id"], Filter: partition.Of("nobody's"),
	})
	t.True(err != nil, "a filter that nobody may have")
	c.player.finish()
	row := recorded.Dump(t, d, "morango_syncsession", []string{"id", "client_certificate_id", "server_certificate_id", "client_instance_id", "server_instance_id", "profile"}).ByColumns()
	t.Equal("sync sessions", len(row), 1)
	for column, want := range map[string]any{
		"client_certificate_id": recordedChain["client_certificate_id"], "server_certificate_id": recordedChain["server_certificate_id"],
		"client_instance_id": c.state.Own(), "server_instance_id": s.Start(t, "server").Own(), "profile": "facilitydata",
	} {
		t.Equal(column, row[0][column], want)
	}
}

// join asks for a certificate.
func join(t *conformance.T, s recorded.Scenario, d *db.DB) {
	t.Helper()
	script := s.Exchanges
	if len(script) > 1 {
		script = script[1:] // our client is told which certificate is to sign
	} else {
		script = append(s.Library().Read(t, "full-csr").Exchanges[1:2], script...)
	}
	c := newSide(t, s, script, d)
	var asked wire.CertificateRequest
	if err := json.Unmarshal(script[len(script)-1].RequestBody, &asked); err != nil {
		t.Fatal(err)
	}
	params := map[string]string{}
	if strings.Contains(asked.ScopeParams, "user_id") {
		params["user_id"] = "u1"
	}
	request := http.Request{Header: http.Header{"Authorization": {script[len(script)-1].RequestHeaders["Authorization"]}}}
	user, _, _ := request.BasicAuth()
	own, err := client.Join(t.Context(), d, c.peer, client.JoinOptions{
		Profile: asked.Profile, Parent: asked.Parent, ScopeDefinition: asked.ScopeDefinition, Params: params,
		User: user, Password: "password", Rand: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.player.finish()
	t.Equal("scope", own.ScopeParams, asked.ScopeParams)
	err = d.Read(t.Context(), func(tx *db.Tx) error {
		kept, err := session.Certificate(t.Context(), tx, own.ID)
		if err == nil {
			t.True(kept.Owned(), "the certificate is kept with its key")
		}
		return err
	})
	t.True(err == nil, "%v", err)
}

// pushCertificate gives a certificate to the server.
func pushCertificate(t *conformance.T, library recorded.Library, s recorded.Scenario, d *db.DB) {
	t.Helper()
	c := newSide(t, s, slices.Concat(library.Read(t, "full-info").Exchanges, s.Exchanges), d)
	chain := pushedChain(t, s)
	pushed, err := client.PushCertificate(t.Context(), d, c.peer, client.PushOptions{Parent: chain[0].ID})
	if err != nil {
		t.Fatal(err)
	}
	c.player.finish()
	last := chain[len(chain)-1]
	// The same key, salt and parent: the signature is the recorded one.
	t.Equal("certificate", pushed.Link(), last.Link())
}

func pushedChain(t *conformance.T, s recorded.Scenario) []*cert.Certificate {
	t.Helper()
	text, err := wire.ParseChainText(s.Exchanges[len(s.Exchanges)-1].RequestBody)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := cert.ParseChain([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return chain
}
