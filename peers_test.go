package morango_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/wire"
)

// Folder and Item are what the peers of the tests sync: a tree, and things in it, of
// which some are private to a user.
type Folder struct {
	model.Row `morango:"folder; source=random; partition=${world}:all"`
	World     string  `morango:"world; type=uuid"`
	Parent    *string `morango:"parent_id; references=folder"`
	Name      string  `morango:"name; length=50"`
}

type Item struct {
	model.Row `morango:"item; source=random; partition=${world}:user:${owner}; partition-when-null=owner:${world}:all"`
	World     string  `morango:"world; type=uuid"`
	Folder    string  `morango:"folder_id; references=folder"`
	Owner     *string `morango:"owner"`
	Text      string  `morango:"text"`
}

func testProfile(t *testing.T) *morango.Profile {
	t.Helper()
	p, err := model.FromStructs("things", []model.ScopeDefinition{
		{ID: "world", Version: 1, PrimaryScopeParam: "world", ReadWriteTemplate: "${world}"},
		{ID: "user", Version: 1, ReadTemplate: "${world}:all", ReadWriteTemplate: "${world}:user:${user}"},
	}, Folder{}, Item{})
	must(t, err)
	return p
}

// peer is one node with its application.
type peer struct {
	*morango.Node
	t       *testing.T
	app     *sql.DB
	profile *morango.Profile
	world   string
}

// newPeer opens a node on a new database; options change its profile and configuration.
func newPeer(t *testing.T, name string, options ...func(*morango.Profile, *morango.Config)) *peer {
	t.Helper()
	file := filepath.Join(t.TempDir(), name+".db")
	p := &peer{t: t, profile: testProfile(t)}
	config := morango.Config{Create: true, Logger: slog.New(slog.DiscardHandler)}
	for _, change := range options {
		change(p.profile, &config)
	}
	var err error
	p.Node, err = morango.Open(t.Context(), file, p.profile, config)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	p.app, err = sql.Open("sqlite", file+"?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)")
	must(t, err)
	t.Cleanup(func() { must(t, p.app.Close()) })
	return p
}

// serve serves the peer without the given capabilities.
func (p *peer) serve(hide ...wire.Capability) (url string) {
	p.t.Helper()
	handler, err := p.Handler(morango.ServerOptions{Users: anyone{}, Hide: hide})
	must(p.t, err)
	srv := httptest.NewServer(handler)
	p.t.Cleanup(srv.Close)
	return srv.URL
}

// join gets a certificate from the peer at url.
func (p *peer) join(url, scope string, params map[string]string, world string) {
	p.t.Helper()
	_, err := p.Join(p.t.Context(), url, morango.JoinOptions{User: "teacher", Password: "secret", ScopeDefinition: scope, Params: params})
	must(p.t, err)
	p.world = world
}

// do runs the application's own SQL.
func (p *peer) do(query string, args ...any) {
	p.t.Helper()
	_, err := p.app.ExecContext(p.t.Context(), query, args...)
	must(p.t, err)
}

// folder adds a folder and returns its id.
func (p *peer) folder(name string, parent any) string {
	p.t.Helper()
	id := p.id("folder", map[string]string{"world": p.world})
	p.do(`INSERT INTO folder (id, _morango_source_id, _morango_partition, world, parent_id, name) VALUES (?, ?, ?, ?, ?, ?)`,
		id.ID, id.SourceID, id.Partition, p.world, parent, name)
	return id.ID
}

// item adds an item, private to owner unless that is "", and returns its id.
func (p *peer) item(text, folder, owner string) string {
	p.t.Helper()
	columns := map[string]string{"world": p.world}
	var of any
	if owner != "" {
		columns["owner"], of = owner, owner
	}
	id := p.id("item", columns)
	p.do(`INSERT INTO item (id, _morango_source_id, _morango_partition, world, folder_id, owner, text) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		id.ID, id.SourceID, id.Partition, p.world, folder, of, text)
	return id.ID
}

func (p *peer) id(name string, columns map[string]string) morango.RecordID {
	p.t.Helper()
	m, ok := p.profile.Model(name)
	if !ok {
		p.t.Fatalf("no model %s", name)
	}
	id, err := morango.NewRecordID(m, columns)
	must(p.t, err)
	return id
}

// sync syncs both ways and fails the test when anything is not done.
func (p *peer) sync(url string) morango.Summary {
	p.t.Helper()
	s, err := p.Sync(p.t.Context(), url, morango.SyncOptions{ChunkSize: 7})
	must(p.t, err)
	if !s.Pull.Done || !s.Push.Done {
		p.t.Fatalf("not done: %+v", s)
	}
	return s
}

// texts returns the names and texts of all rows, in order.
func (p *peer) texts() (all []string) {
	p.t.Helper()
	rows, err := p.app.QueryContext(p.t.Context(), `SELECT name FROM folder UNION ALL SELECT text FROM item ORDER BY 1`)
	must(p.t, err)
	defer rows.Close()
	for rows.Next() {
		var text string
		must(p.t, rows.Scan(&text))
		all = append(all, text)
	}
	must(p.t, rows.Err())
	return all
}

// same fails the test unless both peers hold equal rows, which must be these.
func same(t *testing.T, a, b *peer, want ...string) {
	t.Helper()
	for _, p := range []*peer{a, b} {
		if got := p.texts(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("a peer has %q instead of %q", got, want)
		}
	}
	one, err := a.Digest(t.Context())
	must(t, err)
	other, err := b.Digest(t.Context())
	must(t, err)
	if one != other {
		t.Errorf("digests differ: %s and %s", one, other)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// counters returns what a sync with nothing to do must leave as it is.
func (p *peer) written(ctx context.Context) string {
	p.t.Helper()
	var text string
	must(p.t, p.app.QueryRowContext(ctx, `SELECT
		(SELECT group_concat(id || last_saved_instance || last_saved_counter) FROM (SELECT * FROM morango_store ORDER BY id)) || '/' ||
		(SELECT group_concat(instance_id || partition || counter) FROM (SELECT * FROM morango_databasemaxcounter ORDER BY instance_id, partition)) || '/' ||
		(SELECT COUNT(*) FROM morango_recordmaxcounter) || '/' || (SELECT SUM(counter) FROM morango_instanceidmodel) || '/' ||
		(SELECT COUNT(*) FROM morango_buffer) || '/' || (SELECT COUNT(*) FROM morango_recordmaxcounterbuffer)`).Scan(&text))
	return text
}

var _ server.Authenticator = anyone{}
