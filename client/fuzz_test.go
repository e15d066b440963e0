package client_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode"

	"github.com/morango-go/morango/client"
	"github.com/morango-go/morango/wire"
)

// scripted answers every request with the same bytes.
type scripted struct {
	status            int
	kind, encoding    string
	location          string
	body              []byte
	requests, carried int
}

func (s *scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	s.requests++
	if r.Header.Get("Authorization") != "" {
		s.carried++
	}
	header := http.Header{"Content-Type": {s.kind}, "Content-Encoding": {s.encoding}, "Location": {s.location}}
	return &http.Response{
		StatusCode: s.status, Proto: "HTTP/1.1", Header: header, Request: r,
		Body: io.NopCloser(bytes.NewReader(s.body)), ContentLength: int64(len(s.body)),
	}, nil
}

// Whatever a server answers, each request ends in a result within bounds or in an error
// that can be shown; nothing is followed elsewhere, and credentials go out once.
func FuzzPeer(f *testing.F) {
	const kind = "application/json"
	f.Add(200, kind, "", "", []byte(info))
	f.Add(200, kind, "", "", []byte(`{"count": 1, "results": [], "next": "http://elsewhere/"}`))
	f.Add(201, kind+"; charset=utf-8", "", "", []byte(`{"id": "`+someID+`", "signature": "x", "timestamp": "2026-11-22T01:31:39Z"}`))
	f.Add(302, "text/html", "", "http://elsewhere/", []byte("<html>"))
	f.Add(401, kind, "gzip", "", []byte("\x1f\x8b"))
	f.Add(500, kind, "br", "", []byte(`{"detail": "\u001b[31m"}`))
	f.Add(204, "", "gzip", "", []byte{})
	f.Fuzz(func(t *testing.T, status int, kind, encoding, location string, body []byte) {
		if status < 100 || status > 999 {
			return // no HTTP
		}
		server := &scripted{status: status, kind: kind, encoding: encoding, location: location, body: body}
		p, err := client.NewPeer("http://hub.example", &http.Client{Transport: server}, wire.All())
		if err != nil {
			t.Fatal(err)
		}
		for name, err := range askAll(t, p) {
			if err == nil {
				if status/100 != 2 {
					t.Fatalf("%s: status %d is no error", name, status)
				}
				continue
			}
			text := err.Error()
			if len(text) > 8000 || strings.IndexFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) >= 0 {
				t.Fatalf("%s: %q", name, text)
			}
			var refused *client.StatusError
			if errors.As(err, &refused) && refused.Status != status {
				t.Fatalf("%s: %v for status %d", name, err, status)
			}
		}
		if server.carried != 1 {
			t.Fatalf("credentials went out %d times", server.carried)
		}
	})
}

// askAll asks everything that a peer can be asked, and returns the errors by name.
func askAll(t *testing.T, p *client.Peer) map[string]error {
	t.Helper()
	ctx, errs := t.Context(), map[string]error{}
	_, errs["info"] = p.Info(ctx)
	_, errs["keys"] = p.PublicKeys(ctx)
	_, errs["nonce"] = p.Nonce(ctx)
	_, errs["certificates"] = p.Certificates(ctx, someID)
	_, errs["chain"] = p.CertificateChain(ctx, someID)
	_, errs["request"] = p.RequestCertificate(ctx, wire.CertificateRequest{}, "bob", "secret")
	_, errs["open"] = p.CreateSyncSession(ctx, wire.SyncSessionRequest{})
	_, errs["sync"] = p.SyncSession(ctx, someID)
	errs["close"] = p.CloseSyncSession(ctx, someID)
	_, errs["begin"] = p.CreateTransferSession(ctx, wire.TransferSessionRequest{})
	_, errs["update"] = p.UpdateTransferSession(ctx, someID, wire.TransferSessionUpdate{})
	errs["push"] = p.PushBuffers(ctx, someID, records())
	page, err := p.PullBuffers(ctx, someID, 0, 3)
	if len(page) > 3 {
		t.Fatalf("a page of %d records", len(page))
	}
	errs["pull"] = err
	return errs
}
