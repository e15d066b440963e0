package db

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/morango-go/morango/db/postgres"
	"github.com/morango-go/morango/db/sqlite"
	"github.com/morango-go/morango/db/transaction"
	"github.com/morango-go/morango/partition"
)

// Tx is a transaction. It belongs to one goroutine. Rows must be closed before the
// next statement runs.
type Tx struct {
	tx      *transaction.Tx
	kind    Kind
	most    time.Duration // that a part of a long job may take; 0 outside of one
	turns   *turns        // of which this is one, as a part of a long job on SQLite
	dialect dialect
	indexes map[string]bool // that are known to be there
	fresh   bool            // begun by Write, and no statement has run: a lock may still move the snapshot
	quiet   bool            // capture is off
	adopted bool            // the caller's own: its driver knows nothing of ours
	part    bool            // of a long job: it looks rows up, where there is an index
}

// dialect is what a transaction needs to know of the engine beyond SQL.
type dialect interface {
	// Time is what to bind for a moment.
	Time(moment time.Time) any
	// CodePoints makes a text column compare by code points.
	CodePoints(column string) string
	// Unpack is a subselect of the items of the JSON array in parameter $n.
	Unpack(n int, ids bool) string
	// Lock locks prefixes, or everything when there are none. When fresh, the
	// transaction's snapshot is taken after the locks are held.
	Lock(ctx context.Context, tx *transaction.Tx, fresh bool, prefixes []string, shared bool) error
	// HasIndex finds an index by its name.
	HasIndex(ctx context.Context, tx *transaction.Tx, name string) (bool, error)
	// Capture turns the capture of changes off and on.
	Capture(ctx context.Context, tx *transaction.Tx, on bool) error
	// Mark marks the state that the transaction leaves behind; "" when it cannot tell.
	Mark(ctx context.Context, tx *transaction.Tx) (string, error)
	// Unchanged reports whether the transaction began at the state of a mark.
	Unchanged(ctx context.Context, tx *transaction.Tx, mark string) (bool, error)
}

func dialectOf(kind Kind) dialect {
	if kind == Postgres {
		return postgres.Dialect{}
	}
	return sqlite.Dialect{}
}

// Adopt wraps a transaction of the caller's own, so that Morango's writes commit
// or roll back with the caller's. The caller turns capture on again, if it turned
// it off, before it commits. On PostgreSQL the transaction should be repeatable
// read, and ids come as its driver gives them: scan them as ID.
func Adopt(kind Kind, tx *sql.Tx) *Tx {
	return &Tx{tx: transaction.Of(tx), kind: kind, dialect: dialectOf(kind), adopted: true}
}

// Kind tells which engine the transaction runs on.
func (t *Tx) Kind() Kind { return t.kind }

// Exec runs a statement and returns the number of rows it changed.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	t.fresh = false
	result, err := t.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Query runs a query that returns rows. The caller closes them.
func (t *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	t.fresh = false
	return t.tx.QueryContext(ctx, query, args...)
}

// QueryRow runs a query of which the first row is wanted; Scan gives
// sql.ErrNoRows when there is none.
func (t *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	t.fresh = false
	return t.tx.QueryRowContext(ctx, query, args...)
}

// QueryRowAnew is QueryRow for a statement that is to be planned for its values, each time it runs.
// PostgreSQL keeps a plan after some runs that is made for any: it takes it then that a range
// holds few rows, and reads and sorts all that it does hold.
func (t *Tx) QueryRowAnew(ctx context.Context, query string, args ...any) *sql.Row {
	if engine, ok := t.dialect.(planner); ok && !t.adopted {
		args = engine.Anew(args)
	}
	return t.QueryRow(ctx, query, args...)
}

// QueryKept is Query for a statement with a list of which PostgreSQL may keep the plan, as it may not
// otherwise: because the table is small, whatever it holds.
func (t *Tx) QueryKept(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if engine, ok := t.dialect.(planner); ok && !t.adopted {
		args = engine.Kept(args)
	}
	return t.Query(ctx, query, args...)
}

