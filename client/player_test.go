package client_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/internal/conformance/recorded"
	"github.com/morango-go/morango/wire"
)

// player is a server that gives the recorded answers, and holds what our client asks
// against what the recorded client asked.
//
// Where our client is to differ, and why:
//
//   - It leaves out GET of a transfer session where the answer to POST and PATCH says
//     the same, instead of the recorded client's GET before every step.
//   - It leaves out PATCH to "dequeuing" (the server passes it on the way to
//     "deserializing"), and in a pull, where the server receives nothing, PATCH to
//     "deserializing" too.
//   - It leaves out PATCH to "transferring" after every chunk of a pull but the last:
//     a round trip that tells the server nothing it needs.
//   - Without ASYNC_OPERATIONS it tells its claim when it opens a transfer session,
//     where the recorded client told "{}" and was sent everything each time.
//   - With claims of v1 it opens one transfer session a prefix (rule 25).
//
// Anything else that is left out, added, or of another shape is a failure.
type player struct {
	t      *conformance.T
	URL    string
	signer *cert.Certificate // the server's certificate, with its key

	mu     sync.Mutex
	script []recorded.Exchange
	at     int
	ids    map[string]string // ours, by the recorded one
	pushed []wire.BufferRecord
}

// play serves the exchanges.
func play(t *conformance.T, script []recorded.Exchange, signer *cert.Certificate) *player {
	t.Helper()
	p := &player{t: t, signer: signer, script: script, ids: map[string]string{}}
	web := httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(web.Close)
	p.URL = web.URL
	return p
}

// serve answers one request.
func (p *player) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	e, ok := p.next(r, body)
	if !ok {
		p.t.Errorf("%s %s %.300s: the recorded client did not ask this", r.Method, r.URL, body)
		w.WriteHeader(http.StatusTeapot)
		return
	}
	p.check(e, r, body)
	answer := p.answer(e, body)
	for _, name := range []string{"Content-Type"} {
		if value := e.ResponseHeader[name]; value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(e.Status)
	if _, err := w.Write(answer); err != nil {
		p.t.Error(err)
	}
}

// next finds the recorded request that ours is, and passes over what our client
// leaves out.
func (p *player) next(r *http.Request, body []byte) (recorded.Exchange, bool) {
	for i := p.at; i < len(p.script); i++ {
		e := p.script[i]
		if e.Method == r.Method && p.ours(e.Path) == r.URL.Path && p.sameQuery(e, r) && stageIn(e.RequestBody) == stageIn(body) {
			p.at = i + 1
			return e, true
		}
		if !superfluous(e, p.script[i+1:]) {
			return e, false
		}
	}
	return recorded.Exchange{}, false
}

// sameQuery compares what is asked in the URL, in any order.
func (p *player) sameQuery(e recorded.Exchange, r *http.Request) bool {
	want, err := http.NewRequest(r.Method, "/?"+p.ours(e.Query), nil)
	return err == nil && want.URL.Query().Encode() == r.URL.Query().Encode()
}

// stageIn is the stage that a body asks for; "" for none.
func stageIn(body []byte) string {
	var told wire.TransferSessionUpdate
	if json.Unmarshal(body, &told) != nil || told.TransferStage == nil {
		return ""
	}
	return *told.TransferStage
}

// superfluous reports whether our client leaves a recorded request out.
func superfluous(e recorded.Exchange, later []recorded.Exchange) bool {
	row, isTransfer := e.Transfer()
	if !isTransfer {
		return false
	}
	if e.Method == http.MethodGet {
		return true
	}
	if e.Method != http.MethodPatch {
		return false
	}
	switch stageIn(e.RequestBody) {
	case "dequeuing":
		return true
	case "deserializing":
		return !row.Push
	case "transferring":
		for _, e := range later { // not the last one
			if e.Method == http.MethodGet && e.Path == wire.PathBuffers {
				return true
			}
		}
	}
	return false
}

// ours puts our ids in place of the recorded ones.
func (p *player) ours(text string) string {
	for recorded, id := range p.ids {
		text = strings.ReplaceAll(text, recorded, id)
	}
	return text
}

// reference are the capabilities that the reference knows.
func reference() wire.Set {
	return wire.SetOf(wire.GzipBufferPost, wire.AllowCertificatePushing, wire.AsyncOperations, wire.FSICv2Format)
}

