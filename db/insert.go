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

func (t *Tx) insertEach(ctx context.Context, into Insert, rows [][]any) error {
	statement, err := t.tx.PrepareContext(ctx, into.statement(1))
	if err != nil {
		return err
	}
	defer statement.Close()
	// Under a context that can end, SQLite's driver starts a goroutine for each run, which
	// makes the insert of a short row take half as long again. So we look ourselves.
	unwatched := context.WithoutCancel(ctx)
	for _, row := range rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := statement.ExecContext(unwatched, row...); err != nil {
			return err
		}
	}
	return nil
}

// statement inserts n rows.
func (i Insert) statement(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES ", Quote(i.Table), strings.Join(i.Columns, ", "))
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
