package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/wire"
)

// traced is a request of a stock Kolibri client; see testdata/kolibri/README.md.
type traced struct {
	Method  string            `json:"m"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"hdr"`
	Length  int               `json:"blen"`
	Body    string            `json:"body"`
	Answer  string            `json:"resp"`
	Header  map[string]string `json:"rhdr"`
}

func traces(t *testing.T) (all []traced) {
	t.Helper()
	files, err := filepath.Glob("../testdata/kolibri/traces/*.zst")
	if err != nil || len(files) != 4 {
		t.Fatalf("%d traces, %v", len(files), err)
	}
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	for _, file := range files {
		zipped, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text, err := decoder.DecodeAll(zipped, nil)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			var r traced
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
	}
	return all
}

// Every request that a stock Kolibri makes is one that we know, with a body that we
// read; where the trace cut a body, all of it that is there.
func TestKolibriRequests(t *testing.T) {
	count := map[string]int{}
	for _, r := range traces(t) {
		where, err := url.Parse(r.URL)
		if err != nil {
			t.Fatal(err)
		}
		e := exchange{Method: r.Method, Path: where.Path}
		count[r.Method+" "+strings.TrimPrefix(e.endpoint(), wire.Base)]++
		for _, known := range []wire.Capability{wire.GzipBufferPost, wire.AsyncOperations, wire.FSICv2Format} {
			if !wire.ParseHeader(r.Headers[wire.HeaderCapabilities]).Has(known) {
				t.Errorf("%s %s: %s is not understood in %q", r.Method, r.URL, known, r.Headers[wire.HeaderCapabilities])
			}
		}
		checkQuery(t, where)
		checkKolibriBody(t, e, r)
		if body := answerOf(e); body != nil && r.Header["Content-Length"] != "" && len(r.Answer) < 900 && len(r.Answer) > 0 {
			if err := wire.Read(strings.NewReader(r.Answer), 1<<20, body); err != nil {
				t.Errorf("answer of %s %s: %v", r.Method, r.URL, err)
			}
		}
	}
	for request, least := range map[string]int{
		"GET morangoinfo/": 7, "GET certificates/": 8, "POST certificates/": 2, "POST nonces/": 4, "POST syncsessions/": 4,
		"POST transfersessions/": 6, "GET transfersessions/": 24, "PATCH transfersessions/": 28, "DELETE transfersessions/": 6,
		"GET buffers/": 3, "POST buffers/": 1, "DELETE syncsessions/": 3,
	} {
		if count[request] != least {
			t.Errorf("%s: %d traced, want %d", request, count[request], least)
		}
		delete(count, request)
	}
	if len(count) > 0 {
		t.Errorf("requests that nobody looked at: %v", count)
	}
}

func checkQuery(t *testing.T, where *url.URL) {
	t.Helper()
	for name := range where.Query() {
		switch name {
		case wire.QueryPrimaryPartition, wire.QueryAncestorsOf, wire.QueryTransferSession, wire.QueryLimit, wire.QueryOffset:
		default:
			t.Errorf("%s: we do not know %s", where, name)
		}
	}
}

// checkKolibriBody reads a body as the server does.
func checkKolibriBody(t *testing.T, e exchange, r traced) {
	t.Helper()
	var err error
	var claim, filter string
	switch e.Method + " " + e.endpoint() {
	case "POST " + wire.PathCertificates:
		_, err = wire.ParseCertificateRequest([]byte(r.Body))
	case "POST " + wire.PathSyncSessions:
		_, err = wire.ParseSyncSessionRequest([]byte(r.Body))
	case "POST " + wire.PathTransferSessions:
		var request wire.TransferSessionRequest
		request, err = wire.ParseTransferSessionRequest([]byte(r.Body))
		claim, filter = request.ClientFSIC, request.Filter
	case "PATCH " + wire.PathTransferSessions:
		var update wire.TransferSessionUpdate
		update, err = wire.ParseTransferSessionUpdate([]byte(r.Body))
		if update.ClientFSIC != nil {
			claim = *update.ClientFSIC
		}
	case "POST " + wire.PathBuffers:
		if kind := r.Headers["content-type"]; kind != wire.ContentGzip {
			t.Errorf("chunk of %q", kind)
		}
		return
	default:
		if r.Length != 0 {
			t.Errorf("%s %s has a body: %s", r.Method, r.URL, r.Body)
		}
	}
	var format *wire.FormatError
	cut := len(r.Body) < r.Length
	if cut && (!errors.As(err, &format) || !strings.Contains(format.Reason, "ends too early")) || !cut && err != nil {
		t.Errorf("%s %s: %v\n%s", r.Method, r.URL, err, r.Body)
	}
	if claim == "" {
		return
	}
	read, err := counter.Parse([]byte(claim))
	if err != nil {
		t.Errorf("%s: %v", claim, err)
	}
	if filter != "" {
		if err := read.Check(partition.Parse(filter)); err != nil {
			t.Errorf("%s: %v", claim, err)
		}
	}
}
