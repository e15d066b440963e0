// Package postgres opens PostgreSQL databases for package db, and says what is
// particular about PostgreSQL: repeatable read, what to do when two transactions
// get in each other's way, partition locks, ids as 32 hex digits.
//
// It is part of package db, in the tables layer, and imports only the standard
// library, the pgx driver and package transaction.
package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/morango-go/morango/db/transaction"
)

// Engine is a pool of connections to a PostgreSQL database.
type Engine struct {
	Dialect
	place    string
	readOnly bool
	pool     *sql.DB
}

// oldest is the oldest server that has what is used here, as server_version_num.
const oldest = 130000

// Open connects to the database at a postgres:// URL.
func Open(ctx context.Context, target string, readOnly bool) (*Engine, error) {
	config, err := parse(target)
	if err != nil {
		return nil, err
	}
	e := &Engine{place: place(config), readOnly: readOnly}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "morango"
	}
	e.pool = sql.OpenDB(connector{stdlib.GetConnector(*config)})
	e.pool.SetMaxOpenConns(16)
	e.pool.SetMaxIdleConns(8)
	e.pool.SetConnMaxIdleTime(5 * time.Minute)
	if err := e.probe(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// parse reads the URL. The error shows no part of a password: it comes from the
// URL with the password taken out.
func parse(target string) (*pgx.ConnConfig, error) {
	const form = "write it as postgres://user:password@host:port/database, with %XX for special characters in the password"
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("the PostgreSQL URL cannot be read: %s", form)
	}
	config, err := pgx.ParseConfig(target)
	if err == nil {
		return config, nil
	}
	u.User = nil
	query := u.Query()
	for name := range query {
		if strings.Contains(name, "password") {
			query.Del(name)
		}
	}
	u.RawQuery = query.Encode()
	if _, err := pgx.ParseConfig(u.String()); err != nil {
		return nil, fmt.Errorf("the PostgreSQL URL cannot be read: %s: %w", form, err)
	}
	return nil, fmt.Errorf("the PostgreSQL URL cannot be read: %s", form)
}

// place is what may be shown of where the database is.
func place(config *pgx.ConnConfig) string {
	u := url.URL{Scheme: "postgres", Host: fmt.Sprintf("%s:%d", config.Host, config.Port), Path: "/" + config.Database}
	if strings.HasPrefix(config.Host, "/") { // the folder of a Unix socket
		u.Host, u.RawQuery = "", url.Values{"host": {config.Host}}.Encode()
	}
	return u.String()
}

// probe connects, and refuses a server that is too old or does not hold Unicode.
func (e *Engine) probe(ctx context.Context) error {
	const query = `SELECT current_setting('server_version_num')::integer, current_setting('server_version'), current_setting('server_encoding')`
	var number int
	var version, encoding string
	if err := e.pool.QueryRowContext(ctx, query).Scan(&number, &version, &encoding); err != nil {
		return e.Explain(err)
	}
	if number < oldest {
		return fmt.Errorf("the server of %s is PostgreSQL %s: 13 or newer is needed", e.place, version)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the database %s has the encoding %s: create it with UTF8", e.place, encoding)
	}
	return nil
}

// Place is the URL without its secrets.
func (e *Engine) Place() string { return e.place }

// Begin starts a repeatable read transaction: one snapshot, and an error instead
// of a write that would undo what another transaction wrote since.
func (e *Engine) Begin(ctx context.Context, write bool) (*transaction.Tx, error) {
	if write && e.readOnly {
		return nil, fmt.Errorf("the database %s was opened for reading only", e.place)
	}
	return transaction.Begin(ctx, e.pool, driver.TxOptions{Isolation: driver.IsolationLevel(sql.LevelRepeatableRead), ReadOnly: !write})
}

// Ask is for one query on a snapshot of its own, which the server takes for each statement where no
// transaction has begun.
func (e *Engine) Ask(ctx context.Context) (*transaction.Tx, error) {
	return transaction.Single(ctx, e.pool)
}

// Close closes all connections.
func (e *Engine) Close() error { return e.pool.Close() }

// Retryable reports whether a transaction that failed with err may succeed when it
// is run again: serialization failure, deadlock, or a prepared statement whose
// tables another program has altered.
func (e *Engine) Retryable(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	return pg.Code == "40001" || pg.Code == "40P01" || pg.Code == "0A000" && pg.Routine == "RevalidateCachedQuery"
}

// hints say what a person can do about an error code.
var hints = map[string]string{
	"28P01": "the user or the password is wrong",
	"28000": "the server does not let this user in: check the user, and pg_hba.conf on the server",
	"3D000": "there is no such database: create it with createdb",
	"42501": "the user lacks a permission on the tables: grant it, or use their owner",
	"53100": "the server's disk is full",
	"53300": "the server has no connection left: raise max_connections, or stop other programs",
	"25006": "the server only allows reading (is it a standby?)",
}

// Explain adds to an error what a person can do about it.
func (e *Engine) Explain(err error) error {
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &pg) && hints[pg.Code] != "":
		return fmt.Errorf("database %s: %s: %w", e.place, hints[pg.Code], err)
	case errors.As(err, &connect):
		return fmt.Errorf("database %s: the server cannot be reached: check that it runs, and host and port: %w", e.place, err)
	}
	return err
}
