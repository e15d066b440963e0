package client_test

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/client"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/wire"
)

const someID = "0123456789abcdef0123456789abcdef"

// peerOf serves with handler and returns a peer that talks to it.
func peerOf(t *testing.T, handler http.HandlerFunc) *client.Peer {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	p, err := client.NewPeer(server.URL+"/", server.Client(), wire.All())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// answer writes a JSON answer.
func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

const info = `{"instance_hash": "a", "instance_id": "` + someID + `", "system_os": "Linux", "version": "0.8.2",
	"capabilities": ["GZIP_BUFFER_POST", "FROM_THE_FUTURE"]}`

func records() []record.Record {
	return []record.Record{{
		ID: someID, Profile: "facilitydata", Model: "user", Partition: "p", SourceID: "s", Serialized: `{"a": 1}`,
		Version: counter.Version{Instance: someID, Counter: 3}, History: counter.Counters{someID: 3},
	}}
}

func TestNewPeerRefusesAddresses(t *testing.T) {
	for _, address := range []string{"", "hub", "ftp://hub", "http://", "http://u:p@hub", "http://hub/?a=b", "http://hub/#x"} {
		if _, err := client.NewPeer(address, nil, wire.All()); err == nil {
			t.Errorf("%q was taken for a peer's address", address)
		}
	}
}

func TestBuffersTravelCompressed(t *testing.T) {
	var posted []byte
	p := peerOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/morangoinfo/1/"):
			answer(w, 200, info)
		case r.Method == http.MethodGet:
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			zip := gzip.NewWriter(w)
			_, _ = zip.Write(append(append([]byte(`{"count": 1, "next": null, "previous": null, "results": `),
				wire.AppendBuffers(nil, r.URL.Query().Get("transfer_session_id"), records())...), '}'))
			_ = zip.Close()
		default:
			posted, _ = io.ReadAll(r.Body)
			w.Header().Set("X-Seen", r.Header.Get("Content-Type")+r.Header.Get(wire.HeaderCapabilities))
			w.WriteHeader(201)
		}
	})
	plain := wire.AppendBuffers(nil, someID, records())
	if err := p.PushBuffers(t.Context(), someID, records()); err != nil || !cmp.Equal(posted, plain) {
		t.Fatalf("before the peer told that it takes gzip: %q, %v", posted, err)
	}
	if _, err := p.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.PushBuffers(t.Context(), someID, records()); err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(strings.NewReader(string(posted)))
	if err != nil {
		t.Fatal(err)
	}
	if unzipped, err := io.ReadAll(zip); err != nil || !cmp.Equal(unzipped, plain) {
		t.Errorf("posted %q, %v", unzipped, err)
	}
	got, err := p.PullBuffers(t.Context(), someID, 0, 5)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(records(), got); diff != "" {
		t.Errorf("pulled (-want +got):\n%s", diff)
	}
}

func TestRequestsAsTheReferenceSendsThem(t *testing.T) {
	var seen []string
	p := peerOf(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = append(seen, r.Method+" "+r.URL.RequestURI()+" "+string(body))
		if r.Header.Get(wire.HeaderCapabilities) != wire.All().Header() {
			t.Errorf("capabilities %q", r.Header.Get(wire.HeaderCapabilities))
		}
		switch {
		case r.Method == http.MethodDelete:
			w.WriteHeader(204)
		case r.Method == http.MethodGet && !strings.Contains(r.URL.Path, "sessions"):
			answer(w, 200, `[]`)
		default:
			answer(w, 200, `{}`)
		}
	})
	ctx, stage := t.Context(), "queuing"
	calls := []func() error{
		func() error { _, err := p.PublicKeys(ctx); return err },
		func() error { _, err := p.Certificates(ctx, "c"); return err },
		func() error { _, err := p.CertificatesOf(ctx, "facility data"); return err },
		func() error { _, err := p.CertificateChain(ctx, "c"); return err },
		func() error { return p.PushCertificateChain(ctx, nil) },
		func() error { _, err := p.SyncSession(ctx, "s"); return err },
		func() error { return p.CloseSyncSession(ctx, "s") },
		func() error { _, err := p.TransferSession(ctx, "t"); return err },
		func() error {
			_, err := p.UpdateTransferSession(ctx, "t", wire.TransferSessionUpdate{TransferStage: &stage})
			return err
		},
		func() error { return p.CloseTransferSession(ctx, "t") },
	}
	for _, call := range calls {
		if err := call(); err != nil {
			t.Error(err)
		}
	}
	base := wire.Base
	want := []string{
		"GET " + base + "publickey/ ",
		"GET " + base + "certificates/?primary_partition=c ",
		"GET " + base + "certificates/?profile=facility+data ",
		"GET " + base + "certificates/?ancestors_of=c ",
		"POST " + base + `certificatechain/ "[]"`,
		"GET " + base + "syncsessions/s/ ",
		"DELETE " + base + "syncsessions/s/ ",
		"GET " + base + "transfersessions/t/ ",
		"PATCH " + base + `transfersessions/t/ {"transfer_stage":"queuing"}`,
		"DELETE " + base + "transfersessions/t/ ",
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if sent, received := p.Bytes(); sent < 10*100 || received < 10*50 {
		t.Errorf("counted %d bytes sent, %d received", sent, received)
	}
}

func TestRefusedAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
		text   string
	}{
		"wrong password": {401, `{"detail": "Invalid credentials."}`, client.ErrCredentials, "Invalid credentials."},
		"not permitted":  {403, `{"detail": "You do not have permission to perform this action."}`, client.ErrForbidden, "administrator"},
		"no scope":       {403, `"` + wire.TextClientNoPush + `"`, client.ErrForbidden, wire.TextClientNoPush},
		"nonce":          {400, `"Nonce is not valid"`, client.ErrNonce, "try again"},
		"scope":          {400, `"` + wire.TextServerNoRespond + `"`, client.ErrScope, "within both"},
		"moved":          {301, ``, nil, "https://elsewhere"},
		"failed":         {500, `<html>`, nil, "its log"},
	} {
		p := peerOf(t, func(w http.ResponseWriter, _ *http.Request) {
			if c.status == 301 {
				w.Header().Set("Location", "https://elsewhere")
			}
			answer(w, c.status, c.body)
		})
		_, err := p.RequestCertificate(t.Context(), wire.CertificateRequest{}, "user", "hunter2")
		var status *client.StatusError
		if !errors.As(err, &status) || status.Status != c.status || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v does not say %q", name, err, c.text)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}

func TestNotMorango(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"a web page":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>hello</html>") },
		"nothing there": http.NotFound,
		"other JSON":    func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `{"hello": "world"}`) },
		"wrong shape":   func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `{"instance_id": 7}`) },
		"no JSON":       func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `hello`) },
		"other encoding": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			answer(w, 200, info)
		},
	} {
		if _, err := peerOf(t, handler).Info(t.Context()); !errors.Is(err, client.ErrNotMorango) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	p, err := client.NewPeer(server.URL, nil, wire.All())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Info(t.Context()); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("nobody listens: %v", err)
	}
	cut := peerOf(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		answer(w, 200, info)
	})
	if _, err := cut.Info(t.Context()); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("the answer breaks off: %v", err)
	}
}

func TestHostileAnswers(t *testing.T) {
	bomb := peerOf(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		zeros := make([]byte, 1<<20)
		for range 8 {
			_, _ = zip.Write(zeros)
		}
		_ = zip.Close()
	})
	if _, err := bomb.TransferSession(t.Context(), "t"); !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("a bomb: %v", err)
	}
	foreign := peerOf(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, `{"count": 1, "results": `+string(wire.AppendBuffers(nil, strings.Repeat("f", 32), records()))+`}`)
	})
	if _, err := foreign.PullBuffers(t.Context(), someID, 0, 5); err == nil {
		t.Error("records of another transfer session were taken")
	}
}

func TestContextEndsARequest(t *testing.T) {
	started := make(chan struct{})
	p := peerOf(t, func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-started
		cancel()
	}()
	if _, err := p.Info(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, client.ErrUnreachable) {
		t.Errorf("cancelled: %v", err)
	}
}

// A peer may ask for a pause in seconds or by a moment, of two minutes at most.
func TestBusyPeersSayWhen(t *testing.T) {
	soon := time.Now().Add(50 * time.Second).UTC().Format(http.TimeFormat)
	for header, want := range map[string][2]time.Duration{
		"10": {10 * time.Second, 10 * time.Second}, "86400": {2 * time.Minute, 2 * time.Minute}, "99999999999999999999": {0, 0}, "-5": {0, 0},
		soon: {20 * time.Second, 50 * time.Second}, "Thu, 01 Jan 1970 00:00:00 GMT": {0, 0}, "soon": {0, 0},
	} {
		p := peerOf(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			answer(w, http.StatusServiceUnavailable, `{"detail": "Busy."}`)
		})
		_, err := p.Info(t.Context())
		var status *client.StatusError
		if !errors.Is(err, client.ErrBusy) || !errors.As(err, &status) || status.RetryAfter < want[0] || status.RetryAfter > want[1] {
			t.Errorf("Retry-After %s: %v, after %v", header, err, status.RetryAfter)
		}
	}
}
