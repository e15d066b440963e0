package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/wire"
)

// TestKilledAnywhere kills the client or the server with SIGKILL at every request of a
// sync, when the request has arrived and when it has been answered, starts the victim
// again, and syncs once more: both sides must then be equal, with nothing lost and
// nothing twice.
func TestKilledAnywhere(t *testing.T) {
	program := build(t)
	prepared := prepareSchool(t)
	requests := cleanRun(t, program, prepared)
	t.Logf("a sync takes %d requests", len(requests))
	for i, request := range requests {
		for _, victim := range []string{"client", "server"} {
			for _, moment := range []string{"arrived", "answered"} {
				name := fmt.Sprintf("%02d %s/%s %s", i+1, strings.ReplaceAll(request, "/", "."), victim, moment)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					c := newCrash(t, program, prepared)
					c.killAt(i, victim, moment)
					c.sync(t) // interrupted, or gone on with after the server came back
					c.at.Store(-1)
					c.restart(t)
					if code := c.sync(t); code != exitDone {
						t.Fatalf("the sync after the restart ended with %d:\n%s", code, c.said.String())
					}
					c.equal(t)
				})
			}
		}
	}
}

// build makes the program that is to be killed.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "morango")
	out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// prepareSchool makes a hub with rows and a tablet that has joined it and has rows of
// its own, and returns their folder.
func prepareSchool(t *testing.T) string {
	t.Helper()
	ctx := t.Context()
	folder := t.TempDir()
	d := &demo{folder: folder, console: console{out: new(bytes.Buffer), err: new(bytes.Buffer)}}
	var err error
	d.profile, err = model.Load("demo.yaml", bytes.NewReader(demoProfile))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(folder, "profile.yaml"), demoProfile, 0o600))
	must(t, d.open(ctx, 150))
	must(t, d.join(ctx, 0))
	must(t, d.tablet.app.fill(ctx, "Class of the tablet", 60))
	must(t, d.close())
	return folder
}

// crash is one run: a hub's process behind a proxy that kills, and a tablet's.
type crash struct {
	program, folder string
	proxy           *httptest.Server
	backend         atomic.Pointer[url.URL]
	seen            atomic.Int64
	at              atomic.Int64 // number of the request to kill at; -1 never
	victim, moment  string
	server, client  atomic.Pointer[exec.Cmd]
	asked           sync.Mutex
	requests        []string // of a run without a crash
	said            bytes.Buffer
	buffers         atomic.Bool // the peers are not to know of each other that they stream
}

func newCrash(t *testing.T, program, prepared string) *crash {
	t.Helper()
	c := &crash{program: program, folder: t.TempDir()}
	c.at.Store(-1)
	must(t, os.CopyFS(c.folder, os.DirFS(prepared)))
	c.proxy = httptest.NewServer(http.HandlerFunc(c.pass))
	t.Cleanup(c.proxy.Close)
	c.serve(t, "127.0.0.1:0")
	t.Cleanup(c.killServer)
	return c
}

func (c *crash) killAt(request int, victim, moment string) {
	c.victim, c.moment = victim, moment
	c.at.Store(int64(request))
}

// pass hands a request on, and kills on the way.
func (c *crash) pass(w http.ResponseWriter, r *http.Request) {
	n := c.seen.Add(1) - 1
	doomed := n == c.at.Load()
	if c.at.Load() < 0 {
		c.asked.Lock()
		c.requests = append(c.requests, r.Method+" "+r.URL.Path)
		c.asked.Unlock()
	}
	if doomed && c.moment == "arrived" {
		c.kill()
		panic(http.ErrAbortHandler)
	}
	if c.buffers.Load() {
		known := wire.ParseHeader(r.Header.Get(wire.HeaderCapabilities))
		r.Header.Set(wire.HeaderCapabilities, known.Without(wire.Stream1).Header())
	}
	answer := httptest.NewRecorder()
	gone := false
	proxy := httputil.NewSingleHostReverseProxy(c.backend.Load())
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { gone = true }
	proxy.ServeHTTP(answer, r)
	if doomed {
		c.kill()
	}
	if gone || doomed {
		panic(http.ErrAbortHandler)
	}
	for key, values := range answer.Header() {
		w.Header()[key] = values
	}
	body := answer.Body.Bytes()
	if c.buffers.Load() && strings.Contains(r.URL.Path, wire.PathInfo) {
		w.Header().Del("Content-Length")
		body = bytes.Replace(body, []byte(`"`+string(wire.Stream1)+`",`), nil, 1)
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body)
}

