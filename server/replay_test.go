package server_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/engine"
	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store"
	"github.com/morango-go/morango/wire"
)

// scenario is a recorded conversation, with the rows of both sides around it.
type scenario struct {
	Exchanges []exchange        `json:"exchanges"`
	Before    map[string]tables `json:"before"`
	After     map[string]tables `json:"after"`
}

type tables map[string]struct {
	Columns []string `json:"columns"`
	Rows    [][]any  `json:"rows"`
}

type exchange struct {
	Method         string            `json:"method"`
	Path           string            `json:"path"`
	Query          string            `json:"query"`
	RequestHeaders map[string]string `json:"request_headers"`
	RequestBody    []byte            `json:"request_body_b64"`
	Status         int               `json:"status"`
	ResponseHeader map[string]string `json:"response_headers"`
	ResponseBody   []byte            `json:"response_body_b64"`
}

func readScenario(t *testing.T, files map[string][]byte, name string) scenario {
	t.Helper()
	var s scenario
	decoder := json.NewDecoder(bytes.NewReader(files[name+".json"]))
	decoder.UseNumber()
	if err := decoder.Decode(&s); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// stateFor is the server's database when a scenario began. Where it was not recorded,
// it is what the last recorded scenario of the mode left.
func stateFor(t *testing.T, files map[string][]byte, name string) tables {
	t.Helper()
	if s := readScenario(t, files, name); s.Before["server"] != nil {
		if strings.Contains(name, "-pull") {
			edit(s.Before["server"], s.After["server"])
		}
		return s.Before["server"]
	}
	last := "full-certificate-push"
	if strings.HasPrefix(name, "legacy-") {
		last = "legacy-push-after-conflict"
	}
	if name == "full-sync-session" || name == "legacy-sync-session" || name == "full-csr-single-user" {
		last = strings.SplitN(name, "-", 2)[0] + "-csr"
	}
	switch name {
	case "full-close", "full-push-chunked":
		last = "full-push-after-conflict"
	case "full-push-nothing-to-do", "legacy-push-nothing-to-do":
		last = strings.TrimSuffix(name, "-nothing-to-do")
	}
	s := readScenario(t, files, last)
	state := s.Before["server"]
	for table, rows := range s.After["server"] {
		state[table] = rows
	}
	return state
}

// edit puts the application's changes between the recorded state and the first request
// into the state: what a pull left changed in the server's tables.
func edit(before, after tables) {
	for name, later := range after {
		dirty := slices.Index(later.Columns, "_morango_dirty_bit")
		id := slices.Index(later.Columns, "id")
		if dirty < 0 || name == "morango_store" {
			continue
		}
		for i, old := range before[name].Rows {
			for _, row := range later.Rows {
				if row[id] == old[id] && fmt.Sprint(row) != fmt.Sprint(old) {
					before[name].Rows[i] = slices.Clone(row)
					before[name].Rows[i][dirty] = json.Number("1")
				}
			}
		}
	}
}

// peer is one of our servers on a recorded database.
type peer struct {
	url    string
	db     *db.DB
	issued time.Time // when the nonces that clients use were given out
}

// users knows the two people of the recordings.
type users struct{}

func (users) Authenticate(_ context.Context, args map[string]string, password string) (server.User, error) {
	switch {
	case args["username"] == "bob" && password == "password":
		return permission(true), nil
	case args["username"] == "ann" && password == "pw:with:colons":
		return permission(false), nil
	}
	return nil, server.ErrCredentials
}

type permission bool

func (p permission) MayCertify(string, map[string]any) bool { return bool(p) }

func testProfile(t *testing.T) *model.Profile {
	t.Helper()
	profile, err := model.LoadFile("../testdata/testapp.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return profile
}

// newPeer serves a database that holds the recorded rows.
func newPeer(t *testing.T, state tables, change func(*server.Config)) *peer {
	t.Helper()
	p := &peer{db: dbtest.Django(t), issued: time.Now().Add(-time.Second)}
	profile := testProfile(t)
	err := p.db.Write(t.Context(), func(tx *db.Tx) error {
		if err := session.SaveScopes(t.Context(), tx, profile); err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), "PRAGMA defer_foreign_keys = ON"); err != nil {
			return err
		}
		return insert(t.Context(), tx, state)
	})
	if err != nil {
		t.Fatal(err)
	}
	e := engine.New(stage.Env{DB: p.db, Profile: profile, Machine: machineOf(state), Now: time.Now, Rand: rand.Reader})
	t.Cleanup(e.Close)
	config := server.Config{Engine: e, Users: users{}, AllowCertificatePushing: true, Limits: server.Limits{Wait: 20 * time.Second}}
	if change != nil {
		change(&config)
	}
	handler, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	p.url = web.URL
	return p
}

