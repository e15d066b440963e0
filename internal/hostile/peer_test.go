package hostile

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/wire"
)

// liar stands between a client and an honest hub, and changes what the hub answers.
type liar struct {
	hub    http.Handler
	change func(r *http.Request, status int, body []byte) (int, []byte)
	asked  int
	// It gives the first page whichever is asked for.
	repeats bool
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.asked++
	if l.repeats {
		query := r.URL.Query()
		query.Del(wire.QueryOffset)
		r.URL.RawQuery = query.Encode()
	}
	r.Header.Del("Accept-Encoding")
	answer := httptest.NewRecorder()
	l.hub.ServeHTTP(answer, r)
	status, body := l.change(r, answer.Code, answer.Body.Bytes())
	if location := answer.Header().Get("Location"); location != "" {
		w.Header().Set("Location", location)
	}
	if status/100 == 3 {
		w.Header().Set("Location", "http://elsewhere.invalid/")
	}
	w.Header().Set("Content-Type", wire.ContentJSON)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// on changes the JSON objects that answer requests for a path.
func on(path string, change func(fields map[string]any)) func(*http.Request, int, []byte) (int, []byte) {
	return func(r *http.Request, status int, body []byte) (int, []byte) {
		fields := map[string]any{}
		if !strings.HasPrefix(r.URL.Path, path) || json.Unmarshal(body, &fields) != nil {
			return status, body
		}
		change(fields)
		changed, err := json.Marshal(fields)
		if err != nil {
			return http.StatusInternalServerError, nil
		}
		return status, changed
	}
}

// results changes each record of a page.
func results(change func(r map[string]any)) func(*http.Request, int, []byte) (int, []byte) {
	return on(wire.PathBuffers, func(fields map[string]any) {
		list, _ := fields["results"].([]any)
		for _, one := range list {
			if r, ok := one.(map[string]any); ok {
				change(r)
			}
		}
	})
}

// lies are what a server may answer in place of the truth.
func lies() map[string]func(*http.Request, int, []byte) (int, []byte) {
	same := func(_ *http.Request, status int, body []byte) (int, []byte) { return status, body }
	return map[string]func(*http.Request, int, []byte) (int, []byte){
		repeating: on(wire.PathTransferSessions, func(f map[string]any) {
			if f["records_total"] != nil {
				f["records_total"] = 300
			}
		}),
		"a total of two thousand million": on(wire.PathTransferSessions, func(f map[string]any) { f["records_total"] = 1<<31 - 1 }),
		"a total beyond numbers":          on(wire.PathTransferSessions, func(f map[string]any) { f["records_total"] = json.Number("9223372036854775807") }),
		"a total below zero":              on(wire.PathTransferSessions, func(f map[string]any) { f["records_total"] = -5 }),
		"no total":                        on(wire.PathTransferSessions, func(f map[string]any) { f["records_total"] = nil }),
		"another transfer session":        on(wire.PathTransferSessions, func(f map[string]any) { f["id"] = strings.Repeat("a", 32) }),
		"a wider filter":                  on(wire.PathTransferSessions, func(f map[string]any) { f["filter"] = "" }),
		"a forged claim": on(wire.PathTransferSessions, func(f map[string]any) {
			f["server_fsic"] = `{"super": {}, "sub": {"": {"` + strings.Repeat("a", 32) + `": 2147483647}}}`
		}),
		"a claim that is none":   on(wire.PathTransferSessions, func(f map[string]any) { f["server_fsic"] = `[]` }),
		"an unknown stage":       on(wire.PathTransferSessions, func(f map[string]any) { f["transfer_stage"] = "\x1b[2J" }),
		"a stage that failed":    on(wire.PathTransferSessions, func(f map[string]any) { f["transfer_stage_status"] = "errored" }),
		"records of bob":         results(func(r map[string]any) { r["partition"] = "bob" }),
		"records of all":         results(func(r map[string]any) { r["partition"] = "" }),
		"records of other ids":   results(func(r map[string]any) { r["model_uuid"] = strings.Repeat("b", 32) }),
		"records of no session":  results(func(r map[string]any) { r["transfer_session"] = strings.Repeat("b", 32) }),
		"records of counters":    results(func(r map[string]any) { r["last_saved_counter"] = 1 << 40 }),
		"records without their":  results(func(r map[string]any) { delete(r, "rmcb_list") }),
		"records with NUL":       results(func(r map[string]any) { r["serialized"] = "\x00" }),
		"no signature":           on(wire.PathSyncSessions, func(f map[string]any) { f["signature"] = "" }),
		"another's signature":    on(wire.PathSyncSessions, func(f map[string]any) { f["signature"] = strings.Repeat("A", 344) }),
		"a nonce that is SQL":    on(wire.PathNonces, func(f map[string]any) { f["id"] = "' OR 1=1 --" }),
		"no instance":            on(wire.PathInfo, func(f map[string]any) { f["instance_id"] = "" }),
		"an instance of escapes": on(wire.PathInfo, func(f map[string]any) { f["instance_id"] = "\x1b]0;x\a" }),
		"unknown capabilities":   on(wire.PathInfo, func(f map[string]any) { f["capabilities"] = []string{"X", "ASYNC_OPERATIONS\n"} }),
		"redirects":              func(*http.Request, int, []byte) (int, []byte) { return http.StatusTemporaryRedirect, nil },
		"a huge error": func(*http.Request, int, []byte) (int, []byte) {
			return http.StatusBadRequest, []byte(`{"detail": "` + strings.Repeat("\x1b[31m", 1<<20) + `"}`)
		},
		"a huge answer": func(_ *http.Request, status int, _ []byte) (int, []byte) {
			return status, []byte(`{"id": "` + strings.Repeat("x", 80<<20) + `"}`)
		},
		"deep answers": func(_ *http.Request, status int, _ []byte) (int, []byte) {
			return status, []byte(strings.Repeat("[", 1<<20))
		},
		"empty answers":  func(_ *http.Request, status int, _ []byte) (int, []byte) { return status, nil },
		"success always": func(_ *http.Request, _ int, body []byte) (int, []byte) { return http.StatusOK, body },
		"lists instead":  func(_ *http.Request, status int, _ []byte) (int, []byte) { return status, []byte(`[]`) },
		"the truth":      same,
	}
}

// A server that nobody should trust: whatever it answers, the client's sync ends, and the
// client holds nothing that lies outside its scope, claims nothing that it does not have,
// and still syncs with the honest hub afterwards.
func TestServers(t *testing.T) {
	h := newHub(t, filepath.Join(t.TempDir(), "hub.db"), server.Limits{}, server.Quota{})
	joined := filepath.Join(t.TempDir(), "joined.db")
	node := h.client(t, joined)
	_, err := node.Join(t.Context(), h.url, morango.JoinOptions{User: "zoe", Password: password, ScopeDefinition: "user", Params: map[string]string{"user": "zoe"}, Parent: h.world})
	must(t, err)
	must(t, node.Close())
	for name, change := range lies() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			deceived(t, h, joined, name, change)
		})
	}
}

// repeating is the lie of pages that come again and again.
const repeating = "pages that repeat themselves"

// client opens the node of a client. It does not wait.
func (h *hub) client(t *testing.T, file string) *morango.Node {
	t.Helper()
	node, err := morango.Open(t.Context(), file, profile(t), morango.Config{Create: true, Logger: slog.New(slog.DiscardHandler),
		Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	must(t, err)
	return node
}
