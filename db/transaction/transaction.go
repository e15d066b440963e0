// Package transaction runs a transaction on a connection of a database/sql pool without the
// goroutines of sql.Tx. That one starts a goroutine for the transaction and another for each of its
// queries, to roll back and to close rows when a context ends; on PostgreSQL, where each statement
// waits for an answer, putting these to sleep and waking them took half of the time of a short query.
// A driver that looks at the context itself needs none of it: here database/sql is shown a context
// that does not end, of which the driver finds the true one by Context.
//
// It is part of package db, in the tables layer, and imports only the standard library.
package transaction

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// Tx is a transaction. It belongs to one goroutine. Rows must be closed before the next statement
// runs, and before it ends. The zero value is not usable.
type Tx struct {
	statements
	ends driver.Tx
}

// statements is what a transaction's statements run on.
type statements interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// Of is a transaction of database/sql itself: for a driver that does not know of Context.
func Of(tx *sql.Tx) *Tx { return &Tx{statements: tx, ends: tx} }

// mostBroken is how many connections of a pool may turn out to be broken, as after a restart of the
// server, before Begin gives up. It is more than a pool keeps.
const mostBroken = 20

// Begin begins a transaction on a connection of the pool. Its driver asks Context for the context of
// each statement, and says driver.ErrBadConn of a connection on which no transaction can begin any
// more: then another is taken.
func Begin(ctx context.Context, pool *sql.DB, o driver.TxOptions) (*Tx, error) {
	for broken := 0; ; broken++ {
		conn, err := pool.Conn(ctx)
		if err != nil {
			return nil, err
		}
		var raw driver.Tx
		err = conn.Raw(func(of any) error {
			begins, ok := of.(driver.ConnBeginTx)
			if !ok {
				return fmt.Errorf("a %T cannot begin a transaction of a kind", of)
			}
			raw, err = begins.BeginTx(ctx, o)
			return err
		})
		if err == nil {
			return &Tx{statements: watched{conn}, ends: &ending{ctx: ctx, conn: conn, tx: raw}}, nil
		}
		_ = conn.Close() // says no more than that it was closed already
		if !errors.Is(err, driver.ErrBadConn) || broken == mostBroken {
			return nil, err
		}
	}
}

// Single is a connection of the pool on which one query may run, without a transaction around it. Rollback
// gives it back.
func Single(ctx context.Context, pool *sql.DB) (*Tx, error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &Tx{statements: &single{on: watched{conn}}, ends: &ending{ctx: ctx, conn: conn, tx: nothing{}}}, nil
}

// Commit commits the transaction and gives the connection back.
func (t *Tx) Commit() error { return t.ends.Commit() }

// Rollback rolls the transaction back and gives the connection back. After a commit it does nothing and says
// sql.ErrTxDone.
func (t *Tx) Rollback() error { return t.ends.Rollback() }

// ending ends a transaction that Begin began.
type ending struct {
	ctx  context.Context // with which it began
	conn *sql.Conn
	tx   driver.Tx
	over bool
}

func (e *ending) Commit() error {
	if err := e.ctx.Err(); err != nil && !e.over {
		_ = e.end(e.tx.Rollback) // fails where a statement has ended with the context, and the connection with it
		return err
	}
	return e.end(e.tx.Commit)
}

func (e *ending) Rollback() error { return e.end(e.tx.Rollback) }

func (e *ending) end(how func() error) error {
	if e.over {
		return sql.ErrTxDone
	}
	e.over = true
	err := e.conn.Raw(func(any) error { return how() })
	_ = e.conn.Close() // as above
	return err
}

// watched runs statements on a connection whose driver watches their contexts.
type watched struct{ conn *sql.Conn }

func (w watched) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return w.conn.ExecContext(unseen{ctx}, query, args...)
}

func (w watched) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return w.conn.QueryContext(unseen{ctx}, query, args...)
}

func (w watched) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return w.conn.QueryRowContext(unseen{ctx}, query, args...)
}

func (w watched) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return w.conn.PrepareContext(unseen{ctx}, query)
}

// errSingle says that more is asked than Single is for.
var errSingle = errors.New("more than one query outside of a transaction")

// single runs one query.
type single struct {
	on    watched
	asked bool
}

func (s *single) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, errSingle
}

func (s *single) PrepareContext(context.Context, string) (*sql.Stmt, error) { return nil, errSingle }

func (s *single) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return s.on.QueryContext(s.once(ctx), query, args...)
}

func (s *single) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return s.on.QueryRowContext(s.once(ctx), query, args...)
}

// once is the context of the first query, and one that has ended for others.
func (s *single) once(ctx context.Context) context.Context {
	if s.asked {
		return refused{ctx}
	}
	s.asked = true
	return ctx
}

// refused is a context that has ended before it began.
type refused struct{ context.Context }

func (refused) Err() error { return errSingle }

// nothing is what there is to end where nothing has begun.
type nothing struct{}

func (nothing) Commit() error { return nil }

func (nothing) Rollback() error { return nil }

// unseen is a context of which database/sql does not see that it can end.
type unseen struct{ context.Context }

func (unseen) Deadline() (at time.Time, there bool) { return time.Time{}, false }

func (unseen) Done() <-chan struct{} { return nil }

func (unseen) Err() error { return nil }

// Context is the context that a statement was given, of the one that its driver gets.
func Context(ctx context.Context) context.Context {
	if u, ok := ctx.(unseen); ok {
		return u.Context
	}
	return ctx
}
