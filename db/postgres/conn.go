package postgres

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/morango-go/morango/db/transaction"
)

// The driver is wrapped for six reasons: uuid columns give 32 hex digits, as on
// SQLite, instead of digits with dashes; a connection on which taking locks failed
// is closed, because it may hold some of them beyond its transaction; one that is broken is
// replaced before a transaction begins; rows can be copied into a table; statements
// with lists are planned for what the tables hold when they run; and a statement's context is the
// one that package transaction hides from database/sql.

type connector struct{ driver.Connector }

// settings are those of each connection. Commits wait for the disk where the server is told
// not to: a counter that a peer has seen, and a chunk that was acknowledged, must outlive the
// server; stricter settings stay. Statements are not compiled: ours are short, and the server
// would spend more on that than on running them.
const settings = `SELECT CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', FALSE) END,
	CASE WHEN current_setting('jit', TRUE) = 'on' THEN set_config('jit', 'off', FALSE) END`

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	raw, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	made := &conn{Conn: raw.(*stdlib.Conn)}
	if _, err := made.Conn.Conn().Exec(ctx, settings); err != nil {
		return nil, errors.Join(fmt.Errorf("set up the connection: %w", err), made.Close())
	}
	return made, nil
}

type conn struct {
	*stdlib.Conn
	spoilt bool
}

// lockKey marks the context of a statement that takes locks beyond a transaction.
type lockKey struct{}

// BeginTx says of a connection that turns out to be broken when a transaction begins on
// it, as after a restart of the server, that it is bad: the pool then takes another.
func (c *conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.BeginTx(ctx, o)
	if err != nil && ctx.Err() == nil && c.Conn.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	return tx, err
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 1 {
		if copied, ok := args[0].Value.(copying); ok {
			return c.copy(transaction.Context(ctx), copied)
		}
	}
	ctx = transaction.Context(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err // the statement before may have ended with it: then the connection is closed
	}
	result, err := c.Conn.ExecContext(ctx, query, planned(query, args))
	if err != nil && ctx.Value(lockKey{}) != nil {
		c.spoilt = true
	}
	return result, err
}

// copy copies rows into a table. It makes ids of texts itself: the driver takes texts for
// ids too, but only after it has tried other ways.
func (c *conn) copy(ctx context.Context, from copying) (driver.Result, error) {
	raw := c.Conn.Conn()
	table := pgx.Identifier{from.table}
	columns := make([]string, len(from.columns))
	for i, column := range from.columns {
		columns[i] = pgx.Identifier{column}.Sanitize()
	}
	like := "SELECT " + strings.Join(columns, ", ") + " FROM " + table.Sanitize()
	described, err := raw.Prepare(ctx, like, like) // once a connection
	if err != nil {
		return nil, err
	}
	row := make([]any, len(from.columns))
	n, err := raw.CopyFrom(ctx, table, from.columns, pgx.CopyFromSlice(len(from.rows), func(at int) ([]any, error) {
		copy(row[copy(row, from.same):], from.rows[at])
		for i := range described.Fields {
			var id [16]byte
			if text, ok := row[i].(string); ok && described.Fields[i].DataTypeOID == pgtype.UUIDOID && len(text) == 2*len(id) {
				if _, err := hex.Decode(id[:], []byte(text)); err == nil {
					row[i] = id
				}
			}
		}
		return row, nil
	}))
	return driver.RowsAffected(n), err
}

// planned has a statement with a list planned each time it runs. Of a statement that has run
// some times on a connection the server keeps the plan, also one that it made when the table
// was nearly empty: to read all of it, and compare each row with the list.
func planned(query string, args []driver.NamedValue) []driver.NamedValue {
	if !strings.Contains(query, unpacking) {
		return args
	}
	if len(args) > 0 {
		if _, said := args[0].Value.(pgx.QueryExecMode); said {
			return args
		}
	}
	return append([]driver.NamedValue{{Value: pgx.QueryExecModeCacheDescribe}}, args...)
}

// copying is the argument of an Exec that is a COPY into a table.
type copying struct {
	table   string
	columns []string
	same    []any // what all rows have in the first columns
	rows    [][]any
}

// Copy copies rows into the columns of a table, in the first of which all have the same.
func (Dialect) Copy(ctx context.Context, tx *transaction.Tx, table string, columns []string, same []any, rows [][]any) error {
	_, err := tx.ExecContext(ctx, "COPY "+table, copying{table, columns, same, rows})
	return err
}

// IsValid tells the pool whether to keep the connection.
func (c *conn) IsValid() bool { return !c.spoilt }

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	ctx = transaction.Context(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err // as above
	}
	return wrapRows(c.Conn.QueryContext(ctx, query, planned(query, args)))
}

func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	raw, err := c.Conn.PrepareContext(transaction.Context(ctx), query)
	if err != nil {
		return nil, err
	}
	return stmt{raw.(*stdlib.Stmt)}, nil
}

type stmt struct{ *stdlib.Stmt }

func (s stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return wrapRows(s.Stmt.QueryContext(ctx, args))
}

// rows has the driver's rows as a field, so that no newer way of reading a column
// goes past Next.
type rows struct {
	raw *stdlib.Rows
	ids []int // which columns are of the type uuid
}

func wrapRows(raw driver.Rows, err error) (driver.Rows, error) {
	if err != nil {
		return nil, err
	}
	r := &rows{raw: raw.(*stdlib.Rows)}
	for i := range r.raw.Columns() {
		if r.raw.ColumnTypeDatabaseTypeName(i) == "UUID" {
			r.ids = append(r.ids, i)
		}
	}
	return r, nil
}

func (r *rows) Columns() []string { return r.raw.Columns() }

func (r *rows) Close() error { return r.raw.Close() }

func (r *rows) ColumnTypeDatabaseTypeName(i int) string { return r.raw.ColumnTypeDatabaseTypeName(i) }

func (r *rows) Next(dest []driver.Value) error {
	if err := r.raw.Next(dest); err != nil {
		return err
	}
	for _, i := range r.ids {
		if id, ok := dest[i].(string); ok {
			dest[i] = strings.ReplaceAll(id, "-", "")
		}
	}
	return nil
}
