package db

import (
	"context"
	"database/sql"
	"time"

	"github.com/morango-go/morango/partition"
)

// Tx is a transaction. It belongs to one goroutine. Rows must be closed before the
// next statement runs.
type Tx struct{}

// Adopt wraps a transaction of the caller's own, so that Morango's writes commit
// or roll back with the caller's.
func Adopt(kind Kind, tx *sql.Tx) *Tx { panic("not written") }

// Kind tells which engine the transaction runs on.
func (t *Tx) Kind() Kind { panic("not written") }

// Exec runs a statement and returns the number of rows it changed.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	panic("not written")
}

// Query runs a query that returns rows. The caller closes them.
func (t *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	panic("not written")
}

// QueryRow runs a query of which the first row is wanted; Scan gives
// sql.ErrNoRows when there is none.
func (t *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	panic("not written")
}

// Prepare prepares a statement for many runs in this transaction. The caller
// closes it.
func (t *Tx) Prepare(ctx context.Context, query string) (*sql.Stmt, error) { panic("not written") }

// Lock locks the partitions of a filter until the transaction ends, in shared form
// for reading. It keeps out other processes, Python ones too, that lock the same
// way. On SQLite, where there is one writer, it does nothing. A filter without a
// prefix locks everything.
func (t *Tx) Lock(ctx context.Context, f partition.Filter, shared bool) error { panic("not written") }

// Capture turns the capture of changes by triggers off (false) or on again (true)
// for this transaction's own writes to application tables. Writes of other
// transactions are captured all the while. The commit turns it on again.
func (t *Tx) Capture(ctx context.Context, on bool) error { panic("not written") }

// Time is what to bind for a column that holds a moment in time.
func (t *Tx) Time(moment time.Time) any { panic("not written") }

// PrefixCond is a condition that column starts with one of the filter's prefixes.
// Its parameters start at $firstParam and are returned as args. It is in
// parentheses; for a filter that matches all, or has no prefix, it is "(TRUE)".
func (t *Tx) PrefixCond(column string, f partition.Filter, firstParam int) (cond string, args []any) {
	panic("not written")
}

// IDs is a subselect of the ids in parameter $n, to be bound with JSONList:
// "id IN " + tx.IDs(1).
func (t *Tx) IDs(n int) string { panic("not written") }

// Texts is a subselect of the texts in parameter $n, to be bound with JSONList.
func (t *Tx) Texts(n int) string { panic("not written") }
