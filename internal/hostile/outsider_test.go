package hostile

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/wire"
)

// outsider is a client that speaks the protocol word by word.
type outsider struct {
	hub   *hub
	chain []*cert.Certificate // its certificate is the last
	http  *http.Client
	sync  string // of a sync session that it has opened
	own   string // the partition that it may write
	may   bool   // it may read secrets
	can   wire.Set
}

// newOutsider joins as a user and opens a sync session.
func newOutsider(t *testing.T, h *hub, name string) *outsider {
	t.Helper()
	_, chain := h.join(t, name)
	o := &outsider{hub: h, chain: chain, can: wire.All().Without(wire.Stream1), own: h.world + ":user:" + name, may: name != attackerName,
		http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 16},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	t.Cleanup(o.http.CloseIdleConnections)
	o.sync = o.open(t)
	return o
}

func (o *outsider) certificate() *cert.Certificate { return o.chain[len(o.chain)-1] }

// random is a fresh id.
func random(t testing.TB) string {
	t.Helper()
	id, err := ident.New(rand.Reader)
	must(t, err)
	return id
}

// ask sends one request. Whatever it is, the answer is no failure of the server, is JSON,
// and holds no secret.
func (o *outsider) ask(t *testing.T, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, o.hub.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", wire.ContentJSON)
	request.Header.Set(wire.HeaderCapabilities, o.can.Header())
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := o.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	what := fmt.Sprintf("%s %.200s %.300s: %d %.300s", method, path, body, response.StatusCode, text)
	if response.StatusCode == http.StatusInternalServerError {
		t.Error("the server failed:", what)
	}
	if len(text) > 0 && response.StatusCode/100 != 3 && response.Header.Get("Content-Type") != wire.ContentStream && !json.Valid(text) {
		t.Error("no JSON:", what)
	}
	if !o.may && strings.Contains(string(text), secret) {
		t.Error("a secret:", what)
	}
	return response.StatusCode, string(text)
}

// refused asks for what must not be.
func (o *outsider) refused(t *testing.T, method, path, body string, headers ...string) string {
	t.Helper()
	status, text := o.ask(t, method, path, body, headers...)
	if status/100 != 4 && status != http.StatusServiceUnavailable || wire.ErrorText([]byte(text)) == "" {
		t.Errorf("%s %.200s %.400s: %d %.300s", method, path, body, status, text)
	}
	return text
}

// allowed asks for what is the attacker's right.
func (o *outsider) allowed(t *testing.T, method, path, body string, headers ...string) string {
	t.Helper()
	status, text := o.ask(t, method, path, body, headers...)
	if status/100 != 2 {
		t.Fatalf("%s %.200s %.400s: %d %.300s", method, path, body, status, text)
	}
	return text
}

func (o *outsider) nonce(t *testing.T) string {
	t.Helper()
	var nonce wire.Nonce
	must(t, json.Unmarshal([]byte(o.allowed(t, "POST", wire.PathNonces, "")), &nonce))
	return nonce.ID
}

// greeting is the request for a sync session with a nonce.
func (o *outsider) greeting(t testing.TB, nonce, id string) wire.SyncSessionRequest {
	t.Helper()
	signature, err := o.certificate().Sign(cert.SessionMessage(nonce, id))
	must(t, err)
	return wire.SyncSessionRequest{
		ID: id, ServerCertificateID: o.hub.world, ClientCertificateID: o.certificate().ID, Profile: "things",
		CertificateChain: cert.MarshalChain(o.chain), ConnectionPath: o.hub.url, Instance: "{}", Nonce: nonce, Signature: signature,
	}
}

// open opens a sync session.
func (o *outsider) open(t *testing.T) string {
	t.Helper()
	id := random(t)
	o.allowed(t, "POST", wire.PathSyncSessions, text(t, o.greeting(t, o.nonce(t), id)))
	return id
}

// text is a body as JSON.
func text(t testing.TB, body any) string {
	t.Helper()
	raw, err := json.Marshal(body)
	must(t, err)
	return string(raw)
}

// beginning is the request for a transfer session.
func (o *outsider) beginning(t testing.TB, id, filter string, push bool) string {
	t.Helper()
	return text(t, map[string]any{"id": id, "filter": filter, "push": push, "sync_session_id": o.sync, "client_fsic": "{}"})
}

// pull begins a transfer of the hub's records and brings it to where they can be read.
func (o *outsider) pull(t *testing.T, filter string) (id string) {
	t.Helper()
	id = random(t)
	o.allowed(t, "POST", wire.PathTransferSessions, o.beginning(t, id, filter, false))
	o.allowed(t, "PATCH", wire.Item(wire.PathTransferSessions, id), text(t, map[string]any{"transfer_stage": "queuing", "client_fsic": `{"super": {}, "sub": {}}`}))
	return id
}

// push begins a transfer of total records and brings it to where they can come, with a
// claim.
func (o *outsider) push(t *testing.T, total int, claim string) (id string) {
	t.Helper()
	id = random(t)
	o.allowed(t, "POST", wire.PathTransferSessions, o.beginning(t, id, o.own, true))
	item := wire.Item(wire.PathTransferSessions, id)
	o.allowed(t, "PATCH", item, text(t, map[string]any{"transfer_stage": "serializing", "client_fsic": claim}))
	o.allowed(t, "PATCH", item, text(t, map[string]any{"transfer_stage": "queuing", "records_total": total}))
	return id
}

// noClaim is what knows nothing, in the v2 form.
const noClaim = `{"super": {}, "sub": {}}`

// note is a record of the model note, of a partition.
func (o *outsider) note(transfer, partition, source, saidBy string, counter int64) wire.BufferRecord {
	id := ident.Record(partition, source, "note")
	world, owner, _ := strings.Cut(partition, ":user:")
	return wire.BufferRecord{
		Serialized: fmt.Sprintf(`{"id": %q, "world": %q, "owner": %q, "text": "forged"}`, id, world, owner), LastSavedInstance: saidBy, LastSavedCounter: counter,
		Partition: partition, SourceID: source, ModelName: "note", ModelUUID: id, TransferSession: transfer, Profile: "things",
		RMCBList: []wire.BufferCounter{{TransferSession: transfer, ModelUUID: id, InstanceID: saidBy, Counter: counter}},
	}
}

// finish takes a push through the rest of its stages.
func (o *outsider) finish(t *testing.T, id string) {
	t.Helper()
	o.ask(t, "PATCH", wire.Item(wire.PathTransferSessions, id), `{"transfer_stage": "deserializing"}`)
	o.ask(t, "DELETE", wire.Item(wire.PathTransferSessions, id), "")
}
