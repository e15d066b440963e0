package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/internal/conformance/recorded"
	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

// The root of the recorded databases, and a client certificate with its session.
const (
	root     = "d8b576496483d7088ab2c1a2e45948fc"
	syncID   = "9ad5c7fdbf6a4ebe8bfe3016c264b655"
	instance = "467dd5c2b39c066bc3b73c9881f95430"
)

// open serves the database as it was before the recorded push: a sync session is open.
func open(t *testing.T, change func(*server.Config)) *peer {
	t.Helper()
	return newPeer(t, dbtest.Django(t), recorded.Open(t).Read(t, "full-push").Start(t, "server"), change)
}

// ask sends a request with all capabilities and gives status and body.
func (p *peer) ask(t *testing.T, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", wire.ContentJSON)
	request.Header.Set(wire.HeaderCapabilities, wire.All().Without(wire.Stream1).Header())
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// want asks and checks the status and a part of the body.
func (p *peer) want(t *testing.T, status int, part, method, path, body string, headers ...string) string {
	t.Helper()
	got, text := p.ask(t, method, path, body, headers...)
	if got != status || !strings.Contains(text, part) {
		t.Errorf("%s %s %.200s: %d %.300s; want %d %s", method, path, body, got, text, status, part)
	}
	return text
}

// toQueuing is what a client without any records says when it pulls.
const toQueuing = `{"transfer_stage": "queuing", "client_fsic": "{\"super\": {}, \"sub\": {}}"}`

func transferBody(id, filter string, push bool) string {
	return fmt.Sprintf(`{"id": %q, "filter": %q, "push": %t, "sync_session_id": %q, "client_fsic": "{}"}`, id, filter, push, syncID)
}

// push opens a push of total records and brings it to where records may come.
func (p *peer) push(t *testing.T, id string, total int) {
	t.Helper()
	p.want(t, 201, `"initializing"`, "POST", wire.PathTransferSessions, transferBody(id, root, true))
	fsic := fmt.Sprintf(`{\"super\": {}, \"sub\": {\"%s\": {\"%s\": 5}}}`, root, instance)
	p.want(t, 200, `"transfer_stage":"serializing","transfer_stage_status":"completed"`, "PATCH", wire.Item(wire.PathTransferSessions, id),
		`{"transfer_stage": "serializing", "client_fsic": "`+fsic+`"}`)
	p.want(t, 200, `"transfer_stage":"queuing","transfer_stage_status":"completed"`, "PATCH", wire.Item(wire.PathTransferSessions, id),
		fmt.Sprintf(`{"transfer_stage": "queuing", "records_total": %d}`, total))
}

// facility is a record of the model facility in a push.
func facility(transfer, partition, source string) wire.BufferRecord {
	id := ident.Record(partition, source, "facility")
	return wire.BufferRecord{
		Serialized: `{"id": "` + id + `", "name": "x"}`, LastSavedInstance: instance, LastSavedCounter: 3,
		Partition: partition, SourceID: source, ModelName: "facility", ModelUUID: id, TransferSession: transfer, Profile: "facilitydata",
		RMCBList: []wire.BufferCounter{{TransferSession: transfer, ModelUUID: id, InstanceID: instance, Counter: 3}},
	}
}

func body(t *testing.T, records ...wire.BufferRecord) string {
	t.Helper()
	text, err := wire.Marshal(records)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const (
	first  = "11111111111111111111111111111111"
	second = "22222222222222222222222222222222"
)

// Rule 16: the same id goes on, another one closes the session that was abandoned.
func TestSecondTransferSession(t *testing.T) {
	p := open(t, nil)
	p.push(t, first, 2)
	p.want(t, 201, "", "POST", wire.PathBuffers, body(t, facility(first, root+":fac", "a")))
	p.want(t, 201, `"transfer_stage":"transferring"`, "POST", wire.PathTransferSessions, transferBody(first, root, true))
	p.want(t, 400, "another filter", "POST", wire.PathTransferSessions, transferBody(first, root+":fac", true))
	p.want(t, 400, "direction", "POST", wire.PathTransferSessions, transferBody(first, root, false))
	p.want(t, 201, second, "POST", wire.PathTransferSessions, transferBody(second, root+":fac", true))
	p.want(t, 404, "Not found.", "GET", wire.Item(wire.PathTransferSessions, first), "")
	p.want(t, 400, "no longer active", "POST", wire.PathBuffers, body(t, facility(first, root+":fac", "b")))
	p.want(t, 400, "is closed", "POST", wire.PathTransferSessions, transferBody(first, root, true))
	if n := p.count(t, "morango_buffer"); n != 0 {
		t.Errorf("%d records of the abandoned session are left", n)
	}
}

func (p *peer) count(t *testing.T, table string) (n int) {
	t.Helper()
	err := p.db.Read(t.Context(), func(tx *db.Tx) error {
		return tx.QueryRow(t.Context(), "SELECT count(*) FROM "+db.Quote(table)).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Rules 17 and 18: a bad chunk is refused whole and the session goes on; the same
// records count once; new ones beyond the total are refused.
func TestChunks(t *testing.T) {
	p := open(t, nil)
	p.push(t, first, 2)
	a, b, c := facility(first, root+":fac", "a"), facility(first, root+":fac", "b"), facility(first, root+":fac", "c")
	changed := func(r wire.BufferRecord, change func(*wire.BufferRecord)) wire.BufferRecord {
		r.RMCBList = append([]wire.BufferCounter{}, r.RMCBList...)
		change(&r)
		return r
	}
	for part, bad := range map[string]wire.BufferRecord{
		"b":                        changed(b, func(r *wire.BufferRecord) { r.ModelUUID, r.RMCBList = a.ModelUUID, a.RMCBList; r.SourceID = "other" }),
		"outside":                  facility(first, "05737219e358c937ac99603b6ec984a5:fac", "b"),
		"does not match Buffer's":  changed(b, func(r *wire.BufferRecord) { r.RMCBList[0].ModelUUID = a.ModelUUID }),
		"Transfer session on RMCB": changed(b, func(r *wire.BufferRecord) { r.RMCBList[0].TransferSession = second }),
		"profile":                  changed(b, func(r *wire.BufferRecord) { r.Profile = "zzz" }),
		"twice":                    changed(b, func(r *wire.BufferRecord) { r.RMCBList = append(r.RMCBList, r.RMCBList[0]) }),
		"give the id":              changed(b, func(r *wire.BufferRecord) { r.ModelName = "unknownmodel" }),
		"NUL":                      changed(b, func(r *wire.BufferRecord) { r.Serialized = "\x00" }),
		"counter":                  changed(b, func(r *wire.BufferRecord) { r.LastSavedCounter = -1 }),
	} {
		p.want(t, 400, part, "POST", wire.PathBuffers, body(t, a, bad))
	}
	p.want(t, 403, wire.TextOneSession, "POST", wire.PathBuffers, body(t, a, facility(second, root+":fac", "b")))
	if n := p.count(t, "morango_buffer"); n != 0 {
		t.Fatalf("%d records of refused chunks", n)
	}
	item := wire.Item(wire.PathTransferSessions, first)
	p.want(t, 201, "", "POST", wire.PathBuffers, body(t, a))
	p.want(t, 201, "", "POST", wire.PathBuffers, body(t, a))
	p.want(t, 200, `"records_transferred":1,"records_total":2`, "GET", item, "")
	p.want(t, 400, "more records than announced", "POST", wire.PathBuffers, body(t, b, c))
	p.want(t, 400, "", "POST", wire.PathBuffers, body(t, changed(a, func(r *wire.BufferRecord) { r.Serialized = `{"other": 1}` })))
	p.want(t, 201, "", "POST", wire.PathBuffers, body(t, b))
	p.want(t, 200, `"transfer_stage":"transferring","transfer_stage_status":"completed"`, "GET", item, "")
	p.want(t, 201, "", "POST", wire.PathBuffers, body(t, a, b))
	p.want(t, 400, "more records than announced", "POST", wire.PathBuffers, body(t, c))
	p.want(t, 200, `"records_transferred":2,"records_total":2`, "GET", item, "")
}

// A record of a model that this build does not know travels, if its id is right.
func TestUnknownModel(t *testing.T) {
	p := open(t, nil)
	p.push(t, first, 1)
	r := facility(first, root+":fac", "a")
	r.ModelName = "unknownmodel"
	r.ModelUUID = ident.Record(r.Partition, r.SourceID, r.ModelName)
	r.RMCBList[0].ModelUUID = r.ModelUUID
	p.want(t, 201, "", "POST", wire.PathBuffers, body(t, r))
}

// Rules 3 and 19: bad values are refused when they come, and nothing changes.
func TestBadUpdates(t *testing.T) {
	p := open(t, nil)
	p.want(t, 201, "", "POST", wire.PathTransferSessions, transferBody(first, root, true))
	item := wire.Item(wire.PathTransferSessions, first)
	for text, part := range map[string]string{
		`{"transfer_stage": "nonsense"}`:                            "is not a stage",
		`{"records_total": -1}`:                                     "greater than or equal to 0",
		`{"records_total": "abc"}`:                                  "A valid integer is required.",
		`{"records_transferred": null}`:                             "This field may not be null.",
		`{"client_fsic": "nonsense"}`:                               "",
		`{"client_fsic": "{\"super\": {}, \"sub\": {\"zz\": {}}}"}`: "",
		`{`: "JSON parse error",
		``:  "JSON parse error",
	} {
		p.want(t, 400, part, "PATCH", item, text)
	}
	p.want(t, 200, `"records_total":null`, "GET", item, "")
	p.want(t, 200, `"client_fsic":"{}"`, "PATCH", item, `{"unknown": 1, "filter": "x", "push": false, "active": false}`)
	p.want(t, 405, wire.TextOnlyPatch, "PUT", item, `{}`)
	p.want(t, 400, "client_fsic", "POST", wire.PathTransferSessions, strings.Replace(transferBody(second, root, false), `"{}"`, `"[]"`, 1))
}

// Permission is asked at each request: a session that is closed, or whose certificate
// is gone, is of no more use.
func TestPermission(t *testing.T) {
	p := open(t, nil)
	p.want(t, 201, "", "POST", wire.PathTransferSessions, transferBody(first, root, false))
	p.want(t, 201, "", "POST", wire.PathTransferSessions, transferBody(second, root, true))
	item := wire.Item(wire.PathTransferSessions, first)
	buffers := wire.PathBuffers + "?transfer_session_id="
	p.want(t, 200, `"transfer_stage":"queuing"`, "PATCH", item, `{"transfer_stage": "queuing"}`)
	p.want(t, 200, `[`, "GET", buffers+first, "")
	p.want(t, 403, wire.TextNoCredentials, "GET", buffers+second, "")
	p.want(t, 403, wire.TextNoPush, "POST", wire.PathBuffers, body(t, facility(first, root+":fac", "a")))
	p.want(t, 404, "", "GET", wire.Item(wire.PathSyncSessions, first), "")
	p.want(t, 200, `"active":true`, "GET", wire.Item(wire.PathSyncSessions, syncID), "")

	p.exec(t, "UPDATE morango_certificate SET scope_definition_id = 'single-user' WHERE private_key IS NULL")
	p.want(t, 403, wire.TextClientNoPull, "GET", buffers+first, "")
	p.want(t, 403, wire.TextClientNoPush, "PATCH", wire.Item(wire.PathTransferSessions, second), `{"transfer_stage": "serializing"}`)
	p.exec(t, "UPDATE morango_certificate SET scope_definition_id = 'full-facility' WHERE private_key IS NULL")

	p.want(t, 204, "", "DELETE", wire.Item(wire.PathSyncSessions, syncID), "")
	p.want(t, 404, "", "GET", wire.Item(wire.PathSyncSessions, syncID), "")
	p.want(t, 403, wire.TextNoCredentials, "GET", buffers+first, "")
	p.want(t, 404, "", "PATCH", item, `{"transfer_stage": "transferring"}`)
	p.want(t, 400, wire.TextNoSyncSession, "POST", wire.PathTransferSessions, transferBody("33333333333333333333333333333333", root, false))
}

func (p *peer) exec(t *testing.T, query string) {
	t.Helper()
	err := p.db.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(t.Context(), query); return err })
	if err != nil {
		t.Fatal(err)
	}
}

// Rule 20: a chain whose last certificate is known must still be the one that is kept.
func TestKnownChainIsLookedAt(t *testing.T) {
	p := open(t, nil)
	var chain []*cert.Certificate
	err := p.db.Read(t.Context(), func(tx *db.Tx) (err error) {
		chain, err = session.Ancestors(t.Context(), tx, "de91b085ba43ac34ce506dc2e0d12350")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	last := chain[len(chain)-1]
	last.Signature = chain[0].Signature
	text, err := wire.Marshal(wire.SyncSessionRequest{
		ID: first, ServerCertificateID: root, ClientCertificateID: last.ID, CertificateChain: cert.MarshalChain(chain),
		ConnectionPath: "http://x/", Instance: "{}", Nonce: second, Signature: "AAAA",
	})
	if err != nil {
		t.Fatal(err)
	}
	p.want(t, 403, wire.TextChainFailed, "POST", wire.PathSyncSessions, string(text))
}

// Bodies of any size and kind get an answer that says what was wrong.
func TestLimits(t *testing.T) {
	p := open(t, func(c *server.Config) { c.Limits.Body, c.Limits.Buffers, c.Limits.Records = 2000, 4000, 2 })
	p.push(t, first, 5)
	a, b, c := facility(first, root+":fac", "a"), facility(first, root+":fac", "b"), facility(first, root+":fac", "c")
	p.want(t, 413, "too large", "POST", wire.PathSyncSessions, `{"id": "`+strings.Repeat("x", 2000)+`"}`)
	p.want(t, 413, "Send fewer records", "POST", wire.PathBuffers, body(t, a, b, c))
	a.Serialized = strings.Repeat("x", 4000)
	p.want(t, 413, "Send fewer records", "POST", wire.PathBuffers, body(t, a))
	var bomb bytes.Buffer
	if err := wire.Deflate(&bomb, []byte(body(t, a))); err != nil {
		t.Fatal(err)
	}
	p.want(t, 413, "Send fewer records", "POST", wire.PathBuffers, bomb.String(), "Content-Type", wire.ContentGzip)
	p.want(t, 400, "Gzip parse error", "POST", wire.PathBuffers, "nonsense", "Content-Type", wire.ContentGzip)
	p.want(t, 415, "Unsupported media type", "POST", wire.PathBuffers, "[]", "Content-Type", "text/plain")
	p.want(t, 415, "Unsupported media type", "POST", wire.PathSyncSessions, "x", "Content-Type", "application/x-www-form-urlencoded")
	p.want(t, 404, "Not found.", "GET", wire.Base, "")
	p.want(t, 404, "Not found.", "GET", "/elsewhere", "")
}

// Behind a proxy: base path, addresses and page links are as the client sees them, and
// nobody else can claim to be a proxy.
func TestProxy(t *testing.T) {
	p := open(t, func(c *server.Config) {
		c.BasePath = "/sync/"
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	})
	p.want(t, 200, "instance_id", "GET", "/sync"+wire.Item(wire.PathInfo, "1"), "")
	p.want(t, 404, "Not found.", "GET", wire.Item(wire.PathInfo, "1"), "")
	nonce := "/sync" + wire.PathNonces
	p.want(t, 201, `"ip":"192.0.2.7"`, "POST", nonce, "", "X-Forwarded-For", "203.0.113.1, 192.0.2.7, 10.1.1.1")
	p.want(t, 201, `"ip":"10.1.1.1"`, "POST", nonce, "", "X-Forwarded-For", "garbage, 10.1.1.1")
	p.want(t, 201, `"ip":"127.0.0.1"`, "POST", nonce, "")
	p.want(t, 201, "", "POST", "/sync"+wire.PathTransferSessions, transferBody(first, root, false))
	p.want(t, 200, "", "PATCH", "/sync"+wire.Item(wire.PathTransferSessions, first), toQueuing)
	page := p.want(t, 200, `"count":`, "GET", "/sync"+wire.PathBuffers+"?limit=2&offset=2&transfer_session_id="+first, "", "X-Forwarded-Proto", "https")
	for _, link := range []string{
		`"next":"https://` + strings.TrimPrefix(p.url, "http://") + `/sync/api/morango/v1/buffers/?limit=2&offset=4&transfer_session_id=` + first + `"`,
		`"previous":"https://` + strings.TrimPrefix(p.url, "http://") + `/sync/api/morango/v1/buffers/?limit=2&transfer_session_id=` + first + `"`,
	} {
		if !strings.Contains(page, link) {
			t.Errorf("no %s in %.400s", link, page)
		}
	}
	open(t, nil).want(t, 201, `"ip":"127.0.0.1"`, "POST", wire.PathNonces, "", "X-Forwarded-For", "203.0.113.1")
	if _, err := server.New(server.Config{}); err == nil {
		t.Error("a server without an engine")
	}
}

// A client that cannot ask for stages never tells its claim, although it knows the v2
// form: its pull brings everything. One that can ask must tell it.
func TestNoClaim(t *testing.T) {
	p := open(t, nil)
	legacy := []string{wire.HeaderCapabilities, string(wire.FSICv2Format)}
	p.want(t, 201, `"transfer_stage":"queuing","transfer_stage_status":"completed"`, "POST", wire.PathTransferSessions,
		transferBody(first, root, false), legacy...)
	all, err := wire.ParseBuffers(strings.NewReader(p.want(t, 200, "[", "GET", wire.PathBuffers+"?transfer_session_id="+first, "")), 1000)
	if err != nil || len(all) < 10 {
		t.Errorf("%d records, %v", len(all), err)
	}
	p = open(t, nil)
	p.want(t, 201, "", "POST", wire.PathTransferSessions, transferBody(first, root, false))
	p.want(t, 200, `"transfer_stage":"queuing","transfer_stage_status":"errored"`, "PATCH", wire.Item(wire.PathTransferSessions, first),
		`{"transfer_stage": "queuing"}`)
}

// Pages read one after the other are the whole list, whatever their size.
func TestPages(t *testing.T) {
	p := open(t, nil)
	p.want(t, 201, "", "POST", wire.PathTransferSessions, transferBody(first, root, false))
	p.want(t, 200, "", "PATCH", wire.Item(wire.PathTransferSessions, first), toQueuing)
	all, err := wire.ParseBuffers(strings.NewReader(p.want(t, 200, "[", "GET", wire.PathBuffers+"?transfer_session_id="+first, "")), 1000)
	if err != nil || len(all) < 10 {
		t.Fatalf("%d records, %v", len(all), err)
	}
	for _, size := range []int{1, 7, 1000} {
		var paged []wire.BufferRecord
		for offset := 0; offset < len(all); offset += size {
			path := fmt.Sprintf("%s?limit=%d&offset=%d&transfer_session_id=%s", wire.PathBuffers, size, offset, first)
			page, err := wire.ParseBufferPage(strings.NewReader(p.want(t, 200, "count", "GET", path, "")), size)
			if err != nil || page.Count != int64(len(all)) || (page.Next == nil) != (offset+size >= len(all)) {
				t.Fatalf("%s: %d records of %d, next %v, %v", path, len(page.Results), page.Count, page.Next, err)
			}
			paged = append(paged, page.Results...)
		}
		if len(paged) != len(all) {
			t.Errorf("%d records in pages of %d, %d in all", len(paged), size, len(all))
		}
		for i := range paged {
			if paged[i].ModelUUID != all[i].ModelUUID {
				t.Fatalf("pages of %d: record %d is %s, not %s", size, i, paged[i].ModelUUID, all[i].ModelUUID)
			}
		}
	}
	back := fmt.Sprintf("%s?limit=2&offset=3&transfer_session_id=%s", wire.PathBuffers, first)
	page, err := wire.ParseBufferPage(strings.NewReader(p.want(t, 200, "count", "GET", back, "")), 2)
	if err != nil || page.Results[0].ModelUUID != all[3].ModelUUID {
		t.Errorf("going back: %v", err)
	}
}

// broken is an authenticator that fails or panics.
type broken struct{ panics bool }

func (b broken) Authenticate(context.Context, map[string]string, string) (server.User, error) {
	if b.panics {
		panic("out of order")
	}
	return nil, fmt.Errorf("the users file is gone")
}

// A failure inside is a 500 in JSON that tells the peer nothing; the log has the
// reason, and no secrets.
func TestFailuresAndLog(t *testing.T) {
	for _, panics := range []bool{false, true} {
		var log bytes.Buffer
		p := open(t, func(c *server.Config) {
			c.Users = broken{panics}
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		text := p.want(t, 500, `{"detail":`, "POST", wire.PathCertificates+"?secret=1", `{"profile": "sesame"}`, "Authorization", "Basic Ym9iOnBhc3N3b3Jk")
		if strings.Contains(text, "users file") || strings.Contains(text, "order") {
			t.Errorf("the peer learns %s", text)
		}
		lines := log.String()
		if !strings.Contains(lines, "users file") && !strings.Contains(lines, "out of order") {
			t.Errorf("the log has no reason: %s", lines)
		}
		for _, secret := range []string{"Ym9i", "password", "sesame", "secret"} {
			if strings.Contains(lines, secret) {
				t.Errorf("the log has %q: %s", secret, lines)
			}
		}
		if strings.Count(lines, "msg=request") != 1 || !strings.Contains(lines, "status=500") {
			t.Errorf("not one line a request: %s", lines)
		}
	}
}

// What is not allowed is refused: certificate pushing by default, joining without an
// authenticator.
func TestNotAllowed(t *testing.T) {
	p := open(t, func(c *server.Config) { c.AllowCertificatePushing, c.Users = false, nil })
	p.want(t, 403, wire.TextNoCertPushing, "GET", wire.PathPublicKey, "")
	p.want(t, 403, wire.TextNoCertPushing, "POST", wire.PathCertificateChain, `"[]"`)
	p.want(t, 401, wire.TextNoCredentials, "POST", wire.PathCertificates, `{"profile": "facilitydata"}`, "Authorization", "Basic Ym9iOnBhc3N3b3Jk")
	if info := p.want(t, 200, "MORANGO_GO", "GET", wire.Item(wire.PathInfo, "1"), ""); strings.Contains(info, "PUSHING") {
		t.Errorf("announces pushing: %s", info)
	}
	p.want(t, 400, "string", "POST", wire.PathSyncSessions, `{"certificate_chain": [], "connection_path": "", "instance": "", "signature": ""}`)
}

// A client that cannot ask again gets its answer however long that takes, also where
// the http.Server would have given up.
func TestLongWait(t *testing.T) {
	p := open(t, nil)
	web := httptest.NewUnstartedServer(p.served)
	web.Config.WriteTimeout = time.Nanosecond
	web.Start()
	t.Cleanup(web.Close)
	p.url = web.URL
	none := []string{wire.HeaderCapabilities, ""}
	p.want(t, 201, `"transfer_stage":"queuing","transfer_stage_status":"completed"`, "POST", wire.PathTransferSessions, transferBody(first, root, false), none...)
	p.want(t, 204, "", "DELETE", wire.Item(wire.PathTransferSessions, first), "", none...)
}
