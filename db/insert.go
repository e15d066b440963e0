package db

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/morango-go/morango/db/transaction"
)

// Insert says into which columns of a table rows go. The zero Conflict fails when a
// key is taken; else it is the clause that says what happens then, which must not
// touch the same row twice.
type Insert struct {
	Table    string
	Columns  []string
	Same     []Same // further columns, in which all rows have the same
	Conflict string // "ON CONFLICT (id) DO UPDATE SET ..."
	// RollsBack says that the caller rolls back when a row is refused, to before the call.
	// Then SQLite does not prepare for taking each row back by itself, which on a table
	// with triggers takes a third of the time.
	RollsBack bool
}

// Same is what all rows of an insert have in a column. It travels once for many rows.
type Same struct {
	Column string
	Value  any
}

// InsertAll inserts rows, each with a value for every column of Columns, in the way that
// is fastest: on SQLite a prepared statement for each row, on PostgreSQL a COPY, or
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
		same := make([]any, len(into.Same))
		for i, s := range into.Same {
			same[i] = s.Value
		}
		return many.Copy(ctx, t.tx, into.Table, into.columns(), same, rows)
	}
	same := into.bound()
	for len(rows) > 0 {
		n := 1 // a power of two: of few statements each stays prepared
		for n < rowsAtOnce && n*2 <= len(rows) && n*2*len(into.Columns)+len(same) <= parameters {
			n *= 2
		}
		if _, err := t.tx.ExecContext(ctx, into.statement(n, false), arguments(nil, same, rows[:n])...); err != nil {
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
	Copy(ctx context.Context, tx *transaction.Tx, table string, columns []string, same []any, rows [][]any) error
}

// insertEach tries an insert without the conflict clause first: SQLite, for all it knows,
// may have to take a statement with such a clause back in the middle, and copies every
// page before it changes it. That takes twice the time or more. Where a key is taken the
// clause decides, and also about the next rows, more of them each time.
func (t *Tx) insertEach(ctx context.Context, into Insert, rows [][]any) error {
	rows, err := t.insertNarrow(ctx, into, rows)
	if err != nil || len(rows) == 0 {
		return err
	}
	bare := into
	bare.Conflict = ""
	plain, err := t.tx.PrepareContext(ctx, bare.statement(1, true))
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
	same := into.bound()
	var args []any
	for at, next, taken := 0, 0, 0; at < len(rows); at++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		args = arguments(args[:0], same, rows[at:at+1])
		if at >= next {
			_, err := plain.ExecContext(unwatched, args...)
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
			if whole, err = t.tx.PrepareContext(ctx, into.statement(1, true)); err != nil {
				return err
			}
		}
		if _, err := whole.ExecContext(unwatched, args...); err != nil {
			return err
		}
	}
	return nil
}

// Rows of so few columns are narrow, and so many of them go into a statement on SQLite,
// because with these the way into the engine costs most.
const (
	narrow     = 3
	narrowRows = 32
)

// insertNarrow inserts narrow rows, many at once, where the caller takes all back when one
// is refused: SQLite else would copy each page before. It returns those that are left.
func (t *Tx) insertNarrow(ctx context.Context, into Insert, rows [][]any) ([][]any, error) {
	if !into.RollsBack || into.Conflict != "" || len(into.Columns) > narrow || len(rows) < narrowRows {
		return rows, nil
	}
	statement, err := t.tx.PrepareContext(ctx, into.statement(narrowRows, true))
	if err != nil {
		return nil, err
	}
	defer statement.Close()
	unwatched, same := context.WithoutCancel(ctx), into.bound() // as in insertEach
	var args []any
	for ; len(rows) >= narrowRows; rows = rows[narrowRows:] {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		args = arguments(args[:0], same, rows[:narrowRows])
		if _, err := statement.ExecContext(unwatched, args...); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// columns are all columns, those in which the rows have the same first.
func (i Insert) columns() []string {
	all := make([]string, 0, len(i.Same)+len(i.Columns))
	for _, s := range i.Same {
		all = append(all, s.Column)
	}
	return append(all, i.Columns...)
}

// bound are the values that rows have in common, but for those that stand in the statement.
func (i Insert) bound() []any {
	all := make([]any, 0, len(i.Same))
	for _, s := range i.Same {
		if s.literal() == "" {
			all = append(all, s.Value)
		}
	}
	return all
}

// literal is how a value is written that stands in the statement; "" when it is bound.
func (s Same) literal() string {
	switch s.Value {
	case nil:
		return "NULL"
	case "":
		return "''"
	case false:
		return "FALSE"
	case true:
		return "TRUE"
	}
	return ""
}

// arguments appends what is bound for rows.
func arguments(args, same []any, rows [][]any) []any {
	args = append(args, same...)
	for _, row := range rows {
		args = append(args, row...)
	}
	return args
}

// statement inserts n rows. On SQLite parameters of one use have no name, for the driver
// asks for the names at each run.
func (i Insert) statement(n int, sqlite bool) string {
	var b strings.Builder
	verb, parameter, place := "INSERT INTO", "$%d", 0
	if sqlite {
		parameter = "?%d"
		if i.RollsBack && i.Conflict == "" {
			verb = "INSERT OR FAIL INTO"
		}
	}
	columns := i.columns()
	for at, column := range columns {
		columns[at] = Quote(column)
	}
	fmt.Fprintf(&b, "%s %s (%s) VALUES ", verb, Quote(i.Table), strings.Join(columns, ", "))
	var row []string
	for _, s := range i.Same {
		literal := s.literal()
		if literal == "" {
			place++
			literal = fmt.Sprintf(parameter, place)
		}
		row = append(row, literal)
	}
	for at := range n {
		row = row[:len(i.Same)]
		for range i.Columns {
			if place++; sqlite {
				row = append(row, "?")
			} else {
				row = append(row, fmt.Sprintf(parameter, place))
			}
		}
		if at > 0 {
			b.WriteString(", ")
		}
		b.WriteString("(" + strings.Join(row, ", ") + ")")
	}
	b.WriteString(" " + i.Conflict)
	return b.String()
}
