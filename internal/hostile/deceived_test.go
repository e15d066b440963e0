package hostile

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/wire"
)

// deceived has a client sync with a hub that lies, looks at what that left, and syncs
// with the honest hub.
func deceived(t *testing.T, h *hub, joined, name string, change func(*http.Request, int, []byte) (int, []byte)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "client.db")
	database, err := os.ReadFile(joined)
	must(t, err)
	must(t, os.WriteFile(file, database, 0o600))
	node := h.client(t, file)
	t.Cleanup(func() { must(t, node.Close()) })
	// The protocol of the reference, which every server may speak.
	handler, err := h.Handler(morango.ServerOptions{Users: users{}, Hide: []wire.Capability{wire.MoranGo, wire.Stream1, wire.PartitionDigests}, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	between := &liar{hub: handler, change: change, repeats: name == repeating}
	lying := httptest.NewServer(between)
	t.Cleanup(lying.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err = node.Sync(ctx, lying.URL, morango.SyncOptions{ChunkSize: 1, Retries: -1})
	if errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		t.Errorf("the sync did not end after %d requests", between.asked)
	}
	if err != nil && (len(err.Error()) > 20_000 || strings.ContainsAny(err.Error(), "\x1b\x00\a")) {
		t.Errorf("the error cannot be shown: %.300q", err)
	}
	own, err := sql.Open("sqlite", file+"?_pragma=busy_timeout(10000)")
	must(t, err)
	t.Cleanup(func() { must(t, own.Close()) })
	clean(t, h, own)
	s, err := node.Sync(t.Context(), h.url, morango.SyncOptions{Fresh: true})
	must(t, err)
	if !s.Pull.Done || !s.Push.Done {
		t.Errorf("after %s an honest sync is not done: %+v", name, s)
	}
	clean(t, h, own)
	var texts int
	must(t, own.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM note WHERE owner = 'zoe'`).Scan(&texts))
	if texts != 1 {
		t.Errorf("the client has %d of its 1 notes in the end", texts)
	}
}

// clean looks for what must not be with zoe's client: rows of others, claims beyond its
// scope or of the forged instance.
func clean(t *testing.T, h *hub, own *sql.DB) {
	t.Helper()
	scope := `substr(partition, 1, length($1)) <> $1 AND substr(partition, 1, length($2)) <> $2`
	for _, table := range []string{"morango_store", "morango_buffer", "morango_databasemaxcounter"} {
		var n int
		must(t, own.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM `+table+` WHERE `+scope, h.world+":user:zoe", h.world+":all").Scan(&n))
		if n != 0 {
			t.Errorf("%d rows of %s lie outside the scope", n, table)
		}
	}
	for _, query := range []string{
		`SELECT COUNT(*) FROM note WHERE owner <> 'zoe'`, `SELECT COUNT(*) FROM morango_databasemaxcounter WHERE counter > 1000`,
		`SELECT COUNT(*) FROM morango_certificate WHERE private_key <> '' AND scope_definition_id <> 'user'`,
	} {
		var n int
		must(t, own.QueryRowContext(t.Context(), query).Scan(&n))
		if n != 0 {
			t.Errorf("%d found by %s", n, query)
		}
	}
}
