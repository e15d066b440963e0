package hostile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/server"
)

// The tables of the hub: rooms and cards that all may read, and notes that belong to a
// user. A card's id is its source id; each world has one, under the world's own id.
type card struct {
	model.Row `morango:"card; source=random; id=source; partition=${id}:all"`
	Title     string `morango:"title"`
}

type room struct {
	model.Row `morango:"room; source=random; partition=${world}:all"`
	World     string  `morango:"world; type=uuid"`
	Parent    *string `morango:"parent_id; references=room"`
	Name      string  `morango:"name; length=50"`
}

type note struct {
	model.Row `morango:"note; source=random; partition=${world}:user:${owner}"`
	World     string `morango:"world; type=uuid"`
	Owner     string `morango:"owner"`
	Text      string `morango:"text"`
}

// The users of the hub. The attacker is anna; the names of the others begin as hers or
// are the beginning of hers.
const (
	attackerName = "anna"
	password     = "correct horse"
)

// secret stands in everything that the attacker must not read.
const secret = "S3CRET"

// hub is the server that is attacked.
type hub struct {
	*morango.Node
	t     *testing.T
	app   *sql.DB
	url   string
	world string
	serve *httptest.Server
}

// users lets everybody in who knows the password, for a certificate of their own scope.
type users struct{}

type user string

func (users) Authenticate(_ context.Context, args map[string]string, given string) (server.User, error) {
	if given != password {
		return nil, server.ErrCredentials
	}
	return user(args["username"]), nil
}

// MayCertify allows the user's own scope only.
func (u user) MayCertify(scope string, params map[string]any) bool {
	return scope == "user" && params["user"] == string(u)
}

func profile(t testing.TB) *morango.Profile {
	t.Helper()
	p, err := model.FromStructs("things", []model.ScopeDefinition{
		{ID: "world", Version: 1, PrimaryScopeParam: "world", ReadWriteTemplate: "${world}"},
		{ID: "user", Version: 1, ReadTemplate: "${world}:all", ReadWriteTemplate: "${world}:user:${user}"},
	}, card{}, room{}, note{})
	must(t, err)
	return p
}

// onEngines runs f with a hub of its own on each database.
func onEngines(t *testing.T, limits server.Limits, quota server.Quota, f func(t *testing.T, h *hub)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, newHub(t, filepath.Join(t.TempDir(), "hub.db"), limits, quota))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, newHub(t, dbtest.PostgresEmptyURL(t), limits, quota))
	})
}

// newHub makes a hub with rows of several users, and serves it.
func newHub(t *testing.T, database string, limits server.Limits, quota server.Quota) *hub {
	t.Helper()
	h := &hub{t: t}
	var err error
	h.Node, err = morango.Open(t.Context(), database, profile(t), morango.Config{Create: true, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { must(t, h.Close()) })
	if strings.HasPrefix(database, "postgres") {
		h.app, err = sql.Open("pgx", database)
	} else {
		h.app, err = sql.Open("sqlite", database+"?_pragma=busy_timeout(10000)")
	}
	must(t, err)
	t.Cleanup(func() { must(t, h.app.Close()) })
	root, err := h.CreateRoot(t.Context(), "world", nil)
	must(t, err)
	h.world = root.ID
	other, err := h.CreateRoot(t.Context(), "world", nil)
	must(t, err)
	h.do(`INSERT INTO card (id, _morango_source_id, _morango_partition, title) VALUES ($1, $2, $3, 'of the world')`, h.world, h.world, h.world+":all")
	h.addRoom(h.world, "open to all")
	for _, owner := range []string{"bob", "ann", "an", attackerName, "zoe"} {
		text := "own " + owner
		if owner != attackerName {
			text = secret + " of " + owner
		}
		h.addNote(h.world, owner, text)
	}
	h.addRoom(other.ID, secret+" of the other world")
	h.addNote(other.ID, attackerName, secret+" of the other world")
	_, err = h.Serialize(t.Context(), morango.Filter{})
	must(t, err)
	handler, err := h.Handler(morango.ServerOptions{Users: users{}, Limits: limits, Quota: quota, AllowCertificatePushing: true,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Logger:         slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))})
	must(t, err)
	h.serve = httptest.NewServer(handler)
	t.Cleanup(h.serve.Close)
	h.url = h.serve.URL
	return h
}

func (h *hub) do(query string, args ...any) {
	h.t.Helper()
	_, err := h.app.ExecContext(context.Background(), query, args...)
	must(h.t, err)
}

func (h *hub) recordID(name string, columns map[string]string) morango.RecordID {
	h.t.Helper()
	m, _ := h.Profile().Model(name)
	id, err := morango.NewRecordID(m, columns)
	must(h.t, err)
	return id
}

func (h *hub) addRoom(world, name string) {
	h.t.Helper()
	id := h.recordID("room", map[string]string{"world": world})
	h.do(`INSERT INTO room (id, _morango_source_id, _morango_partition, world, name) VALUES ($1, $2, $3, $4, $5)`, id.ID, id.SourceID, id.Partition, world, name)
}

