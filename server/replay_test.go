package server_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
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
	"github.com/morango-go/morango/internal/conformance/recorded"
	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/wire"
)

// peer is one of our servers on a recorded database.
type peer struct {
	url    string
	served http.Handler
	db     *db.DB
	state  recorded.State // what the database held at first
	issued time.Time      // when the nonces that clients use were given out
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

// newPeer serves an empty database that it fills with the recorded rows.
func newPeer(t *testing.T, d *db.DB, state recorded.State, change func(*server.Config)) *peer {
	t.Helper()
	p := &peer{db: d, state: state, issued: time.Now().Add(-time.Second)}
	profile := state.Load(t, d)
	e := engine.New(stage.Env{DB: d, Profile: profile, Machine: state.Machine(), Now: time.Now, Rand: rand.Reader})
	t.Cleanup(e.Close)
	config := server.Config{
		Engine: e, Users: users{}, AllowCertificatePushing: true, Limits: server.Limits{Wait: 20 * time.Second},
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	}
	if change != nil {
		change(&config)
	}
	handler, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	p.served = handler
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	p.url = web.URL
	return p
}

// send sends a recorded request to the peer.
func (p *peer) send(t *testing.T, e recorded.Exchange) (int, http.Header, []byte) {
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
	text := readBody(t, response)
	p.adopt(t, e)
	return response.StatusCode, response.Header, text
}

// readBody reads an answer, compressed or not.
func readBody(t *testing.T, response *http.Response) []byte {
	t.Helper()
	var body io.Reader = response.Body
	if response.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(response.Body); err != nil {
			t.Fatal(err)
		}
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// adopt puts the nonce that was recorded in place of the one that we gave out, because
// the recorded client signs that one.
func (p *peer) adopt(t *testing.T, e recorded.Exchange) {
	t.Helper()
	if e.Method != "POST" || e.Path != wire.PathNonces || e.Status != 201 {
		return
	}
	var nonce wire.Nonce
	if err := wire.Read(bytes.NewReader(e.ResponseBody), 1000, &nonce); err != nil {
		t.Fatal(err)
	}
	err := p.db.Write(t.Context(), func(tx *db.Tx) error {
		if _, err := tx.Exec(t.Context(), "DELETE FROM morango_nonce"); err != nil {
			return err
		}
		return session.CreateNonce(t.Context(), tx, session.Nonce{ID: nonce.ID, Time: p.issued, IP: nonce.IP})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every recorded request gets the recorded answer, and leaves the recorded rows, but
// for what no two runs share and where we mean to differ: on every layout of every
// engine.
func TestConformanceWire(t *testing.T) {
	library := recorded.Open(t)
	names := library.Names()
	if len(names) < 66 {
		t.Errorf("%d scenarios where 66 were recorded", len(names))
	}
	for where, open := range map[string]func(testing.TB) *db.DB{
		"sqlite, lean": dbtest.New, "sqlite, Django's": dbtest.Django,
		"postgres, lean": dbtest.Postgres, "postgres, Django's": dbtest.PostgresDjango,
	} {
		t.Run(where, func(t *testing.T) {
			conformance.Named(t, "wire", "server on "+where, names, func(t *conformance.T, name string) {
				t.Parallel()
				newReplay(t, library.Read(t, name), open(t)).run()
			})
		})
	}
}

// replay is one scenario on its way.
type replay struct {
	*conformance.T
	recorded.Scenario
	peer *peer

	taken   map[string]int64 // records beyond the recorded ones, by transfer session (rules 17 to 19)
	bad     map[string]bool  // transfer sessions to which a bad chunk was sent
	seen    map[string]bool  // records that were sent, by session and id
	extra   int64            // records of a pull that only we send (rule 22)
	total   int64            // that the reference sent of them
	stamped map[int64]int64  // counters of the server's own instance, the reference's and ours
	sent    map[string]any   // records that the reference's server sent, by id
	pulled  map[string]bool  // those that ours did
}

func newReplay(t *conformance.T, s recorded.Scenario, d *db.DB) *replay {
	t.Helper()
	r := &replay{
		T: t, Scenario: s, taken: map[string]int64{}, bad: map[string]bool{}, seen: map[string]bool{},
		stamped: map[int64]int64{}, pulled: map[string]bool{},
	}
	state := s.Start(t, "server")
	r.setUp(state)
	r.peer = newPeer(t.T, d, state, func(c *server.Config) {
		if s.Legacy() {
			c.Hide = wire.All().List()
		}
	})
	if strings.Contains(s.Name, "nonce-expired") {
		r.peer.issued = time.Now().Add(-2 * time.Minute)
	}
	return r
}

// run replays the exchanges, and compares the rows afterwards where they were recorded.
func (r *replay) run() {
	r.Helper()
	for i, e := range r.Exchanges {
		r.countExtra(e)
		e = r.adjusted(e)
		status, header, body := r.peer.send(r.T.T, e)
		what := fmt.Sprintf("exchange %d: %s %s?%s", i, e.Method, e.Path, e.Query)
		if !r.deviation(what, e, status, header, body) {
			r.compare(what, e, status, header, body)
		}
		r.note(e)
	}
	if strings.Contains(r.Name, "-pull") {
		r.Equal("records that were pulled", int64(len(r.pulled)), r.total+r.extra)
	}
	if r.Before["server"] != nil {
		r.compareTables()
	}
}

// compare holds an answer against the recorded one.
func (r *replay) compare(what string, e recorded.Exchange, status int, header http.Header, body []byte) {
	r.Helper()
	if status != e.Status {
		r.True(false, "%s\nbody %.300s\n%d recorded %.400s\n%d ours     %.400s", what, e.RequestBody, e.Status, e.ResponseBody, status, body)
		return
	}
	if e.Status == http.StatusMovedPermanently {
		r.Equal(what+": Location", header.Get("Location"), e.Path+"/")
		return
	}
	for _, name := range []string{"Content-Type", "Allow", "WWW-Authenticate"} {
		r.Equal(what+": "+name, header.Get(name), e.ResponseHeader[name])
	}
	if e.Method == http.MethodOptions || len(e.ResponseBody) == 0 && len(body) == 0 {
		return
	}
	r.sameValue(what, decoded(r.T, e.ResponseBody), decoded(r.T, body))
}

// decoded is a JSON body with numbers as their digits.
func decoded(t *conformance.T, body []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Errorf("%v: %.200s", err, body)
	}
	return value
}

// setUp adds the sync sessions and transfer sessions with which a scenario begins that
// does not open them itself.
func (r *replay) setUp(state recorded.State) {
	r.Helper()
	if r.Before["server"] != nil {
		return
	}
	for _, e := range r.Exchanges {
		if row, ok := e.Transfer(); ok && strings.HasPrefix(row.ServerFSIC, `{"s`) {
			state.Claim(r.T, row.ServerFSIC) // as it was once it had claimed that
			break
		}
	}
	for _, b := range r.beginnings() {
		b.add(state)
	}
}

// recordsIn reads the records of a recorded chunk, as far as they can be read.
func recordsIn(e recorded.Exchange) []map[string]any {
	text := e.RequestBody
	if unzip, err := gzip.NewReader(bytes.NewReader(text)); err == nil {
		if text, err = io.ReadAll(unzip); err != nil {
			return nil
		}
	}
	var list []map[string]any
	if json.Unmarshal(text, &list) == nil {
		return list
	}
	var one map[string]any
	if json.Unmarshal(text, &one) != nil || one["model_uuid"] == nil {
		return nil
	}
	return []map[string]any{one}
}

// isChunk reports whether the exchange is a POST of records.
func isChunk(e recorded.Exchange) bool {
	return e.Method == http.MethodPost && e.Path == wire.PathBuffers && len(recordsIn(e)) > 0
}

// sessionOf is the transfer session that an exchange is about; "" for none.
func sessionOf(e recorded.Exchange) string {
	if isChunk(e) {
		id, _ := recordsIn(e)[0]["transfer_session"].(string)
		return id
	}
	for part := range strings.SplitSeq(e.Query, "&") {
		if id, ok := strings.CutPrefix(part, wire.QueryTransferSession+"="); ok {
			return id
		}
	}
	if rest, ok := strings.CutPrefix(e.Path, wire.PathTransferSessions); ok {
		return strings.Trim(rest, "/")
	}
	return ""
}

// opens reports whether the scenario itself opens the transfer session.
func (r *replay) opens(id string) bool {
	return slices.ContainsFunc(r.Exchanges, func(e recorded.Exchange) bool {
		row, ok := e.Transfer()
		return e.Method == http.MethodPost && ok && row.ID == id && strings.Contains(string(e.RequestBody), id)
	})
}