// check holds a request against the recorded one.
func (p *player) check(e recorded.Exchange, r *http.Request, body []byte) {
	what := r.Method + " " + r.URL.Path
	content := func(headers func(string) string) string { return headers("Content-Type") }
	recordedContent := e.RequestHeaders["Content-Type"] + e.RequestHeaders["content-type"]
	p.t.Equal(what+": Content-Type", content(r.Header.Get), recordedContent)
	known := wire.ParseHeader(e.RequestHeaders[wire.HeaderCapabilities])
	p.t.Equal(what+": capabilities", wire.ParseHeader(r.Header.Get(wire.HeaderCapabilities)).Intersect(reference()).List(), known.List())
	if e.RequestHeaders["Authorization"] != "" {
		p.t.Equal(what+": Authorization", r.Header.Get("Authorization"), e.RequestHeaders["Authorization"])
	}
	if e.Method == http.MethodPost && e.Path == wire.PathBuffers {
		p.take(what, body)
		return
	}
	if len(e.RequestBody) == 0 {
		p.t.Equal(what+": body", len(body), 0)
		return
	}
	p.learn(e, body)
	p.shape(what, p.value(what, []byte(p.ours(string(e.RequestBody)))), p.value(what, body))
}

// learn notes which of our ids stands for which recorded one.
func (p *player) learn(e recorded.Exchange, body []byte) {
	var want, got struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(e.RequestBody, &want) == nil && json.Unmarshal(body, &got) == nil && want.ID != "" {
		p.ids[want.ID] = got.ID
	}
}

func (p *player) value(what string, body []byte) any {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		p.t.Errorf("%s: %v: %.200s", what, err, body)
	}
	return value
}

// told are the fields whose values depend on the run; the others must be equal.
var told = map[string]bool{
	"signature": true, "public_key": true, "instance": true, "connection_path": true, "client_ip": true, "server_ip": true,
	"client_fsic": true, "bytes_sent": true, "bytes_received": true, "records_total": true, "certificate_chain": true,
}

// shape compares the fields of a body, their types, and their values where no run
// changes them.
func (p *player) shape(what string, want, got any) {
	w, isObject := want.(map[string]any)
	g, ok := got.(map[string]any)
	if !isObject {
		p.t.Equal(what+": type", fmt.Sprintf("%T", got), fmt.Sprintf("%T", want))
		return
	}
	if !ok {
		p.t.True(false, "%s: %v is no object", what, got)
		return
	}
	for name, value := range w {
		mine, there := g[name]
		p.t.True(there, "%s: no field %s", what, name)
		p.t.Equal(what+": type of "+name, fmt.Sprintf("%T", mine), fmt.Sprintf("%T", value))
		if !told[name] {
			p.t.Equal(what+": "+name, mine, value)
		}
	}
	for name := range g {
		_, there := w[name]
		p.t.True(there, "%s: field %s is new", what, name)
	}
}

// take keeps the records of a chunk.
func (p *player) take(what string, body []byte) {
	var from io.Reader = bytes.NewReader(body)
	if unzip, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
		from = unzip
	}
	records, err := wire.ParseBuffers(from, 1000)
	if err != nil {
		p.t.Errorf("%s: %v", what, err)
	}
	for _, r := range records {
		for recorded, id := range p.ids { // back to the recorded transfer session
			if r.TransferSession == id {
				r.TransferSession = recorded
				for i := range r.RMCBList {
					r.RMCBList[i].TransferSession = recorded
				}
			}
		}
		p.pushed = append(p.pushed, r)
	}
}

// answer is the recorded answer, with our ids, and signed again where the client
// checks a signature over what it sent itself.
func (p *player) answer(e recorded.Exchange, body []byte) []byte {
	switch {
	case e.Method == http.MethodPost && e.Path == wire.PathSyncSessions:
		var request wire.SyncSessionRequest
		var answer wire.SyncSessionAnswer
		p.must(json.Unmarshal(body, &request))
		p.must(json.Unmarshal(e.ResponseBody, &answer))
		var err error
		answer.Signature, err = p.signer.Sign(cert.SessionMessage(request.Nonce, request.ID))
		p.must(err)
		text, err := wire.Marshal(answer)
		p.must(err)
		return text
	case e.Method == http.MethodPost && e.Path == wire.PathCertificates:
		return p.issue(e, body)
	}
	return []byte(p.ours(string(e.ResponseBody)))
}

// issue signs the certificate that our client asks for.
func (p *player) issue(e recorded.Exchange, body []byte) []byte {
	var request wire.CertificateRequest
	var was wire.Certificate
	p.must(json.Unmarshal(body, &request))
	p.must(json.Unmarshal(e.ResponseBody, &was))
	issued, err := p.signer.Issue(cert.Request{
		ParentID: request.Parent, Profile: request.Profile, ScopeDefinition: request.ScopeDefinition,
		ScopeVersion: request.ScopeVersion, ScopeParams: request.ScopeParams, PublicKey: request.PublicKey,
	}, was.Salt, definitions(p.t))
	p.must(err)
	text, err := wire.Marshal(issued.Link())
	p.must(err)
	return text
}

func (p *player) must(err error) {
	if err != nil {
		p.t.Error(err)
	}
}

// finish checks that our client asked everything that it was to ask.
func (p *player) finish() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := p.at; i < len(p.script); i++ {
		e := p.script[i]
		p.t.True(superfluous(e, p.script[i+1:]), "our client does not ask %s %s?%s %.200s", e.Method, e.Path, e.Query, e.RequestBody)
	}
}