// Prepare prepares a statement for many runs in this transaction. The caller
// closes it.
func (t *Tx) Prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	t.fresh = false
	return t.tx.PrepareContext(ctx, query)
}

// Lock locks the partitions of a filter until the transaction ends, in shared form
// for reading. It keeps out other processes, Python ones too, that lock the same
// way. It must be the first thing done in a transaction, so that the transaction
// sees everything that the previous holder committed. On SQLite, where there is
// one writer, it does nothing. A filter without a prefix locks everything.
func (t *Tx) Lock(ctx context.Context, f partition.Filter, shared bool) error {
	fresh := t.fresh
	t.fresh = false
	if err := t.dialect.Lock(ctx, t.tx, fresh, f.Prefixes(), shared); err != nil {
		return fmt.Errorf("lock partitions: %w", err)
	}
	if fresh && t.part { // it has begun anew
		return t.LookUp(ctx)
	}
	return nil
}

// HasIndex reports whether there is an index of this name. Django's layout does not have all
// of the lean one's.
func (t *Tx) HasIndex(ctx context.Context, name string) (bool, error) {
	if t.indexes[name] {
		return true, nil
	}
	t.fresh = false
	found, err := t.dialect.HasIndex(ctx, t.tx, name)
	if err != nil {
		return false, fmt.Errorf("look for the index %s: %w", name, err)
	}
	return found, nil
}

// Capture turns the capture of changes by triggers off (false) or on again (true)
// for this transaction's own writes to application tables. Writes of other
// transactions are captured all the while. The commit turns it on again. Turn it on before
// anything is written into the store: while it is off SQLite has a foreign key that is
// broken, and looks for what refers to each new row of a table.
func (t *Tx) Capture(ctx context.Context, on bool) error {
	if t.quiet == !on {
		return nil
	}
	t.fresh = false
	if err := t.dialect.Capture(ctx, t.tx, on); err != nil {
		return fmt.Errorf("turn the capture of changes on or off: %w", err)
	}
	t.quiet = !on
	return nil
}

// Mark marks the state that this transaction leaves behind, as its last statement: a
// later one of this process asks Unchanged whether anybody has written since. "" is no
// state. Capture is on afterwards.
func (t *Tx) Mark(ctx context.Context) (string, error) {
	if t.adopted {
		return "", nil // the caller may go on writing
	}
	if err := t.Capture(ctx, true); err != nil {
		return "", err
	}
	mark, err := t.dialect.Mark(ctx, t.tx)
	if err != nil {
		return "", fmt.Errorf("mark the state of the database: %w", err)
	}
	return mark, nil
}

// Unchanged reports whether nobody, in this process or in another, has written into the
// database between the transaction that took the mark, which was committed, and this one,
// which has written nothing yet. It may say no when there was nothing, on a server that
// others use as well, and never yes when there was something.
func (t *Tx) Unchanged(ctx context.Context, mark string) (bool, error) {
	if mark == "" {
		return false, nil
	}
	t.fresh = false
	same, err := t.dialect.Unchanged(ctx, t.tx, mark)
	if err != nil {
		return false, fmt.Errorf("look whether the database has changed: %w", err)
	}
	return same, nil
}

// Time is what to bind for a column that holds a moment in time.
func (t *Tx) Time(moment time.Time) any { return t.dialect.Time(moment) }

// PrefixCond is a condition that column starts with one of the filter's prefixes.
// Its parameters start at $firstParam and are returned as args. It is in
// parentheses; for a filter that matches all, or has no prefix, it is "(TRUE)".
func (t *Tx) PrefixCond(column string, f partition.Filter, firstParam int) (cond string, args []any) {
	prefixes := f.Prefixes()
	if len(prefixes) == 0 || slices.Contains(prefixes, "") {
		return "(TRUE)", nil
	}
	column = t.dialect.CodePoints(column)
	conds := make([]string, 0, len(prefixes))
	for _, prefix := range prefixes {
		lo, hi, bounded := partition.Range(prefix)
		args = append(args, lo)
		c := fmt.Sprintf("%s >= $%d", column, firstParam+len(args)-1)
		if bounded {
			args = append(args, hi)
			c += fmt.Sprintf(" AND %s < $%d", column, firstParam+len(args)-1)
		}
		conds = append(conds, c)
	}
	return "(" + strings.Join(conds, " OR ") + ")", args
}

