package app

import (
	"context"
	"fmt"
	"strings"

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
	found, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the changed rows of table %s: %w", m.Table, err)
	}
	defer found.Close()
	raw := make([]any, len(m.Columns)+1)
	into := make([]any, len(raw))
	for i := range raw {
		into[i] = &raw[i]
	}
	var rows []Row
	for found.Next() {
		if err := found.Scan(into...); err != nil {
			return nil, fmt.Errorf("read a changed row of table %s: %w", m.Table, err)
		}
		rows = append(rows, rowOf(tx.Kind(), m, raw))
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("read the changed rows of table %s: %w", m.Table, err)
	}
	if len(rows) > 0 && rows[0].ID <= after {
		return nil, fmt.Errorf("table %s: the id of row %q is no text; store ids as 32 lower-case hex digits", m.Table, rows[0].ID)
	}
	return rows, nil
}

// dirtyQuery builds the page's query: the id, then the columns.
func dirtyQuery(tx *db.Tx, m *model.Model, filter partition.Filter, after string, limit int) (string, []any) {
	cols := make([]string, 0, len(m.Columns)+1)
	cols = append(cols, model.ColumnID)
	for _, c := range m.Columns {
		cols = append(cols, db.Quote(c.Name))
	}
	comes := ">"
	if after == "" && tx.Kind() == db.Postgres {
		after, comes = strings.Repeat("0", 32), ">=" // an empty text is no uuid
	}
	cond, args := tx.PrefixCond(db.Quote(model.ColumnPartition), filter, 2)
	args = append([]any{after}, args...)
	cond += discriminator(m, &args)
	return fmt.Sprintf("SELECT %s FROM %s WHERE %s AND id %s $1 AND %s ORDER BY id LIMIT %d",
		strings.Join(cols, ", "), db.Quote(m.Table), db.Quote(model.ColumnDirty), comes, cond, limit), args
}

// discriminator is the condition that picks the model's rows out of a shared
// table, to be put behind another; its values are added to args.
func discriminator(m *model.Model, args *[]any) string {
	cond, values := mine(m, len(*args)+1)
	*args = append(*args, values...)
	return cond
}

// rowOf makes a row of what was scanned: the id, then the columns.
func rowOf(kind db.Kind, m *model.Model, raw []any) Row {
	row := Row{ID: idText(kind, raw[0]), Values: make([]any, len(m.Columns))}
	if !ident.Valid(row.ID) {
		return Row{ID: row.ID, Fault: fmt.Errorf("the id %q is not 32 lower-case hex digits", row.ID)}
	}
	for i := range m.Columns {
		v, err := FromDatabase(&m.Columns[i], raw[i+1])
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

// ClearDirty clears the dirty bits of exactly these rows, without the change
// being captured. It leaves capture on.
func ClearDirty(ctx context.Context, tx *db.Tx, m *model.Model, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	if err := tx.Capture(ctx, false); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, fmt.Sprintf("UPDATE %s SET %s = FALSE WHERE id IN %s",
		db.Quote(m.Table), db.Quote(model.ColumnDirty), tx.IDs(1)), db.JSONList(ids))
	if err != nil {
		return fmt.Errorf("clear the dirty bits of table %s: %w", m.Table, err)
	}
	return tx.Capture(ctx, true)
}

// Existing returns those of the ids that the model's table holds, whichever model
// of a shared table they belong to.
func Existing(ctx context.Context, tx *db.Tx, m *model.Model, of []string) (map[string]bool, error) {
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s IN %s", db.Quote(model.ColumnID), db.Quote(m.Table), db.Quote(model.ColumnID), tx.IDs(1))
	return set(ids(ctx, tx, m.Table, query, db.JSONList(of)))
}
