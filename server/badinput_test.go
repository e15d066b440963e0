package server_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/recorded"
	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/wire"
)

// onEngines serves the database as it was before the recorded push, on SQLite and on
// PostgreSQL, which takes less in a text.
func onEngines(t *testing.T, change func(*server.Config), f func(t *testing.T, p *peer)) {
	t.Helper()
	library := recorded.Open(t)
	for where, open := range map[string]func(testing.TB) *db.DB{"sqlite": dbtest.New, "postgres": dbtest.PostgresDjango} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			f(t, newPeer(t, open(t), library.Read(t, "full-push").Start(t, "server"), change))
		})
	}
}

// dump is every row of the database.
func (p *peer) dump(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p.state)) {
		var rows []string
		for _, row := range recorded.Dump(t, p.db, name, p.state[name].Meaningful(name)).Rows {
			rows = append(rows, fmt.Sprint(row))
		}
		slices.Sort(rows)
		fmt.Fprintf(&all, "%s\n%s\n", name, strings.Join(rows, "\n"))
	}
	return all.String()
}

// refuses asks for something bad: the answer is a 4xx with a message in JSON.
func (p *peer) refuses(t *testing.T, method, path, body string, headers ...string) {
	t.Helper()
	status, text := p.ask(t, method, path, body, headers...)
	if status/100 != 4 || wire.ErrorText([]byte(text)) == "" {
		t.Errorf("%s %.80s %.400s: %d %.300s", method, path, body, status, text)
	}
}

// target is a request with a body whose fields are spoilt one after the other.
type target struct {
	method, path string
	body         map[string]any
	headers      []string
	ignored      []string // fields that the server does not read
}

// spoilt are values of every type, among them texts that a database may not take.
func spoilt() []any {
	return []any{
		nil, true, json.Number("0"), json.Number("-1"), json.Number("1.5"), json.Number("1e400"), json.Number("99999999999999999999"),
		"", "x", "\x00", "a\x00b", strings.Repeat("é", 70_000), "zz\n\u2028' OR 1=1 --%_\\", "{", "[]", `{"sub": 1}`, `{"super": {}, "sub": {"": {"x": 1}}}`,
		[]any{}, []any{json.Number("1")}, map[string]any{}, map[string]any{"a": nil},
	}
}

// Every field of every body with a value of every kind is refused in words or taken,
// never a failure; and what is refused leaves no trace.
func TestBadFields(t *testing.T) {
	onEngines(t, nil, func(t *testing.T, p *peer) {
		p.push(t, first, 4)
		for _, target := range targets(t) {
			for _, field := range slices.Sorted(maps.Keys(target.body)) {
				before := p.dump(t)
				taken := false
				for _, value := range spoilt() {
					taken = p.spoil(t, target, field, value) || taken
				}
				if !taken && p.dump(t) != before {
					t.Errorf("%s %s: spoilt values of %s left a trace", target.method, target.path, field)
				}
			}
		}
	})
}

// spoil asks with one field spoilt, and reports whether that was taken.
func (p *peer) spoil(t *testing.T, target target, field string, value any) bool {
	t.Helper()
	body := maps.Clone(target.body)
	sameType := fmt.Sprintf("%T", body[field]) == fmt.Sprintf("%T", value)
	body[field] = value
	var text any = body
	if target.path == wire.PathCertificateChain {
		inner, err := json.Marshal([]any{body, body})
		if err != nil {
			t.Fatal(err)
		}
		text = string(inner)
	}
	encoded, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	status, answer := p.ask(t, target.method, target.path, string(encoded), target.headers...)
	what := fmt.Sprintf("%s %s, %s = %.40v: %d %.200s", target.method, target.path, field, value, status, answer)
	switch {
	case status >= 500:
		t.Error(what)
	case status/100 == 4 && wire.ErrorText([]byte(answer)) == "":
		t.Error(what, "says nothing")
	case status/100 == 2 && !sameType && value != nil && !slices.Contains(target.ignored, field):
		t.Error(what, "is of the wrong type")
	}
	return status/100 == 2
}

// targets are good requests of every kind.
func targets(t *testing.T) []target {
	t.Helper()
	library := recorded.Open(t)
	object := func(text []byte) map[string]any {
		value := map[string]any{}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
		return value
	}
	record := object([]byte(strings.Trim(body(t, facility(first, root+":fac", "a")), "[]")))
	record["rmcb_list"] = []any{map[string]any{"transfer_session": first, "model_uuid": record["model_uuid"], "instance_id": instance, "counter": json.Number("3")}}
	csr := library.Read(t, "full-csr").Exchanges[2]
	var chain string
	session := object(library.Read(t, "full-sync-session").Exchanges[1].RequestBody)
	chain, _ = session["certificate_chain"].(string)
	var links []map[string]any
	if err := json.Unmarshal([]byte(chain), &links); err != nil {
		t.Fatal(err)
	}
	return []target{
		{"POST", wire.PathCertificates, object(csr.RequestBody), []string{"Authorization", csr.RequestHeaders["Authorization"]}, nil},
		{"POST", wire.PathSyncSessions, session, nil, []string{"profile", "client_ip", "server_ip"}},
		{"POST", wire.PathCertificateChain, links[0], nil, nil},
		{"POST", wire.PathTransferSessions, object([]byte(transferBody(second, root+":fac", false))), nil, nil},
		{"PATCH", wire.Item(wire.PathTransferSessions, first), map[string]any{
			"client_fsic": "{}", "records_total": json.Number("4"), "transfer_stage": "queuing",
			"records_transferred": json.Number("0"), "bytes_sent": json.Number("0"), "bytes_received": json.Number("0"),
		}, nil, nil},
		{"POST", wire.PathBuffers, record, nil, nil},
	}
}

