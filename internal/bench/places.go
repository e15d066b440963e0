package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/morango-go/morango/db/dbtest"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
)

// places makes, copies and drops databases of one engine.
type places struct {
	engine string
	folder string          // of SQLite files
	server *url.URL        // of PostgreSQL; nil for SQLite
	admin  *sql.DB         // on it
	prefix string          // of the names of our databases there
	made   map[string]bool // names
	count  int
}

func newPlaces(ctx context.Context, engine, folder string) (*places, error) {
	p := &places{engine: engine, folder: folder, made: map[string]bool{}}
	switch engine {
	case "sqlite":
		return p, nil
	case "postgres":
	default:
		return nil, fmt.Errorf("%w: there is no engine %q", errUsage, engine)
	}
	text, err := dbtest.ServerURL()
	if err != nil {
		return nil, err
	}
	if p.server, err = url.Parse(text); err != nil {
		return nil, err
	}
	if p.admin, err = sql.Open("pgx", text); err != nil {
		return nil, err
	}
	p.prefix = "morango_bench_" + strings.ToLower(rand.Text()[:8]) + "_"
	return p, p.admin.PingContext(ctx)
}

// fresh returns the target of an empty database that does not exist yet on SQLite, and
// does on PostgreSQL.
func (p *places) fresh(ctx context.Context) (string, error) {
	name := p.name()
	if p.server == nil {
		return p.path(name), nil
	}
	_, err := p.admin.ExecContext(ctx, "CREATE DATABASE "+name)
	return p.at(name), err
}

// copy makes a copy of a database that nobody has open.
func (p *places) copy(ctx context.Context, from string) (string, error) {
	name := p.name()
	if p.server == nil {
		return p.path(name), copyFile(p.path(name), from)
	}
	_, err := p.admin.ExecContext(ctx, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", name, p.nameOf(from)))
	return p.at(name), err
}

// settle does for a database that was filled at once what time does for others.
func (p *places) settle(ctx context.Context, target string) error {
	if p.server == nil {
		return nil
	}
	d, err := sql.Open("pgx", target)
	if err != nil {
		return err
	}
	_, err = d.ExecContext(ctx, "VACUUM ANALYZE")
	return errors.Join(err, d.Close())
}

// drop removes a database that nobody has open.
func (p *places) drop(ctx context.Context, target string) error {
	name := p.nameOf(target)
	delete(p.made, name)
	if p.server != nil {
		_, err := p.admin.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		return err
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(target + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// dropAll removes all databases that are left.
func (p *places) dropAll(ctx context.Context) error {
	var err error
	for name := range p.made {
		target := p.path(name)
		if p.server != nil {
			target = p.at(name)
		}
		err = errors.Join(err, p.drop(ctx, target))
	}
	return err
}

// size is how many bytes a database takes.
func (p *places) size(ctx context.Context, target string) (n int64, err error) {
	if p.server != nil {
		err = p.admin.QueryRowContext(ctx, "SELECT pg_database_size($1)", p.nameOf(target)).Scan(&n)
		return n, err
	}
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(target + suffix)
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return 0, err
		}
		n += info.Size()
	}
	return n, nil
}

// cpu is what the database server has used so far; 0 for SQLite, which runs in the peers.
func (p *places) cpu() float64 {
	if p.server == nil {
		return 0
	}
	return serverCPU(p.server.Query().Get("host"))
}

func (p *places) name() string {
	p.count++
	name := fmt.Sprintf("%s%d", p.prefix, p.count)
	p.made[name] = true
	return name
}

func (p *places) path(name string) string { return filepath.Join(p.folder, name+".db") }

func (p *places) at(name string) string {
	u := *p.server
	u.Path = "/" + name
	return u.String()
}

func (p *places) nameOf(target string) string {
	if p.server == nil {
		return strings.TrimSuffix(filepath.Base(target), ".db")
	}
	_, rest, _ := strings.Cut(target, p.prefix)
	number, _, _ := strings.Cut(rest, "?")
	return p.prefix + number
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
