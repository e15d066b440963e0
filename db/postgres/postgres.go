// Package postgres opens PostgreSQL databases for package db, and says what is
// particular about PostgreSQL: repeatable read, what to do when two transactions
// get in each other's way, partition locks, ids as 32 hex digits.
//
// It is part of package db, in the tables layer, and imports only the standard
// library and the pgx driver.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Engine is a pool of connections to a PostgreSQL database.
type Engine struct {
	Dialect
}

var errNotYet = errors.New("PostgreSQL is not supported yet: use a SQLite file")

// Open connects to the database at a postgres:// URL.
func Open(ctx context.Context, target string, readOnly bool) (*Engine, error) { return nil, errNotYet }

// Place is the URL without its secrets.
func (e *Engine) Place() string { return "" }

// Begin starts a repeatable read transaction.
func (e *Engine) Begin(ctx context.Context, write bool) (*sql.Tx, error) { return nil, errNotYet }

// Close closes all connections.
func (e *Engine) Close() error { return nil }

// Retryable reports whether a transaction that failed with err may succeed when it
// is run again.
func (e *Engine) Retryable(err error) bool { return false }

// Explain adds to an error what a person can do about it.
func (e *Engine) Explain(err error) error { return err }

// Dialect says how things are written on PostgreSQL.
type Dialect struct{}

// Time is a moment in UTC, cut to microseconds.
func (Dialect) Time(moment time.Time) any { return moment.UTC().Truncate(time.Microsecond) }

// CodePoints makes a text column compare by code points.
func (Dialect) CodePoints(column string) string { return column + ` COLLATE "C"` }

// Unpack is a subselect of the items of the JSON array in parameter $n.
func (Dialect) Unpack(n int, ids bool) string { return "" }

// Lock locks partitions.
func (Dialect) Lock(context.Context, *sql.Tx, bool, []string, bool) error { return errNotYet }

// Capture turns the capture of changes off and on.
func (Dialect) Capture(context.Context, *sql.Tx, bool) error { return errNotYet }

// Migrations returns the scripts that make and update the lean layout, in order.
func (Dialect) Migrations() ([]string, error) { return nil, errNotYet }

// Tables returns the tables whose names begin with morango_, with their columns.
func (Dialect) Tables(context.Context, *sql.Tx) (map[string][]string, error) { return nil, errNotYet }