func insert(ctx context.Context, tx *db.Tx, state tables) error {
	for table, content := range state {
		for _, row := range content.Rows {
			params := make([]string, len(row))
			for i, value := range row {
				params[i] = fmt.Sprintf("$%d", i+1)
				if number, ok := value.(json.Number); ok {
					row[i] = number.String()
				}
			}
			columns := make([]string, len(content.Columns))
			for i, column := range content.Columns {
				columns[i] = db.Quote(column)
			}
			query := "INSERT INTO " + db.Quote(table) + " (" + strings.Join(columns, ", ") + ") VALUES (" + strings.Join(params, ", ") + ")"
			if _, err := tx.Exec(ctx, query, row...); err != nil {
				return err
			}
		}
	}
	return nil
}

// machineOf is the machine whose instance the database has.
func machineOf(state tables) store.Machine {
	row := map[string]string{}
	for i, column := range state["morango_instanceidmodel"].Columns {
		row[column] = fmt.Sprint(state["morango_instanceidmodel"].Rows[0][i])
	}
	return store.Machine{
		SystemID: row["system_id"], NodeID: row["node_id"], Platform: row["platform"],
		Hostname: row["hostname"], SysVersion: row["sysversion"], DBPath: row["db_path"],
	}
}

// replay sends a recorded request to the peer.
func (p *peer) replay(t *testing.T, e exchange) (int, http.Header, []byte) {
	t.Helper()
	where := p.url + e.Path
	if e.Query != "" {
		where += "?" + e.Query
	}
	request, err := http.NewRequestWithContext(t.Context(), e.Method, where, bytes.NewReader(e.RequestBody))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range e.RequestHeaders {
		if name != "Content-Length" && name != "Host" {
			request.Header.Set(name, value)
		}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var body io.Reader = response.Body
	if response.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(response.Body); err != nil {
			t.Fatal(err)
		}
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	p.adopt(t, e)
	return response.StatusCode, response.Header, text
}

// adopt puts the nonce that was recorded beside the one that we gave out, because the
// recorded client signs that one.
func (p *peer) adopt(t *testing.T, e exchange) {
	t.Helper()
	if e.Method != "POST" || e.Path != wire.PathNonces || e.Status != 201 {
		return
	}
	var nonce wire.Nonce
	if err := wire.Read(bytes.NewReader(e.ResponseBody), 1000, &nonce); err != nil {
		t.Fatal(err)
	}
	err := p.db.Write(t.Context(), func(tx *db.Tx) error {
		return session.CreateNonce(t.Context(), tx, session.Nonce{ID: nonce.ID, Time: p.issued, IP: nonce.IP})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// whole lists the scenarios whose every request was recorded, so that they can be
// replayed on the state of the database alone.
func whole() []string {
	return []string{
		"full-info", "full-csr", "full-csr-single-user", "full-sync-session", "full-pull", "full-push",
		"full-pull-conflict", "full-push-after-conflict", "full-certificate-push", "full-certificates-get",
		"full-odd-urls", "full-error-certificate-chain", "full-error-certificate-push-scope",
		"full-error-csr-auth", "full-error-csr-fields", "full-error-nonce-expired", "full-error-nonce-reused",
		"full-error-nonce-unknown", "full-error-session-chain-signature", "full-error-session-client-cert-not-last",
		"full-error-session-missing-fields", "full-error-session-no-body", "full-error-session-signature",
		"full-error-session-signature-not-base64", "full-error-session-unknown-server-cert",
		"full-close", "full-push-chunked", "full-push-nothing-to-do", "legacy-push-nothing-to-do", "full-error-buffer-get", "full-error-buffer-unknown-session",
		"full-error-transfer-missing-fields", "full-error-transfer-unknown-syncsession", "full-error-transfer-unknown",
		"legacy-info", "legacy-csr", "legacy-sync-session", "legacy-pull", "legacy-push",
		"legacy-pull-conflict", "legacy-push-after-conflict",
	}
}

// Every recorded request gets the recorded answer, but for what no two runs share
// (see scrub) and where we mean to differ (see expected).
func TestReplay(t *testing.T) {
	files := conformance.Files(t, "wire")
	for _, name := range slices.Concat(whole(), withoutBeginning()) {
		t.Run(name, func(t *testing.T) {
			s := readScenario(t, files, name)
			state := stateFor(t, files, name)
			if slices.Contains(withoutBeginning(), name) {
				setUp(t, state, s.Exchanges)
			}
			p := newPeer(t, state, func(c *server.Config) {
				if strings.HasPrefix(name, "legacy-") {
					c.Hide = wire.All().List()
				}
			})
			if strings.Contains(name, "nonce-expired") {
				p.issued = time.Now().Add(-2 * time.Minute)
			}
			var more int64 // records taken that the reference refused
			for i, e := range s.Exchanges {
				status, header, body := p.replay(t, e)
				if extra := unclaimed(t, state, e); extra > 0 {
					p.compareMore(t, s.Exchanges[i:], body, extra)
					return
				}
				what := fmt.Sprintf("exchange %d: %s %s?%s", i, e.Method, e.Path, e.Query)
				switch {
				case e.refusedForEver():
					more++
					if status != http.StatusCreated {
						t.Errorf("%s: rule 17: %d %s", what, status, body)
					}
				case e.leftDead():
					e.compareLiving(t, what, body, more)
				default:
					e.compare(t, what, status, header, body)
				}
			}
		})
	}
}

// differs says in which way an answer of ours must differ from the recorded one.
func (e exchange) differs() string {
	contentType := e.ResponseHeader["Content-Type"]
	switch {
	case e.Status == http.StatusInternalServerError:
		return "19: a refusal in JSON in place of a failure"
	case strings.HasPrefix(contentType, "text/html") && e.Status != http.StatusMovedPermanently:
		return "19: JSON in place of a page"
	}
	return ""
}

// compare holds an answer against the recorded one.
func (e exchange) compare(t *testing.T, what string, status int, header http.Header, body []byte) {
	t.Helper()
	if reason := e.differs(); reason != "" {
		good := status/100 == 4
		if e.Status < 500 {
			good = status == e.Status
		}
		if !good || header.Get("Content-Type") != wire.ContentJSON || status >= 400 && wire.ErrorText(body) == "" {
			t.Errorf("%s: rule %s: %d %s", what, reason, status, body)
		}
		return
	}
	if status != e.Status {
		t.Errorf("%s\nbody %.300s\n%d recorded %.400s\n%d ours     %.400s", what, e.RequestBody, e.Status, e.ResponseBody, status, body)
		return
	}
	if e.Status == http.StatusMovedPermanently {
		if header.Get("Location") != e.Path+"/" {
			t.Errorf("%s: to %q", what, header.Get("Location"))
		}
		return
	}
	for _, name := range []string{"Content-Type", "Allow", "WWW-Authenticate"} {
		if recorded := e.ResponseHeader[name]; recorded != header.Get(name) {
			t.Errorf("%s: %s is %q, recorded %q", what, name, header.Get(name), recorded)
		}
	}
	if e.Method == http.MethodOptions || len(e.ResponseBody) == 0 && len(body) == 0 {
		return
	}
	if recorded, ours := scrubbed(t, e.ResponseBody), scrubbed(t, body); recorded != ours {
		t.Errorf("%s\nrecorded %s\nours     %s", what, recorded, ours)
	}
}

// scrubbed is a JSON body without what no two runs share.
func scrubbed(t *testing.T, body []byte) string {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Errorf("%v: %.200s", err, body)
		return ""
	}
	if list, ok := value.([]any); ok && len(list) == 1 {
		if _, ok := list[0].(string); ok { // the reason of a refusal, in other words
			return "[reason]"
		}
	}
	text, err := json.MarshalIndent(scrub(value), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func scrub(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = scrub(value[i])
		}
		slices.SortStableFunc(value, func(a, b any) int { return strings.Compare(key(a), key(b)) })
		return slices.DeleteFunc(value, func(v any) bool { return v == string(wire.MoranGo) })
	case map[string]any:
		_, isNonce := value["ip"]
		salt, isCertificate := value["salt"]
		for name, inner := range value {
			text, isText := inner.(string)
			switch {
			case name == "signature" && len(text) == 344, strings.HasSuffix(name, "timestamp") && strings.HasSuffix(text, "Z"),
				isNonce && name == "id", isCertificate && salt != "" && (name == "id" || name == "salt" || name == "serialized"),
				name == "server_fsic" && text != "{}", name == "error_message":
				value[name] = "<" + name + ">"
			case name == "detail" && strings.HasPrefix(text, "JSON parse error"):
				value[name] = "JSON parse error"
			case (name == "next" || name == "previous") && isText:
				_, after, _ := strings.Cut(text, "/api/")
				value[name] = after
			case name == "last_saved_counter", name == "counter": // rule 10: ours rises less often
				value[name] = "<counter>"
			default:
				value[name] = scrub(inner)
			}
		}
	}
	return value
}

// key orders lists that are sets: records, certificates, histories, capabilities.
func key(v any) string {
	if object, ok := v.(map[string]any); ok {
		for _, name := range []string{"instance_id", "model_uuid", "public_key"} {
			if text, ok := object[name].(string); ok {
				return text
			}
		}
	}
	return fmt.Sprint(v)
}
