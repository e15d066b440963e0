package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
)

// DirtyPage returns up to limit dirty rows of a model that lie in the filter and
// whose id is greater than after, in id order. The zero filter means all rows. A
// row with a value that its column's type cannot hold comes with its Fault.
func DirtyPage(ctx context.Context, tx *db.Tx, m *model.Model, filter partition.Filter, after string, limit int) ([]Row, error) {
	query, args := dirtyQuery(tx, m, filter, after, limit)
	rows, _, err := readRows(ctx, tx, m, query, args, &room{})
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 && rows[0].ID <= after {
		return nil, fmt.Errorf("table %s: the id of row %q is no text; store ids as 32 lower-case hex digits", m.Table, rows[0].ID)
	}
	return rows, nil
}

// dirtyQuery builds the page's query: the id, then the columns.
func dirtyQuery(tx *db.Tx, m *model.Model, filter partition.Filter, after string, limit int) (string, []any) {
	after, comes := beyond(tx.Kind(), after)
	cond, args := tx.PrefixCond(db.Quote(model.ColumnPartition), filter, 2)
	args = append([]any{after}, args...)
	cond += discriminator(m, &args)
	return fmt.Sprintf("SELECT id, %s FROM %s WHERE %s AND id %s $1 AND %s ORDER BY id LIMIT %d",
		columnsOfTable(m), db.Quote(m.Table), db.Quote(model.ColumnDirty), comes, cond, limit), args
}

// beyond is the id after which a page begins, and how the page's ids compare with it. An empty
// text, the beginning, is no uuid for PostgreSQL.
func beyond(kind db.Kind, after string) (id, comes string) {
	if after == "" && kind == db.Postgres {
		return ident.Lowest, ">="
	}
	return after, ">"
}

// columnsOfTable lists the model's columns.
func columnsOfTable(m *model.Model) string {
	cols := make([]string, len(m.Columns))
	for i, c := range m.Columns {
		cols[i] = c.Name
	}
	return quoteAll(cols)
}

// room is where the rows of a page are put, and those of the next in their place.
type room struct {
	rows  []Row
	cells [][]any // of rowsTogether rows each
}

const rowsTogether = 32

// cellsOf returns the cells of the n-th row.
func (r *room) cellsOf(n, columns int) []any {
	slab := n / rowsTogether
	if slab == len(r.cells) {
		r.cells = append(r.cells, nil)
	}
	if len(r.cells[slab]) < rowsTogether*columns {
		r.cells[slab] = make([]any, rowsTogether*columns)
	}
	first := n % rowsTogether * columns
	return r.cells[slab][first : first+columns : first+columns]
}

// readRows runs a query for the place of rows and their columns, and returns the last
// row's place as it is in the database.
func readRows(ctx context.Context, tx *db.Tx, m *model.Model, query string, args []any, in *room) (rows []Row, last any, err error) {
	found, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, nil, fmt.Errorf("read the rows of table %s: %w", m.Table, err)
	}
	defer found.Close()
	raw := make([]any, len(m.Columns)+1)
	into := make([]any, len(raw))
	for i := range raw {
		into[i] = &raw[i]
	}
	id := slices.IndexFunc(m.Columns, func(c model.Column) bool { return c.Name == model.ColumnID }) + 1
	in.rows = in.rows[:0]
	for n := 0; found.Next(); n++ {
		if err := found.Scan(into...); err != nil {
			return nil, nil, fmt.Errorf("read a row of table %s: %w", m.Table, err)
		}
		in.rows = append(in.rows, rowOf(tx.Kind(), m, raw[id], raw[1:], in.cellsOf(n, len(m.Columns))))
	}
	if err := found.Err(); err != nil {
		return nil, nil, fmt.Errorf("read the rows of table %s: %w", m.Table, err)
	}
	return in.rows, raw[0], nil
}

// discriminator is the condition that picks the model's rows out of a shared
// table, to be put behind another; its values are added to args.
func discriminator(m *model.Model, args *[]any) string {
	cond, values := mine(m, len(*args)+1)
	*args = append(*args, values...)
	return cond
}

// rowOf makes a row of what was scanned, into the given cells.
func rowOf(kind db.Kind, m *model.Model, rawID any, raw, cells []any) Row {
	row := Row{ID: idText(kind, rawID), Values: cells}
	if !ident.Valid(row.ID) {
		return Row{ID: row.ID, Fault: fmt.Errorf("the id %q is not 32 lower-case hex digits", row.ID)}
	}
	if _, blob := rawID.([]byte); blob && kind == db.SQLite {
		return Row{ID: row.ID, Fault: fmt.Errorf("the id %q is no text", row.ID)} // and is not equal to one
	}
	for i := range m.Columns {
		v, err := FromDatabase(&m.Columns[i], raw[i])
		if err != nil {
			return Row{ID: row.ID, Fault: err}
		}
		row.Values[i] = v
	}
	return row
}

// idText is an id as it stands in the database. PostgreSQL gives uuids dashes;
// elsewhere a dash makes it another id.
func idText(kind db.Kind, raw any) string {
	text, ok := raw.(string)
	if !ok {
		return fmt.Sprintf("%s", raw)
	}
	if kind == db.Postgres {
		if id, err := ident.Parse(text); err == nil {
			return id
		}
	}
	return text
}

// Existing returns those of the ids that the model's table holds, whichever model
// of a shared table they belong to.
func Existing(ctx context.Context, tx *db.Tx, m *model.Model, of []string) (map[string]bool, error) {
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s", db.Quote(model.ColumnID), db.Quote(m.Table), tx.AmongIDs(db.Quote(model.ColumnID), 1))
	return set(ids(ctx, tx, m.Table, query, db.JSONList(of)))
}