func (h *hub) addNote(world, owner, text string) {
	h.t.Helper()
	id := h.recordID("note", map[string]string{"world": world, "owner": owner})
	h.do(`INSERT INTO note (id, _morango_source_id, _morango_partition, world, owner, text) VALUES ($1, $2, $3, $4, $5, $6)`,
		id.ID, id.SourceID, id.Partition, world, owner, text)
}

// number reads one number of the hub's database.
func (h *hub) number(query string, args ...any) (n int64) {
	h.t.Helper()
	must(h.t, h.app.QueryRowContext(context.Background(), query, args...).Scan(&n))
	return n
}

// outside is everything in the database that the attacker must not change, as text:
// the rest of what is under its own prefix, and of its own sessions, is its own business.
func (h *hub) outside(attacker string) string {
	h.t.Helper()
	own := h.world + ":user:" + attackerName
	var all strings.Builder
	for _, query := range []string{
		`SELECT * FROM morango_store WHERE substr(partition, 1, length($1)) <> $1 ORDER BY id`,
		`SELECT * FROM note WHERE substr(_morango_partition, 1, length($1)) <> $1 ORDER BY id`,
		`SELECT * FROM room WHERE $1 = $1 ORDER BY id`,
		`SELECT * FROM card WHERE $1 = $1 ORDER BY id`,
		`SELECT r.* FROM morango_recordmaxcounter r JOIN morango_store s ON s.id = r.store_model_id WHERE substr(s.partition, 1, length($1)) <> $1 ORDER BY 1, 2, 3`,
		`SELECT * FROM morango_databasemaxcounter WHERE substr(partition, 1, length($1)) <> $1 ORDER BY 1, 2, 3`,
		`SELECT * FROM morango_databaseidmodel WHERE $1 = $1 ORDER BY 1`,
		`SELECT * FROM morango_instanceidmodel WHERE $1 = $1 ORDER BY 1`,
		`SELECT id, private_key, serialized FROM morango_certificate WHERE $1 = $1 AND private_key <> '' ORDER BY 1`,
		`SELECT * FROM morango_scopedefinition WHERE $1 = $1 ORDER BY 1`,
	} {
		all.WriteString(h.rows(query, own))
	}
	all.WriteString(h.rows(`SELECT id, active, extra_fields FROM morango_syncsession WHERE client_certificate_id <> $1 ORDER BY 1`, attacker))
	all.WriteString(h.rows(`SELECT t.id, t.active, t.records_transferred, t.transfer_stage, t.client_fsic FROM morango_transfersession t
		JOIN morango_syncsession s ON s.id = t.sync_session_id WHERE s.client_certificate_id <> $1 ORDER BY 1`, attacker))
	all.WriteString(h.rows(`SELECT b.model_uuid, b.serialized FROM morango_buffer b JOIN morango_transfersession t ON t.id = b.transfer_session_id
		JOIN morango_syncsession s ON s.id = t.sync_session_id WHERE s.client_certificate_id <> $1 ORDER BY 1`, attacker))
	return all.String()
}

// rows is the result of a query as text.
func (h *hub) rows(query string, args ...any) string {
	h.t.Helper()
	rows, err := h.app.QueryContext(context.Background(), query, args...)
	must(h.t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	must(h.t, err)
	var all strings.Builder
	fmt.Fprintln(&all, query)
	for rows.Next() {
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		must(h.t, rows.Scan(into...))
		fmt.Fprintf(&all, "%s\n", values)
	}
	must(h.t, rows.Err())
	return all.String()
}

// honest has another peer ask the hub, which must answer in good time.
func (h *hub) honest(t *testing.T, o *outsider) {
	t.Helper()
	start := time.Now()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/api/morango/v1/morangoinfo/1/", nil)
	must(t, err)
	request.Header.Set("X-Forwarded-For", "10.0.0.7") // it has an address of its own
	answer, err := o.http.Do(request)
	must(t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	must(t, errors.Join(err, answer.Body.Close()))
	if took := time.Since(start); answer.StatusCode != 200 || took > 5*time.Second {
		t.Errorf("an honest peer got %d after %v", answer.StatusCode, took)
	}
}

// join gets a certificate from the hub in the name of a user, with a node of its own.
func (h *hub) join(t *testing.T, name string) (*morango.Node, []*cert.Certificate) {
	t.Helper()
	node, err := morango.Open(t.Context(), filepath.Join(t.TempDir(), name+".db"), profile(t), morango.Config{Create: true, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { must(t, node.Close()) })
	own, err := node.Join(t.Context(), h.url, morango.JoinOptions{
		User: name, Password: password, ScopeDefinition: "user", Params: map[string]string{"user": name}, Parent: h.world,
	})
	must(t, err)
	chain, err := node.CertificateChain(t.Context(), own.ID)
	must(t, err)
	return node, chain
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
