package db

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Insert says into which columns of a table rows go. The zero Conflict fails when a
// key is taken; else it is the clause that says what happens then, which must not
// touch the same row twice.
type Insert struct {
	Table    string
	Columns  []string
	Conflict string // "ON CONFLICT (id) DO UPDATE SET ..."
	// RollsBack says that the caller rolls back when a row is refused, to before the call.
	// Then SQLite does not prepare for taking each row back by itself, which on a table
	// with triggers takes a third of the time.
	RollsBack bool
}

// InsertAll inserts rows, each with a value for every column, in the way that is
// fastest: on SQLite a prepared statement for each row, on PostgreSQL a COPY, or
// with a conflict clause many rows a statement.
func (t *Tx) InsertAll(ctx context.Context, into Insert, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	t.fresh = false
	many, ok := t.dialect.(bulk)
	switch {
	case !ok:
		return t.insertEach(ctx, into, rows)
	case into.Conflict == "" && !t.adopted:
		return many.Copy(ctx, t.tx, into.Table, into.Columns, rows)
	}
	for len(rows) > 0 {
		n := 1 // a power of two: of few statements each stays prepared
		for n < rowsAtOnce && n*2 <= len(rows) && n*2*len(into.Columns) <= parameters {
			n *= 2
		}
		args := make([]any, 0, n*len(into.Columns))
		for _, row := range rows[:n] {
			args = append(args, row...)
		}
		if _, err := t.tx.ExecContext(ctx, into.statement(n), args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// What one statement takes: more rows make it no faster, and PostgreSQL allows no more
// parameters.
const (
	rowsAtOnce = 256
	parameters = 65_535
)

// bulk is a dialect for which a statement a row is slow.
type bulk interface {
	Copy(ctx context.Context, tx *sql.Tx, table string, columns []string, rows [][]any) error
}

// insertEach tries an insert without the conflict clause first: SQLite, for all it knows,
// may have to take a statement with such a clause back in the middle, and copies every
// page before it changes it. That takes twice the time or more. Where a key is taken the
// clause decides, and also about the next rows, more of them each time.
func (t *Tx) insertEach(ctx context.Context, into Insert, rows [][]any) error {
	bare := into
	bare.Conflict = ""
	query := bare.statement(1)
	if into.RollsBack {
		query = strings.Replace(query, "INSERT", "INSERT OR FAIL", 1)
	}
	plain, err := t.tx.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer plain.Close()
	var whole *sql.Stmt
	defer func() {
		if whole != nil {
			whole.Close()
		}
	}()
	// Under a context that can end, SQLite's driver starts a goroutine for each run, which
	// makes the insert of a short row take half as long again. So we look ourselves.
	unwatched := context.WithoutCancel(ctx)
	for at, next, taken := 0, 0, 0; at < len(rows); at++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if at >= next {
			_, err := plain.ExecContext(unwatched, rows[at]...)
			if err == nil {
				taken = 0
				continue
			} else if into.Conflict == "" || !IsConstraint(err) {
				return err
			}
			taken = min(2*taken+1, rowsAtOnce)
			next = at + taken
		}
		if whole == nil {
			if whole, err = t.tx.PrepareContext(ctx, into.statement(1)); err != nil {
				return err
			}
		}
		if _, err := whole.ExecContext(unwatched, rows[at]...); err != nil {
			return err
		}
	}
	return nil
}

// statement inserts n rows.
func (i Insert) statement(n int) string {
	var b strings.Builder
	quoted := make([]string, len(i.Columns))
	for at, column := range i.Columns {
		quoted[at] = Quote(column)
	}
	fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES ", Quote(i.Table), strings.Join(quoted, ", "))
	for place := range n * len(i.Columns) {
		switch {
		case place == 0:
			b.WriteString("(")
		case place%len(i.Columns) == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", place+1)
	}
	b.WriteString(") " + i.Conflict)
	return b.String()
}
