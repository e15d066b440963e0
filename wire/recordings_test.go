package wire_test

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/wire"
)

// scenario is a file of recorded exchanges.
type scenario struct {
	Exchanges []exchange `json:"exchanges"`
}

type exchange struct {
	Method         string            `json:"method"`
	Path           string            `json:"path"`
	RequestHeaders map[string]string `json:"request_headers"`
	RequestBody    []byte            `json:"request_body_b64"`
	Status         int               `json:"status"`
	ResponseHeader map[string]string `json:"response_headers"`
	ResponseBody   []byte            `json:"response_body_b64"`
}

// endpoint is the collection that the exchange is about.
func (e exchange) endpoint() string {
	rest, _ := strings.CutPrefix(e.Path, wire.Base)
	name, _, _ := strings.Cut(rest, "/")
	return wire.Base + name + "/"
}

func (e exchange) item() bool { return e.Path != e.endpoint() }

func recordings(t *testing.T) map[string]scenario {
	t.Helper()
	all := map[string]scenario{}
	for name, text := range conformance.Files(t, "wire") {
		if strings.HasPrefix(name, "sample-") {
			continue
		}
		var s scenario
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = s
	}
	if len(all) < 60 {
		t.Fatalf("only %d recorded scenarios", len(all))
	}
	return all
}

// answerOf gives a body of the type with which the endpoint answers.
func answerOf(e exchange) any {
	switch e.endpoint() {
	case wire.PathInfo:
		return &wire.Info{}
	case wire.PathPublicKey:
		if e.item() {
			return &wire.PublicKey{}
		}
		return &[]wire.PublicKey{}
	case wire.PathNonces:
		return &wire.Nonce{}
	case wire.PathCertificates:
		if e.item() || e.Method == "POST" {
			return &wire.Certificate{}
		}
		return &[]wire.Certificate{}
	case wire.PathCertificateChain:
		return new(string)
	case wire.PathSyncSessions:
		if e.Method == "POST" {
			return &wire.SyncSessionAnswer{}
		}
		return &wire.SyncSession{}
	case wire.PathTransferSessions:
		return &wire.TransferSession{}
	}
	return nil
}

// Every recorded good answer reads into our types and is written again byte for byte.
func TestAnswersAsRecorded(t *testing.T) {
	count := map[string]int{}
	for name, s := range recordings(t) {
		for i, e := range s.Exchanges {
			good := e.Status/100 == 2 && len(e.ResponseBody) > 0 && e.Method != "OPTIONS"
			if !good || e.ResponseHeader["Content-Type"] != wire.ContentJSON || e.endpoint() == wire.PathBuffers {
				continue
			}
			body := answerOf(e)
			if err := wire.Read(bytes.NewReader(e.ResponseBody), 1<<20, body); err != nil {
				t.Errorf("%s, exchange %d, %s %s: %v", name, i, e.Method, e.Path, err)
				continue
			}
			text, err := wire.Marshal(body)
			if err != nil || !bytes.Equal(text, e.ResponseBody) {
				t.Errorf("%s, exchange %d, %s %s: %v\nrecorded %s\nours     %s", name, i, e.Method, e.Path, err, e.ResponseBody, text)
			}
			count[e.endpoint()]++
		}
	}
	for _, path := range []string{
		wire.PathInfo, wire.PathPublicKey, wire.PathNonces, wire.PathCertificates,
		wire.PathCertificateChain, wire.PathSyncSessions, wire.PathTransferSessions,
	} {
		if count[path] == 0 {
			t.Errorf("no recorded answer of %s", path)
		}
	}
}

// Every recorded answer to a GET of buffers is read and written byte for byte.
func TestBuffersAsRecorded(t *testing.T) {
	pages, lists := 0, 0
	for name, s := range recordings(t) {
		for i, e := range s.Exchanges {
			if e.endpoint() != wire.PathBuffers || e.Method != "GET" || e.Status != 200 {
				continue
			}
			var text []byte
			if e.ResponseBody[0] == '[' {
				lists++
				records, err := wire.ParseBuffers(bytes.NewReader(e.ResponseBody), 1000)
				if err != nil {
					t.Fatalf("%s, exchange %d: %v", name, i, err)
				}
				text = mustMarshal(t, records)
			} else {
				pages++
				page, err := wire.ParseBufferPage(bytes.NewReader(e.ResponseBody), 1000)
				if err != nil {
					t.Fatalf("%s, exchange %d: %v", name, i, err)
				}
				text = mustMarshal(t, page)
			}
			if !bytes.Equal(text, e.ResponseBody) {
				t.Errorf("%s, exchange %d\nrecorded %s\nours     %s", name, i, e.ResponseBody, text)
			}
		}
	}
	if pages == 0 || lists == 0 {
		t.Errorf("%d pages and %d lists recorded", pages, lists)
	}
}

