// Package db opens the database that holds the application's and Morango's
// tables, and hands out transactions on it: read snapshots, and write
// transactions that are retried when the database asks for it. It creates
// Morango's tables, recognises those that Django made, and hides what differs
// between SQLite and PostgreSQL.
//
// It is the floor of the tables layer. It imports the words layer (partition) and
// its own engines db/sqlite and db/postgres, with db/transaction. On a row's path
// every stage stands on it.
package db

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/morango-go/morango/db/postgres"
	"github.com/morango-go/morango/db/sqlite"
	"github.com/morango-go/morango/db/transaction"
)

// Kind names a database engine.
type Kind string

// The engines.
const (
	SQLite   Kind = "sqlite"
	Postgres Kind = "postgres"
)

// Options changes how Open behaves. The zero value opens for reading and writing
// and creates a SQLite file that does not exist.
type Options struct {
	ReadOnly  bool // refuse every write; implies MustExist
	MustExist bool // fail when a SQLite file does not exist, instead of creating it
}

// DB is an open database. It is safe for use by many goroutines.
type DB struct {
	engine engine
	kind   Kind
	turns  *turns // nil on PostgreSQL
	server server // of PostgreSQL

	indexes map[string]bool // those of Morango's tables that Attach found; nil before
}

// engine is what DB needs of an open database.
type engine interface {
	// Begin starts a transaction that may write, or a read snapshot.
	Begin(ctx context.Context, write bool) (*transaction.Tx, error)
	// Retryable reports whether a transaction that failed so may be run again.
	Retryable(err error) bool
	// Explain adds to an error what a person can do about it.
	Explain(err error) error
	// Place is where the database is, without secrets.
	Place() string
	Close() error
}

// Open opens a database: a path or "sqlite:path" for SQLite, a "postgres://" URL
// for PostgreSQL. It creates no tables: see Attach and Create. Errors never show
// a password.
func Open(ctx context.Context, target string, o Options) (*DB, error) {
	scheme, _, isURL := strings.Cut(target, "://")
	switch {
	case isURL && (scheme == "postgres" || scheme == "postgresql"):
		e, err := postgres.Open(ctx, target, o.ReadOnly)
		if err != nil {
			return nil, err
		}
		return &DB{engine: e, kind: Postgres}, nil
	case isURL && scheme != "sqlite":
		return nil, fmt.Errorf("databases of the kind %q are not supported: "+
			"give the path of a SQLite file or a postgres:// URL", scheme)
	}
	path := strings.TrimPrefix(strings.TrimPrefix(target, "sqlite:"), "//")
	e, err := sqlite.Open(ctx, path, o.ReadOnly, o.MustExist)
	if err != nil {
		return nil, err
	}
	return &DB{engine: e, kind: SQLite, turns: newTurns(e.Shared)}, nil
}

// Close waits for running transactions and closes the database.
func (d *DB) Close() error { return d.engine.Close() }

// Kind tells which engine this is.
func (d *DB) Kind() Kind { return d.kind }

// Path is what may be shown of the place of the database: the file's path, or the
// URL without its secrets.
func (d *DB) Path() string { return d.engine.Place() }

// Read runs f on one snapshot of the database. What f returns is returned.
func (d *DB) Read(ctx context.Context, f func(*Tx) error) error {
	return d.engine.Explain(d.run(ctx, false, f))
}

// Ask runs f, which runs one query and nothing else: on PostgreSQL without a transaction around it, which
// would be two more round trips. f may run a second time, in a transaction, where the first went wrong.
func (d *DB) Ask(ctx context.Context, f func(*Tx) error) error {
	engine, ok := d.engine.(interface {
		Ask(ctx context.Context) (*transaction.Tx, error)
	})
	if !ok {
		return d.Read(ctx, f)
	}
	raw, err := engine.Ask(ctx)
	if err != nil {
		return d.engine.Explain(err)
	}
	err = f(d.within(raw, false))
	_ = raw.Rollback() // there is nothing to be rolled back
	if err != nil && ctx.Err() == nil {
		return d.Read(ctx, f) // the connection may have been broken
	}
	return d.engine.Explain(err)
}

// A transaction that keeps failing is given up after so many runs. Each run
// already waits for a busy SQLite file for some seconds.
const maxRuns = 12

// Write runs f in a transaction that may write from its start, and commits when f
// returns nil. When the database is busy, or two transactions got in each other's
// way, the whole of f runs again: f must have no effect outside tx that a second
// run would spoil.
func (d *DB) Write(ctx context.Context, f func(*Tx) error) error {
	if d.turns != nil {
		return d.writeShort(ctx, f)
	}
	return d.write(ctx, f)
}

// write runs f until its transaction is committed, or cannot be.
func (d *DB) write(ctx context.Context, f func(*Tx) error) error {
	for runs := 1; ; runs++ {
		err := d.run(ctx, true, f)
		if err == nil || !d.engine.Retryable(err) || ctx.Err() != nil {
			return d.engine.Explain(err)
		}
		if runs == maxRuns {
			return fmt.Errorf("gave up after %d attempts: %w", runs, d.engine.Explain(err))
		}
		// Random pauses that grow, so that rivals do not meet again in step.
		pause := time.Millisecond << min(runs, 8)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// within is a transaction that has just begun.
func (d *DB) within(raw *transaction.Tx, write bool) *Tx {
	return &Tx{tx: raw, kind: d.kind, dialect: dialectOf(d.kind), indexes: d.indexes, fresh: write}
}

// run runs f in one transaction, once.
func (d *DB) run(ctx context.Context, write bool, f func(*Tx) error) error {
	raw, err := d.engine.Begin(ctx, write)
	if err != nil {
		return err
	}
	defer func() { _ = raw.Rollback() }() // nothing after a commit; the way out after an error or a panic
	tx := d.within(raw, write)
	if err := f(tx); err != nil || !write {
		return err
	}
	if err := tx.Capture(ctx, true); err != nil {
		return err
	}
	return raw.Commit()
}
