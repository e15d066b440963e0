//go:build unix

package dbtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Server is a PostgreSQL server of a test's own, with the settings that a server has
// when nobody changes any: the test may stop it in any way.
type Server struct {
	t        testing.TB
	programs string
	folder   string        // of its data and its socket
	settings []string      // as NewServer
	process  *exec.Cmd     // nil when it does not run
	guard    *exec.Cmd     // ends it when the test's process ends before
	ended    chan struct{} // closed when all its processes have ended
}

// NewServer starts a server that ends with the test. Settings are such as
// "synchronous_commit=off".
func NewServer(t testing.TB, settings ...string) *Server {
	t.Helper()
	programs, err := programs()
	if err != nil {
		t.Fatal("no PostgreSQL to test on: ", err)
	}
	folder, err := os.MkdirTemp("", "morango-pg-") //nolint:usetesting // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, programs: programs, folder: folder, settings: settings}
	t.Cleanup(func() {
		if err := errors.Join(s.Crash(false), os.RemoveAll(folder)); err != nil {
			t.Error(err)
		}
	})
	if out, err := s.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C").CombinedOutput(); err != nil {
		t.Fatalf("make a PostgreSQL server: %v\n%s", err, out)
	}
	s.Start()
	return s
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// URL returns the address of a new database, which is a copy of the one at the address
// template, or has no tables when that is "".
func (s *Server) URL(template string) string {
	s.t.Helper()
	u, err := url.Parse(template)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &place{url: &url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: url.Values{"host": {s.folder}}.Encode()}}
	from, name := "template1", databaseName()
	if template != "" {
		from = strings.TrimPrefix(u.Path, "/")
	}
	if err := administer(p, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", name, from)); err != nil {
		s.t.Fatal(err)
	}
	return p.at(name)
}

// Start starts the server, if it does not run, and waits until it lets clients in.
func (s *Server) Start() {
	s.t.Helper()
	if s.process != nil {
		return
	}
	log, say, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	args := []string{"-D", s.data(), "-k", s.folder, "-c", "listen_addresses="}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	cmd := s.command("postgres", args...)
	cmd.Stdout, cmd.Stderr = say, say
	err = cmd.Start()
	say.Close()
	if err != nil {
		s.t.Fatal("start a PostgreSQL server: ", err)
	}
	ready := make(chan bool, 1)
	s.process, s.ended = cmd, make(chan struct{})
	s.guard = exec.CommandContext(context.Background(), "/bin/sh", "-c", `read -r end; kill -QUIT "$1"`, "sh", strconv.Itoa(cmd.Process.Pid))
	s.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if _, err := s.guard.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	if err := s.guard.Start(); err != nil {
		s.t.Fatal("guard the PostgreSQL server: ", err)
	}
	go func() {
		defer close(s.ended) // when the last of its processes has ended
		defer log.Close()
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if strings.Contains(lines.Text(), "ready to accept connections") {
				ready <- true
			}
		}
		ready <- false
	}()
	if !<-ready {
		s.t.Fatal("the PostgreSQL server does not start")
	}
}

// Crash ends the server, if it runs, without a chance to write anything down: by a
// signal that it hears or, hard, by one that it does not.
func (s *Server) Crash(hard bool) error {
	if s.process == nil {
		return nil
	}
	var signal os.Signal = syscall.SIGQUIT
	if hard {
		signal = os.Kill
	}
	err := errors.Join(s.guard.Process.Kill(), s.process.Process.Signal(signal))
	_, _ = s.guard.Wait(), s.process.Wait() // they end by signals
	<-s.ended
	s.process = nil
	return err
}

func (s *Server) command(program string, args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.CommandContext(context.Background(), filepath.Join(s.programs, program), args...)
	cmd.Dir = s.folder
	if err := asOther(cmd, s.folder); err != nil {
		s.t.Fatal(err)
	}
	return cmd
}