// Every chunk that the reference's server took is read, as JSON and within gzip.
func TestChunksAsRecorded(t *testing.T) {
	kinds := map[string]int{}
	for name, s := range recordings(t) {
		for i, e := range s.Exchanges {
			if e.endpoint() != wire.PathBuffers || e.Method != "POST" || e.Status != 201 {
				continue
			}
			kind := e.RequestHeaders["Content-Type"] + e.RequestHeaders["content-type"]
			var body io.Reader = bytes.NewReader(e.RequestBody)
			if kind == wire.ContentGzip {
				var err error
				if body, err = wire.Inflate(body, 1<<20); err != nil {
					t.Fatalf("%s, exchange %d: %v", name, i, err)
				}
			}
			records, err := wire.ParseBuffers(body, 1000)
			if strings.Contains(string(e.RequestBody), `"serialized": {`) {
				if err == nil {
					t.Errorf("%s, exchange %d: an object in place of JSON text was taken", name, i)
				}
				continue
			}
			if err != nil || len(records) == 0 {
				t.Errorf("%s, exchange %d: %d records, %v", name, i, len(records), err)
			}
			kinds[kind]++
		}
	}
	if kinds[wire.ContentJSON] == 0 || kinds[wire.ContentGzip] == 0 {
		t.Errorf("recorded chunks: %v", kinds)
	}
}

// The bodies that clients of the reference send are understood.
func TestRequestsAsRecorded(t *testing.T) {
	parsers := map[string]func(text []byte) (any, error){
		"POST " + wire.PathCertificates:     func(text []byte) (any, error) { return wire.ParseCertificateRequest(text) },
		"POST " + wire.PathCertificateChain: func(text []byte) (any, error) { return wire.ParseChainText(text) },
		"POST " + wire.PathSyncSessions:     func(text []byte) (any, error) { return wire.ParseSyncSessionRequest(text) },
		"POST " + wire.PathTransferSessions: func(text []byte) (any, error) { return wire.ParseTransferSessionRequest(text) },
		"PATCH " + wire.PathTransferSessions: func(text []byte) (any, error) {
			return wire.ParseTransferSessionUpdate(text)
		},
	}
	count := map[string]int{}
	for name, s := range recordings(t) {
		for i, e := range s.Exchanges {
			key := e.Method + " " + e.endpoint()
			read := parsers[key]
			if read == nil || e.Status/100 != 2 || strings.Contains(string(e.RequestBody), `"records_total": -1`) {
				continue
			}
			count[key]++
			body, err := read(e.RequestBody)
			if err != nil {
				t.Errorf("%s, exchange %d, %s: %v", name, i, key, err)
				continue
			}
			compareFields(t, name, e.RequestBody, mustMarshal(t, body))
		}
	}
	for key := range parsers {
		if count[key] == 0 {
			t.Errorf("no recorded %s", key)
		}
	}
}

// compareFields checks that what we write has nothing that the recorded body has
// not, and the same values where both have one.
func compareFields(t *testing.T, name string, recorded, ours []byte) {
	t.Helper()
	var want, got map[string]any
	if json.Unmarshal(recorded, &want) != nil {
		return // a string
	}
	if err := json.Unmarshal(ours, &got); err != nil {
		t.Fatal(err)
	}
	optional := []string{"client_fsic", "profile", "client_ip", "server_ip"}
	for field, value := range got {
		if recorded, there := want[field]; there || !slices.Contains(optional, field) {
			if diff := cmp.Diff(recorded, value); diff != "" {
				t.Errorf("%s: field %s: %s", name, field, diff)
			}
		}
	}
}

func mustMarshal(t *testing.T, body any) []byte {
	t.Helper()
	text, err := wire.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The sample bodies: gzip and its text hold the same records; a page and a list are
// written byte for byte, from the records that they become.
func TestSamples(t *testing.T) {
	zipped, err := wire.Inflate(bytes.NewReader(conformance.File(t, "wire/sample-full-post-buffers.gz")), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	fromZip, err := wire.ParseBuffers(zipped, 100)
	if err != nil {
		t.Fatal(err)
	}
	fromText, err := wire.ParseBuffers(bytes.NewReader(conformance.File(t, "wire/sample-full-post-buffers.json")), 100)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromText, fromZip); diff != "" || len(fromText) != 29 {
		t.Errorf("%d records: %s", len(fromText), diff)
	}

	list := conformance.File(t, "wire/sample-get-buffers-no-limit.json")
	records, err := wire.ParseBuffers(bytes.NewReader(list), 100)
	if err != nil {
		t.Fatal(err)
	}
	var travelled []record.Record
	for _, b := range records {
		travelled = append(travelled, b.Record())
	}
	again := wire.AppendBuffers(nil, records[0].TransferSession, travelled)
	back, err := wire.ParseBuffers(bytes.NewReader(again), 100)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sorted(records), sorted(back)); diff != "" {
		t.Error(diff)
	}
}

// sorted puts histories, which are sets, into order.
func sorted(records []wire.BufferRecord) []wire.BufferRecord {
	for _, r := range records {
		slices.SortFunc(r.RMCBList, func(a, b wire.BufferCounter) int { return strings.Compare(a.InstanceID, b.InstanceID) })
	}
	return records
}
