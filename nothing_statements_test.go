package morango_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/db/dbtest"
)

// A sync with nothing to do, pull and push, has PostgreSQL run no more statements than this for both
// peers, the beginnings and ends of transactions among them: each is a round trip, and takes more of
// our own time than of the server's.
const mostStatements = 258

// TestNothingToDoAsksLittle counts the statements of a sync with nothing to do between two peers on
// PostgreSQL.
func TestNothingToDoAsksLittle(t *testing.T) {
	server := dbtest.NewServer(t, "shared_preload_libraries=pg_stat_statements")
	open := func() *peer {
		p := &peer{t: t, profile: testProfile(t)}
		var err error
		p.Node, err = morango.Open(t.Context(), server.URL(""), p.profile, morango.Config{Create: true, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		t.Cleanup(func() { must(t, p.Close()) })
		return p
	}
	hub, tablet, other := open(), open(), newPeer(t, "other")
	root, err := hub.CreateRoot(t.Context(), "world", nil)
	must(t, err)
	url := hub.serve()
	other.join(url, "world", nil, root.ID)
	top := other.folder("top", nil)
	other.do(`BEGIN`)
	for i := range 300 {
		other.item(fmt.Sprintf("item %d", i), top, fmt.Sprintf("owner%d", i))
	}
	other.do(`COMMIT`)
	other.sync(url)
	tablet.join(url, "world", nil, root.ID)
	for range 3 {
		tablet.sync(url)
	}
	admin, err := sql.Open("pgx", server.URL(""))
	must(t, err)
	defer admin.Close()
	must(t, admin.PingContext(t.Context()))
	for _, statement := range []string{`CREATE EXTENSION pg_stat_statements`, `SELECT pg_stat_statements_reset()`} {
		_, err := admin.ExecContext(t.Context(), statement)
		must(t, err)
	}
	if s := tablet.sync(url); s.Pull.Records+s.Push.Records != 0 || s.Compared == nil || s.Compared.Questions != 1 {
		t.Fatalf("there was something to do: %+v, %+v", s, s.Compared)
	}
	var n int
	must(t, admin.QueryRowContext(t.Context(), `SELECT SUM(calls) FROM pg_stat_statements
		WHERE dbid <> (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n))
	if n < 20 || n > mostStatements {
		t.Errorf("both peers ran %d statements, not up to %d", n, mostStatements)
	}
}
