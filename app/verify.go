package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// HeldRow is a row as it stands in the application's table. Changed says that the
// application has changed it since it was last serialized.
type HeldRow struct {
	Row
	Changed bool
}

// HeldPage returns up to limit rows of a model with ids greater than after, in id
// order. A row with a value that its column's type cannot hold comes with its Fault.
func HeldPage(ctx context.Context, tx *db.Tx, m *model.Model, after string, limit int) ([]HeldRow, error) {
	cols := make([]string, 0, len(m.Columns)+2)
	cols = append(cols, model.ColumnID)
	for _, c := range m.Columns {
		cols = append(cols, db.Quote(c.Name))
	}
	cols = append(cols, db.Quote(model.ColumnDirty))
	after, comes := beyond(tx.Kind(), after)
	args := []any{after}
	where := "id " + comes + " $1" + discriminator(m, &args)
	found, err := tx.Query(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY id LIMIT %d",
		strings.Join(cols, ", "), db.Quote(m.Table), where, limit), args...)
	if err != nil {
		return nil, fmt.Errorf("read the rows of table %s: %w", m.Table, err)
	}
	defer found.Close()
	raw := make([]any, len(m.Columns)+1)
	var changed bool
	into := make([]any, 0, len(cols))
	for i := range raw {
		into = append(into, &raw[i])
	}
	into = append(into, &changed)
	var rows []HeldRow
	for found.Next() {
		if err := found.Scan(into...); err != nil {
			return nil, fmt.Errorf("read a row of table %s: %w", m.Table, err)
		}
		rows = append(rows, HeldRow{rowOf(tx.Kind(), m, raw[0], raw[1:], make([]any, len(m.Columns))), changed})
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("read the rows of table %s: %w", m.Table, err)
	}
	if n := len(rows); n > 0 && rows[n-1].ID <= after {
		return nil, fmt.Errorf("table %s: the id of row %q is no text; store ids as 32 lower-case hex digits", m.Table, rows[n-1].ID)
	}
	return rows, nil
}

// Absent calls each with the ids of the records that the store holds as applied and
// not deleted and that the model's table lacks, in no order, unless the application
// has recorded their deletion.
func Absent(ctx context.Context, tx *db.Tx, profile string, m *model.Model, each func(id string)) error {
	rows, err := tx.Query(ctx, fmt.Sprintf(`SELECT s.id FROM morango_store s
		WHERE s.profile = $1 AND s.model_name = $2 AND NOT s.deleted AND NOT s.hard_deleted AND NOT s.dirty_bit
			AND NOT EXISTS (SELECT 1 FROM %s a WHERE a.id = s.id)
			AND NOT EXISTS (SELECT 1 FROM morango_deletedmodels d WHERE d.id = s.id)`, db.Quote(m.Table)), profile, m.Name)
	if err != nil {
		return fmt.Errorf("look for records that table %s lacks: %w", m.Table, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id db.ID
		if err := rows.Scan(&id); err != nil {
			return fmt.Errorf("look for records that table %s lacks: %w", m.Table, err)
		}
		each(string(id))
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("look for records that table %s lacks: %w", m.Table, err)
	}
	return nil
}

// MarkChanged marks rows of a model as changed, so that the next serialize gives them a
// new version.
func MarkChanged(ctx context.Context, tx *db.Tx, m *model.Model, ids []string) error {
	cond, args := mine(m, 2)
	_, err := tx.Exec(ctx, fmt.Sprintf("UPDATE %s SET %s = TRUE WHERE id IN %s%s",
		db.Quote(m.Table), db.Quote(model.ColumnDirty), tx.IDs(1), cond), append([]any{db.JSONList(ids)}, args...)...)
	if err != nil {
		return fmt.Errorf("mark rows of table %s as changed: %w", m.Table, err)
	}
	return nil
}
