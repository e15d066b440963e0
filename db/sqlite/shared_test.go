package sqlite

import (
	"bufio"
	"context"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/morango-go/morango/db/transaction"
)

// otherProcess is set in the process that opens a database for TestShared.
const otherProcess = "MORANGO_TEST_OPENS"

func TestMain(m *testing.M) {
	if path := os.Getenv(otherProcess); path != "" {
		os.Exit(holdOpen(path))
	}
	os.Exit(m.Run())
}

// holdOpen opens a database as any program does, says so, and waits for the end of its input.
func holdOpen(path string) int {
	d, err := sql.Open("sqlite", path)
	if err == nil {
		var n int
		err = d.QueryRow("SELECT count(*) FROM sqlite_master").Scan(&n)
	}
	if err != nil {
		return 1
	}
	os.Stdout.WriteString("open\n")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return 0
}

// wantShared looks anew whether others have the database open.
func wantShared(t *testing.T, e *Engine, shared bool, when string) {
	t.Helper()
	e.presence.looked = time.Time{}
	if is := e.Shared(); is != (shared || runtime.GOOS != "linux") {
		t.Errorf("%s: shared is %t", when, is)
	}
}

// Others have a database open: another process, or another connection of this one. On
// systems where nobody can tell it is as if there always were.
func TestShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	e, err := Open(t.Context(), path, false, false)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	want := func(shared bool, when string) { t.Helper(); wantShared(t, e, shared, when) }
	want(false, "alone")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), otherProcess+"="+path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("the other process said %q: %v", line, err)
	}
	want(true, "another process has it open")
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	want(false, "it has closed it")
	d, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.PingContext(context.Background()); err != nil {
		t.Fatal(err)
	}
	want(true, "another connection of this process")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	want(true, "SQLite closes its files only with the last lock of this process")
	reader, err := Open(t.Context(), path, true, true)
	if err != nil {
		t.Fatal(err)
	}
	if !reader.Shared() {
		t.Error("who only reads knows nothing of others")
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
}

// Who has read more often at once than before, or than it does now, is not taken for somebody else.
func TestSharedByReaders(t *testing.T) {
	e, err := Open(t.Context(), filepath.Join(t.TempDir(), "a.db"), false, false)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var reads []*transaction.Tx
	for range 4 {
		tx, err := e.Begin(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		reads = append(reads, tx)
	}
	wantShared(t, e, false, "it reads four times at once")
	for _, tx := range reads {
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
	wantShared(t, e, false, "it has read four times at once")
}
