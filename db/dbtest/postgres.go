package dbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/morango-go/morango/db"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
)

// Postgres returns an empty lean PostgreSQL database. It lies on the server at the
// URL in MORANGO_TEST_POSTGRES, or on a throwaway server that is started once for
// the test binary and goes away with it. The test fails when neither is there.
func Postgres(t testing.TB) *db.DB {
	t.Helper()
	return open(t, PostgresURL(t))
}

// PostgresURL is the URL of an empty lean PostgreSQL database as in Postgres, for
// tests that come in by another door.
func PostgresURL(t testing.TB) string {
	t.Helper()
	base, err := server()
	if err != nil {
		t.Fatal("no PostgreSQL to test on: ", err)
	}
	name := "morango_test_" + strings.ToLower(rand.Text())
	if err := administer(base, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", name, base.template)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := administer(base, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return base.at(name)
}

// place is a PostgreSQL server on which databases can be created.
type place struct {
	url      *url.URL
	template string   // a database with empty lean tables
	alive    *os.File // a throwaway server stops when this is closed, at the latest with the test binary
}

func (p *place) at(database string) string {
	u := *p.url
	u.Path = "/" + database
	return u.String()
}

// server finds or starts the server, once.
var server = sync.OnceValues(func() (*place, error) {
	p, err := external()
	if p == nil && err == nil {
		p, err = throwaway()
	}
	if err != nil {
		return nil, err
	}
	p.template = "morango_template_" + strings.ToLower(rand.Text())
	if err := administer(p, "CREATE DATABASE "+p.template); err != nil {
		return nil, err
	}
	ctx := context.Background()
	d, err := db.Open(ctx, p.at(p.template), db.Options{})
	if err != nil {
		return nil, err
	}
	return p, errors.Join(d.Create(ctx, db.LayoutLean), d.Close())
})

// administer runs a statement outside any transaction in the database that the
// server's URL names.
func administer(p *place, query string) error {
	admin, err := sql.Open("pgx", p.url.String())
	if err != nil {
		return err
	}
	_, err = admin.Exec(query)
	return errors.Join(err, admin.Close())
}

// external is the server that the environment names, or nil.
func external() (*place, error) {
	text := os.Getenv("MORANGO_TEST_POSTGRES")
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("MORANGO_TEST_POSTGRES is not a postgres:// URL")
	}
	return &place{url: u}, nil
}

// script runs as a user that is not root. It makes a cluster in $2, starts a server
// that listens on a socket in $3 only, and stops it when its input ends. The
// cluster sorts text by a language's rules where that can be had, as real ones do.
const script = `
cd "$3" || exit 1
"$1/initdb" -D "$2" -U postgres -A trust -E UTF8 -N --locale-provider=icu --icu-locale=en --locale=C >"$3/log" 2>&1 ||
	{ rm -rf "$2"; "$1/initdb" -D "$2" -U postgres -A trust -E UTF8 -N --locale=C >>"$3/log" 2>&1; } || { cat "$3/log"; exit 1; }
"$1/pg_ctl" -D "$2" -l "$3/log" -w -o "-k '$3' -c listen_addresses= -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200" start >/dev/null ||
	{ cat "$3/log"; exit 1; }
echo ready
read -r end
"$1/pg_ctl" -D "$2" -m immediate stop >/dev/null 2>&1
rm -rf "$3"
`

// throwaway starts a server of its own.
func throwaway() (*place, error) {
	programs, err := programs()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "morango-pg-")
	if err != nil {
		return nil, err
	}
	keep, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	said, say, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer said.Close()
	cmd := exec.Command("/bin/sh", "-c", script, "sh", programs, filepath.Join(folder, "data"), folder)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = keep, say, say
	if err := asOther(cmd, folder); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a PostgreSQL server: %w", err)
	}
	if err := errors.Join(keep.Close(), say.Close()); err != nil {
		return nil, err
	}
	const ready = "ready\n"
	answer := make([]byte, 0, 4096)
	for !strings.HasSuffix(string(answer), ready) && len(answer) < cap(answer) {
		n, err := said.Read(answer[len(answer):cap(answer)])
		answer = answer[:len(answer)+n]
		if err != nil {
			return nil, fmt.Errorf("start a PostgreSQL server: %s", answer)
		}
	}
	u := &url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: url.Values{"host": {folder}}.Encode()}
	return &place{url: u, alive: alive}, nil
}

// programs is the folder of initdb and pg_ctl: the newest installed, or on PATH.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	slices.Sort(found)
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("install the PostgreSQL server (initdb on PATH or in /usr/lib/postgresql), " +
			"or set MORANGO_TEST_POSTGRES to the URL of a server on which databases may be created")
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	return filepath.Dir(path), nil
}