// Bodies of the wrong shape, and paths and queries that no peer asks.
func TestBadShapes(t *testing.T) {
	onEngines(t, nil, func(t *testing.T, p *peer) {
		p.push(t, first, 4)
		before := p.dump(t)
		item := wire.Item(wire.PathTransferSessions, first)
		deep := strings.Repeat("[", 100_000)
		for _, text := range []string{"", "[", "null", "7", `"x"`, "[]", "[{}]", `{"a": 1} {}`, "\xff\xfe", `{"id": "\ud800"}`, `{"id": 1, "id": 2}`, deep, `{"a":` + deep} {
			for _, path := range []string{wire.PathCertificateChain, wire.PathSyncSessions, wire.PathTransferSessions, wire.PathBuffers} {
				p.refuses(t, "POST", path, text)
			}
			if text != "" {
				p.refuses(t, "POST", wire.PathCertificates, text, "Authorization", "Basic Ym9iOnBhc3N3b3Jk")
			}
			p.refuses(t, "PATCH", item, text)
		}
		for _, id := range []string{"x", "%00", "%ff", strings.Repeat("a", 5000), "11111111-1111-1111-1111-11111111111", "'", "%2e%2e"} {
			for _, path := range []string{wire.PathSyncSessions, wire.PathTransferSessions, wire.PathCertificates} {
				p.refuses(t, "GET", wire.Item(path, id), "")
			}
			p.refuses(t, "PATCH", wire.Item(wire.PathTransferSessions, id), "{}")
			p.refuses(t, "DELETE", wire.Item(wire.PathTransferSessions, id), "")
			p.refuses(t, "DELETE", wire.Item(wire.PathSyncSessions, id), "")
			p.refuses(t, "GET", wire.PathBuffers+"?limit=1&transfer_session_id="+url.QueryEscape(id), "")
			for _, name := range []string{wire.QueryPrimaryPartition, wire.QueryAncestorsOf, wire.QueryProfile} {
				if status, text := p.ask(t, "GET", wire.PathCertificates+"?"+name+"="+id, ""); status >= 500 {
					t.Errorf("%s=%s: %d %s", name, id, status, text)
				}
			}
		}
		if p.dump(t) != before {
			t.Error("something is left of it")
		}
	})
}

// Too much is refused before it is taken in, however it comes.
func TestTooMuch(t *testing.T) {
	limits := func(c *server.Config) {
		c.Limits = server.Limits{Body: 10_000, Buffers: 50_000, Records: 20, Wait: 20 * time.Second}
	}
	onEngines(t, limits, func(t *testing.T, p *peer) {
		p.push(t, first, 1000)
		before := p.dump(t)
		for _, path := range []string{wire.PathCertificateChain, wire.PathSyncSessions, wire.PathTransferSessions} {
			p.want(t, http.StatusRequestEntityTooLarge, "too large", "POST", path, `"`+strings.Repeat("x", 20_000)+`"`)
		}
		p.want(t, http.StatusRequestEntityTooLarge, "too large", "PATCH", wire.Item(wire.PathTransferSessions, first), strings.Repeat(" ", 20_000)+"{}")
		p.want(t, http.StatusRequestEntityTooLarge, "too large", "POST", wire.PathBuffers, strings.Repeat(" ", 60_000)+"[]")
		var many []wire.BufferRecord
		for i := range 21 {
			many = append(many, facility(first, root+":fac", fmt.Sprint(i)))
		}
		p.want(t, http.StatusRequestEntityTooLarge, "too large", "POST", wire.PathBuffers, body(t, many...))
		var bomb bytes.Buffer
		zip := gzip.NewWriter(&bomb)
		for range 100 {
			if _, err := zip.Write(bytes.Repeat([]byte(" "), 1<<20)); err != nil {
				t.Fatal(err)
			}
		}
		if err := zip.Close(); err != nil {
			t.Fatal(err)
		}
		p.want(t, http.StatusRequestEntityTooLarge, "too large", "POST", wire.PathBuffers, bomb.String()[:40_000], "Content-Type", wire.ContentGzip)
		p.want(t, 400, "Gzip", "POST", wire.PathBuffers, bomb.String()[:20], "Content-Type", wire.ContentGzip)
		if p.dump(t) != before {
			t.Error("something is left of it")
		}
	})
}

// A body that comes too slowly, or not whole, is told so; nothing of it is kept.
func TestSlowBody(t *testing.T) {
	onEngines(t, func(c *server.Config) { c.Limits.Read = 300 * time.Millisecond }, func(t *testing.T, p *peer) {
		before := p.dump(t)
		for name, end := range map[string]func(net.Conn) error{
			"408 ": func(net.Conn) error { return nil }, // it keeps the connection and sends nothing more
			"400 ": func(c net.Conn) error { return c.(*net.TCPConn).CloseWrite() },
		} {
			for _, path := range []string{wire.PathBuffers, wire.PathTransferSessions} {
				conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", path); err != nil {
					t.Fatal(err)
				}
				if err := end(conn); err != nil {
					t.Fatal(err)
				}
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				text := readBody(t, response)
				if !strings.HasPrefix(response.Status, name) || wire.ErrorText(text) == "" {
					t.Errorf("%s: %s %s, want %s", path, response.Status, text, name)
				}
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		if p.dump(t) != before {
			t.Error("something is left of it")
		}
	})
}
