package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/morango-go/morango"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"morango": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(run(ctx, os.Args[1:], console{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
		},
	})
}

// TestScripts runs the command line as people do; see testdata/script. Beside the
// usual commands the scripts have those below.
func TestScripts(t *testing.T) {
	ours := map[string]func(*testscript.TestScript, bool, []string){
		"serve": scriptServe, "shutdown": scriptShutdown, "logs": scriptLogs, "proxy": scriptProxy, "website": scriptWebsite,
		"code": scriptCode, "row": scriptRow, "sql": scriptSQL, "let": scriptLet, "tlsfiles": scriptTLSFiles,
	}
	var scripts atomic.Int64
	var called sync.Map
	for name, run := range ours {
		ours[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			called.Store(name, true)
			run(ts, neg, args)
		}
	}
	t.Cleanup(func() {
		files, err := filepath.Glob("testdata/script/*.txtar")
		if err != nil || t.Failed() || int(scripts.Load()) < len(files) {
			return // not all have run to their end
		}
		for name := range ours {
			if _, ok := called.Load(name); !ok {
				t.Errorf("no script has come to our %s: testscript has a command of that name itself, or nothing uses it", name)
			}
		}
	})
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			scripts.Add(1)
			env.Values["hubs"] = map[string]*hubProcess{}
			env.Values["proxies"] = map[string]*atomic.Int64{}
			return nil
		},
		Cmds: ours,
	})
}

// hubProcess is a running `morango serve` of a script.
type hubProcess struct {
	cmd *exec.Cmd
	out bytes.Buffer
	err hubLog
	end chan struct{} // closed when the process has ended
}

// hubLog is what a hub has logged so far.
type hubLog struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed when there is more; nil while nobody waits
}

func (l *hubLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
	return l.text.Write(p)
}

// read returns the text so far, and what is closed when there is more.
func (l *hubLog) read() (string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more == nil {
		l.more = make(chan struct{})
	}
	return l.text.String(), l.more
}

func (l *hubLog) String() string {
	text, _ := l.read()
	return text
}

// scriptLogs is `logs NAME PATTERN`: it waits until the hub has logged something that matches.
func scriptLogs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: logs NAME PATTERN")
	}
	hub, late := ts.Value("hubs").(map[string]*hubProcess)[args[0]], time.After(time.Minute)
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	for {
		text, more := hub.err.read()
		if pattern.MatchString(text) {
			return
		}
		select {
		case <-more:
		case <-hub.end:
			ts.Fatalf("%s has ended and logged nothing like %s: %s", args[0], args[1], hub.err.String())
		case <-late:
			ts.Fatalf("%s logs nothing like %s: %s", args[0], args[1], text)
		}
	}
}

// scriptServe is `serve NAME FLAGS...`: it starts `morango serve FLAGS` on a free port
// and sets the variable NAME to the address where it serves.
func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: serve NAME FLAGS...")
	}
	hub := &hubProcess{end: make(chan struct{})}
	hub.cmd = exec.Command("morango", append([]string{"serve", "--listen", "127.0.0.1:0"}, args[1:]...)...)
	hub.cmd.Dir, hub.cmd.Stderr = ts.MkAbs("."), &hub.err
	hub.cmd.Env = append(os.Environ(), "MORANGO_PROFILE="+ts.Getenv("MORANGO_PROFILE"))
	out, err := hub.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(hub.cmd.Start())
	first := make(chan string, 1)
	go func() {
		defer close(hub.end)
		line := make([]byte, 4096)
		n, _ := out.Read(line)
		first <- string(line[:n])
		_, _ = io.Copy(&hub.out, out)
		_ = hub.cmd.Wait() // the exit code is in the state
	}()
	ts.Defer(func() {
		_ = hub.cmd.Process.Kill()
		<-hub.end
	})
	said := <-first
	_, address, found := strings.Cut(said, " at ")
	if !found {
		<-hub.end
		ts.Fatalf("serve: %s%s", said, hub.err.String())
	}
	ts.Setenv(args[0], strings.TrimSpace(address))
	ts.Value("hubs").(map[string]*hubProcess)[args[0]] = hub
}

// scriptShutdown is `shutdown NAME`: it asks the hub to end (SIGTERM), waits, and wants exit
// code 0. What the hub printed is in the files NAME.out and NAME.err then.
func scriptShutdown(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: shutdown NAME")
	}
	hub := ts.Value("hubs").(map[string]*hubProcess)[args[0]]
	ts.Check(hub.cmd.Process.Signal(syscall.SIGTERM))
	<-hub.end
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".out"), hub.out.Bytes(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".err"), []byte(hub.err.String()), 0o600))
	if code := hub.cmd.ProcessState.ExitCode(); code != exitDone {
		ts.Fatalf("%s ended with %d: %s", args[0], code, hub.err.String())
	}
}