func (c *crash) kill() {
	if c.victim == "server" {
		c.killServer()
	} else if cmd := c.client.Load(); cmd != nil {
		_ = cmd.Process.Kill() // who started it waits for it
	}
}

func (c *crash) killServer() {
	if cmd := c.server.Swap(nil); cmd != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// serve starts the hub's process and waits until it says where it serves.
func (c *crash) serve(t *testing.T, address string) {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), c.program, "serve", "--listen", address,
		"--database", filepath.Join(c.folder, "hub.db"), "--profile", filepath.Join(c.folder, "profile.yaml"))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	c.server.Store(cmd)
	line := make([]byte, 200)
	n, err := out.Read(line)
	must(t, err)
	_, where, found := strings.Cut(strings.TrimSpace(string(line[:n])), "http://")
	if !found {
		t.Fatalf("the server said %q", line[:n])
	}
	backend, err := url.Parse("http://" + where)
	must(t, err)
	c.backend.Store(backend)
}

// restart starts the server again where it was killed.
func (c *crash) restart(t *testing.T) {
	t.Helper()
	if c.server.Load() == nil {
		c.serve(t, c.backend.Load().Host)
	}
}

// sync runs the tablet's process and returns its exit code, -1 when it was killed.
func (c *crash) sync(t *testing.T, more ...string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	args := append([]string{"sync", c.proxy.URL, "--resume", "--json", "--chunk-size", "50", "--retries", "0",
		"--database", filepath.Join(c.folder, "tablet.db"), "--profile", filepath.Join(c.folder, "profile.yaml")}, more...)
	cmd := exec.CommandContext(ctx, c.program, args...)
	c.said.Reset()
	cmd.Stdout, cmd.Stderr = &c.said, &c.said
	must(t, cmd.Start())
	c.client.Store(cmd)
	err := cmd.Wait()
	c.client.Store(nil)
	if cmd.ProcessState == nil {
		t.Fatalf("run the client: %v", err)
	}
	return cmd.ProcessState.ExitCode()
}

// equal holds both sides against each other and against what must be there.
func (c *crash) equal(t *testing.T) {
	t.Helper()
	profile, err := morango.LoadProfile(filepath.Join(c.folder, "profile.yaml"))
	must(t, err)
	var digests []string
	for _, name := range []string{"hub.db", "tablet.db"} {
		n, err := morango.Open(t.Context(), filepath.Join(c.folder, name), profile, morango.Config{})
		must(t, err)
		digest, err := n.Digest(t.Context())
		must(t, err)
		status, err := n.Status(t.Context())
		must(t, err)
		must(t, n.Close())
		digests = append(digests, digest)
		var rows, records, waiting int64
		for _, m := range status.Models {
			rows, records, waiting = rows+m.Rows, records+m.Records, waiting+m.Waiting
		}
		if rows != 210 || records != 210 || waiting != 0 {
			text, _ := json.Marshal(status)
			t.Errorf("%s has %d rows and %d records of 210, %d waiting: %s", name, rows, records, waiting, text)
		}
	}
	if digests[0] != digests[1] {
		t.Errorf("the two sides differ: %v", digests)
	}
}

// cleanRun syncs without a crash and returns the requests that it took.
func cleanRun(t *testing.T, program, prepared string) []string {
	t.Helper()
	c := newCrash(t, program, prepared)
	if code := c.sync(t); code != exitDone {
		t.Fatalf("a sync without a crash ended with %d:\n%s", code, c.said.String())
	}
	c.equal(t)
	c.asked.Lock()
	defer c.asked.Unlock()
	return c.requests
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
