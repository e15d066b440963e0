// Package db opens the database that holds the application's and Morango's
// tables, and hands out transactions on it: read snapshots, and write
// transactions that are retried when the database asks for it. It creates
// Morango's tables, recognises those that Django made, and hides what differs
// between SQLite and PostgreSQL.
//
// It is the floor of the tables layer. It imports the words layer (partition) and
// its own engines db/sqlite and db/postgres. On a row's path every stage stands
// on it.
package db

import (
	"context"
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
type DB struct{}

// Open opens a database: a path or "sqlite:path" for SQLite, a "postgres://" URL
// for PostgreSQL. It creates no tables: see Attach and Create. Errors never show
// a password.
func Open(ctx context.Context, target string, o Options) (*DB, error) { panic("not written") }

// Close waits for running transactions and closes the database.
func (d *DB) Close() error { panic("not written") }

// Kind tells which engine this is.
func (d *DB) Kind() Kind { panic("not written") }

// Path is what may be shown of the place of the database: the file's path, or the
// URL without its secrets.
func (d *DB) Path() string { panic("not written") }

// Read runs f on one snapshot of the database. What f returns is returned.
func (d *DB) Read(ctx context.Context, f func(*Tx) error) error { panic("not written") }

// Write runs f in a transaction that may write from its start, and commits when f
// returns nil. When the database is busy, or two transactions got in each other's
// way, the whole of f runs again: f must have no effect outside tx that a second
// run would spoil.
func (d *DB) Write(ctx context.Context, f func(*Tx) error) error { panic("not written") }