// CodePoints makes a text column compare by code points, to order by it.
func (t *Tx) CodePoints(column string) string { return t.dialect.CodePoints(column) }

// planner is a dialect whose engine chooses by what it believes to be in the tables.
type planner interface {
	// WalkIndex makes sorting the last way to come by an order.
	WalkIndex(ctx context.Context, tx *transaction.Tx) error
	// LookUp makes reading a table whole the last way to find rows.
	LookUp(ctx context.Context, tx *transaction.Tx) error
	// Anew makes of a query's arguments those with which it is planned each time.
	Anew(args []any) []any
	// Kept makes of a query's arguments those with which its plan may be kept.
	Kept(args []any) []any
}

// WalkIndex has the transaction's queries, from now on, read in the order of an index where
// there is one for what they are ordered by: for a page of a long walk. PostgreSQL guesses
// how many rows match, and when it expects few it reads and sorts all that is left of the
// table, for each page. On SQLite, which guesses less, it does nothing.
func (t *Tx) WalkIndex(ctx context.Context) error {
	engine, ok := t.dialect.(planner)
	if !ok {
		return nil
	}
	t.fresh = false
	if err := engine.WalkIndex(ctx, t.tx); err != nil {
		return fmt.Errorf("have rows read in the order of an index: %w", err)
	}
	return nil
}

// LookUp has the transaction find rows by an index where there is one. PostgreSQL keeps
// plans that it made when a table was nearly empty, also its own for foreign keys, and would
// read a table that grows whole for each row that refers to it. A part does it by itself. Locks may
// still be taken.
func (t *Tx) LookUp(ctx context.Context) error {
	engine, ok := t.dialect.(planner)
	if !ok {
		return nil
	}
	t.part = true
	if err := engine.LookUp(ctx, t.tx); err != nil {
		return fmt.Errorf("have rows looked up by an index: %w", err)
	}
	return nil
}

// Damage has the engine look through its own file, and returns up to limit problems
// that it finds there. An engine that has no such way finds none.
func (t *Tx) Damage(ctx context.Context, limit int) ([]string, error) {
	engine, ok := t.dialect.(interface {
		Damage(ctx context.Context, tx *transaction.Tx, limit int) ([]string, error)
	})
	if !ok {
		return nil, nil
	}
	t.fresh = false
	return engine.Damage(ctx, t.tx, limit)
}

// IDs is a subselect of the ids in parameter $n, to be bound with JSONList:
// "id IN " + tx.IDs(1).
func (t *Tx) IDs(n int) string { return t.dialect.Unpack(n, true) }

// AmongIDs is a condition that a column of ids is among those in parameter $n, to be bound
// with JSONList: "IN " + IDs, which PostgreSQL joins with a table, in a form that it looks up
// in an index without that, and that it takes for few.
func (t *Tx) AmongIDs(column string, n int) string {
	return t.among(column, t.IDs(n))
}

// Among is a condition that a column of text is among the texts in parameter $n, to be bound
// with JSONList. Unlike "IN " + Texts it is found by an index on PostgreSQL, however few
// values the column has: the texts are expected to be few.
func (t *Tx) Among(column string, n int) string {
	return t.among(column, t.Texts(n))
}

// AmongNumbers is a condition that a column of whole numbers is among those in parameter $n, a JSON array of them.
func (t *Tx) AmongNumbers(column string, n int) string {
	return t.among(column, "(SELECT CAST(value AS bigint) FROM "+t.Texts(n)+" numbers)")
}

func (t *Tx) among(column, list string) string {
	if t.kind == Postgres {
		return column + " = ANY (ARRAY" + list + ")"
	}
	return column + " IN " + list
}

// Texts is a subselect of the texts in parameter $n, to be bound with JSONList.
func (t *Tx) Texts(n int) string { return t.dialect.Unpack(n, false) }
