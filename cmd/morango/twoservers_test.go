package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/model"
)

// fleet is a hub on PostgreSQL with two servers, and clients with a database each.
type fleet struct {
	program, folder, hub string
	root                 string
	urls                 []string
}

const fleetSize, fleetRecords = 16, 40

// Two `morango serve` processes on one PostgreSQL database take what sixteen clients
// push at once through both: everything arrives and nobody is turned away.
func TestTwoServeProcesses(t *testing.T) {
	f := newFleet(t)
	for i := range fleetSize {
		f.join(t, i)
	}
	var all sync.WaitGroup
	for i := range fleetSize {
		all.Go(func() {
			s, err := f.sync(t, i, "--push")
			if err != nil || !s.Push.Done || s.Push.Records != fleetRecords {
				t.Errorf("client %d: %d records, %v", i, s.Push.Records, err)
			}
		})
	}
	all.Wait()
	for i := range 2 { // one by each server sees what all have pushed
		s, err := f.sync(t, i, "--pull")
		if err != nil || s.Pull.Records < (fleetSize-1)*fleetRecords {
			t.Errorf("client %d got %d records, %v", i, s.Pull.Records, err)
		}
	}
	for _, database := range []string{f.hub, f.tablet(0), f.tablet(1)} {
		status := command(t, exitDone, "status", "--json", "--database", database, "--profile", f.file("profile.yaml"))
		if rows := rowsIn(t, status); rows != fleetSize*fleetRecords {
			t.Errorf("%s has %d rows of %d", filepath.Base(database), rows, fleetSize*fleetRecords)
		}
	}
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{program: build(t), folder: t.TempDir(), hub: dbtest.PostgresEmptyURL(t)}
	must(t, os.WriteFile(f.file("profile.yaml"), demoProfile, 0o600))
	must(t, os.WriteFile(f.file("password"), []byte(demoPassword), 0o600))
	command(t, exitDone, "init", "--database", f.hub, "--profile", f.file("profile.yaml"))
	out := command(t, exitDone, "cert", "create", "--database", f.hub, "--profile", f.file("profile.yaml"), "--scope", "whole-school")
	f.root = strings.Fields(out)[3]
	command(t, exitDone, "user", "add", "--users", f.file("users"), "--password-file", f.file("password"), demoUser)
	for range 2 {
		f.urls = append(f.urls, serveProcess(t, f.program, f.folder, f.hub))
	}
	return f
}

func (f *fleet) file(name string) string { return filepath.Join(f.folder, name) }

func (f *fleet) tablet(i int) string { return f.file(fmt.Sprintf("tablet%d.db", i)) }

// join gives a client its certificate and rows of its own.
func (f *fleet) join(t *testing.T, i int) {
	t.Helper()
	command(t, exitDone, "init", "--database", f.tablet(i), "--profile", f.file("profile.yaml"))
	_, err := f.sync(t, i, "--user", demoUser, "--password-file", f.file("password"))
	must(t, err)
	profile, err := model.Load("demo.yaml", bytes.NewReader(demoProfile))
	must(t, err)
	app, err := openSchool(f.tablet(i), profile)
	must(t, err)
	app.school = f.root
	must(t, app.fill(t.Context(), fmt.Sprintf("Class of tablet %d", i), fleetRecords))
	must(t, app.close())
}

// sync runs a client's process, half of them by each server.
func (f *fleet) sync(t *testing.T, i int, more ...string) (s morango.Summary, err error) {
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), f.program, append([]string{"sync", f.urls[i%2], "--json", "--chunk-size", "15",
		"--database", f.tablet(i), "--profile", f.file("profile.yaml")}, more...)...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return s, fmt.Errorf("%w: %s", err, said.String())
	}
	return s, json.Unmarshal(said.Bytes(), &s)
}

// serveProcess starts a server and returns where it serves.
func serveProcess(t *testing.T, program, folder, database string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "serve", "--listen", "127.0.0.1:0", "--database", database,
		"--profile", filepath.Join(folder, "profile.yaml"), "--users", filepath.Join(folder, "users"))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line := make([]byte, 200)
	n, err := out.Read(line)
	must(t, err)
	_, where, found := strings.Cut(strings.TrimSpace(string(line[:n])), "http://")
	if !found {
		t.Fatalf("the server said %q", line[:n])
	}
	return "http://" + where
}

// rowsIn adds up the rows of all models in a status.
func rowsIn(t *testing.T, status string) (rows int64) {
	t.Helper()
	var s morango.Status
	must(t, json.Unmarshal([]byte(status), &s))
	for _, m := range s.Models {
		rows += m.Rows
	}
	return rows
}