// scriptCode is `code NUMBER PROGRAM ARGS...`: exec that wants that very exit code.
func scriptCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code NUMBER PROGRAM ARGS...")
	}
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, wanted %s", got, args[0])
	}
}

// scriptProxy is `proxy NAME URL [COUNT]`: it starts a reverse proxy before URL that
// gives 203.0.113.7 as the client's address, and sets the variable NAME to its address.
// After COUNT requests it breaks connections off, until `proxy NAME URL` comes again.
func scriptProxy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: proxy NAME URL [COUNT]")
	}
	target, err := url.Parse(args[1])
	ts.Check(err)
	target.Path = ""
	allowed := int64(1 << 40)
	if len(args) == 3 {
		allowed, err = strconv.ParseInt(args[2], 10, 64)
		ts.Check(err)
	}
	proxies := ts.Value("proxies").(map[string]*atomic.Int64)
	if left := proxies[args[0]]; left != nil {
		left.Store(allowed)
		return
	}
	left := new(atomic.Int64)
	left.Store(allowed)
	proxies[args[0]] = left
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Set("X-Forwarded-For", "203.0.113.7")
	}}
	scriptHandler(ts, args[0], func(w http.ResponseWriter, r *http.Request) {
		if left.Add(-1) < 0 {
			panic(http.ErrAbortHandler)
		}
		pass.ServeHTTP(w, r)
	})
}

// scriptWebsite is `website NAME`: it starts a web server that is no peer.
func scriptWebsite(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: website NAME")
	}
	scriptHandler(ts, args[0], func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "<html><body>Welcome to our school!</body></html>")
	})
}

func scriptHandler(ts *testscript.TestScript, name string, handle http.HandlerFunc) {
	srv := httptest.NewServer(handle)
	ts.Defer(srv.Close)
	ts.Setenv(name, srv.URL)
}

// scriptRow is `row MODEL FILE COLUMN=VALUE...`: it inserts a row as an application
// would, with the id that the columns give. The profile is $MORANGO_PROFILE.
func scriptRow(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: row MODEL FILE COLUMN=VALUE...")
	}
	profile, err := morango.LoadProfile(ts.MkAbs(ts.Getenv("MORANGO_PROFILE")))
	ts.Check(err)
	m, ok := profile.Model(args[0])
	if !ok {
		ts.Fatalf("no model %s", args[0])
	}
	columns, names, values := map[string]string{}, "id", []any{""}
	for _, arg := range args[2:] {
		name, value, _ := strings.Cut(arg, "=")
		columns[name] = value
		names += ", " + name
		values = append(values, value)
	}
	id, err := morango.NewRecordID(m, columns)
	ts.Check(err)
	values[0] = id.ID
	names += ", _morango_source_id, _morango_partition"
	values = append(values, id.SourceID, id.Partition)
	db, err := sql.Open("sqlite", ts.MkAbs(args[1])+"?_pragma=busy_timeout(10000)")
	ts.Check(err)
	defer db.Close()
	_, err = db.Exec("INSERT INTO "+m.Table+" ("+names+") VALUES (?"+strings.Repeat(", ?", len(values)-1)+")", values...)
	ts.Check(err)
}

// scriptSQL is `sql FILE STATEMENT [WANT]`: it runs a statement as an application
// would, and compares what comes out, values with | and rows with spaces in between.
func scriptSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: sql FILE STATEMENT [WANT]")
	}
	got := scriptQuery(ts, args[0], args[1])
	if len(args) == 3 && got != args[2] {
		ts.Fatalf("%s gives %q, wanted %q", args[1], got, args[2])
	}
}

// scriptLet is `let NAME FILE QUERY`: it sets a variable to what the query gives.
func scriptLet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: let NAME FILE QUERY")
	}
	ts.Setenv(args[0], scriptQuery(ts, args[1], args[2]))
}

func scriptQuery(ts *testscript.TestScript, file, query string) string {
	db, err := sql.Open("sqlite", ts.MkAbs(file)+"?_pragma=busy_timeout(10000)")
	ts.Check(err)
	defer db.Close()
	rows, err := db.Query(query)
	ts.Check(err)
	defer rows.Close()
	columns, err := rows.Columns()
	ts.Check(err)
	var all []string
	for rows.Next() {
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		texts := make([]string, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		ts.Check(rows.Scan(into...))
		for i, value := range values {
			texts[i] = value.String
		}
		all = append(all, strings.Join(texts, "|"))
	}
	ts.Check(rows.Err())
	return strings.Join(all, " ")
}
