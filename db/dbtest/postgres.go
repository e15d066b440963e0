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

// PostgresDjango is like Postgres, with the tables that Django made for the
// reference, as recorded, those of the test application included.
func PostgresDjango(t testing.TB) *db.DB {
	t.Helper()
	return open(t, postgresURL(t, db.LayoutDjango))
}

// PostgresURL is the URL of an empty lean PostgreSQL database as in Postgres, for
// tests that come in by another door.
func PostgresURL(t testing.TB) string {
	t.Helper()
	return postgresURL(t, db.LayoutLean)
}

// PostgresEmptyURL is like PostgresURL, without any table.
func PostgresEmptyURL(t testing.TB) string {
	t.Helper()
	return postgresURL(t, "")
}

// PostgresCopy is the URL of a copy of the database at the URL target, which one of the
// functions above made and which nobody has open.
func PostgresCopy(t testing.TB, target string) string {
	t.Helper()
	base, err := server()
	if err != nil {
		t.Fatal("no PostgreSQL to test on: ", err)
	}
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return create(t, base, strings.TrimPrefix(u.Path, "/"))
}

// create makes a database as a copy of another, for as long as the test runs.
func create(t testing.TB, base *place, template string) string {
	t.Helper()
	name := databaseName()
	if err := administer(base, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", name, template)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := administer(base, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return base.at(name)
}

// postgresURL is the URL of a database with empty tables in a layout; with none it
// has no tables.
func postgresURL(t testing.TB, layout db.Layout) string {
	t.Helper()
	base, err := server()
	if err != nil {
		t.Fatal("no PostgreSQL to test on: ", err)
	}
	template := "template1"
	if layout != "" && base.alive != nil { // a copy is faster, but a template would stay on a server that is not ours
		template = base.template(t, layout)
	}
	target := create(t, base, template)
	if layout != "" && base.alive == nil {
		base.fill(t, target, layout)
	}
	return target
}

func databaseName() string { return "morango_test_" + strings.ToLower(rand.Text()) }

// place is a PostgreSQL server on which databases can be created.
type place struct {
	url   *url.URL
	alive *os.File // a throwaway server stops when this is closed, at the latest with the test binary

	making    sync.Mutex
	templates map[db.Layout]string // databases with empty tables
}

func (p *place) at(database string) string {
	u := *p.url
	u.Path = "/" + database
	return u.String()
}

// template makes the database that those of a layout are copied from, once.
func (p *place) template(t testing.TB, layout db.Layout) string {
	t.Helper()
	p.making.Lock()
	defer p.making.Unlock()
	if name, ok := p.templates[layout]; ok {
		return name
	}
	name := databaseName()
	if err := administer(p, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	p.fill(t, p.at(name), layout)
	p.templates[layout] = name
	return name
}

// fill makes the tables of a layout in an empty database.
func (p *place) fill(t testing.TB, target string, layout db.Layout) {
	t.Helper()
	d, err := db.Open(t.Context(), target, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if layout == db.LayoutDjango {
		execute(t, d, djangoPostgres(t))
	} else if err := d.Create(t.Context(), layout); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
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
	p.templates = map[db.Layout]string{}
	return p, nil
})

// administer runs a statement outside any transaction in the database that the
// server's URL names.
func administer(p *place, query string) error {
	admin, err := sql.Open("pgx", p.url.String())
	if err != nil {
		return err
	}
	_, err = admin.ExecContext(context.Background(), query)
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
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", script, "sh", programs, filepath.Join(folder, "data"), folder)
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
