package app

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// ErrOtherModel says that a row's id belongs to a row of another model in the same
// table, which must not be touched.
var ErrOtherModel = errors.New("the id belongs to a row of another model in the same table")

// Upsert writes rows with their dirty bit clear: new ones whole, known ones in the
// columns that travel, so that local columns keep what they hold. It stops at a
// row that cannot be written; what was written before stays until the caller
// rolls back. A row that the table's constraints refuse is an error that
// db.IsConstraint knows; a row of another model's is ErrOtherModel. The caller
// turns capture off.
func Upsert(ctx context.Context, tx *db.Tx, m *model.Model, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	if len(m.Where) == 0 {
		return upsertAll(ctx, tx, m, rows)
	}
	query, fixed := upsertQuery(m)
	statement, err := tx.Prepare(ctx, query)
	if err != nil {
		return fmt.Errorf("write into table %s: %w", m.Table, err)
	}
	defer statement.Close()
	for _, row := range rows {
		if err := writeOwn(ctx, statement, append(bindAll(tx.Kind(), m, row), fixed...)); err != nil {
			return fmt.Errorf("write row %s into table %s: %w", row.ID, m.Table, err)
		}
	}
	return nil
}

// writeOwn runs a statement that writes one row, and none if that is another model's. Each
// run under a context that can end costs SQLite's driver a goroutine, so we look ourselves.
func writeOwn(ctx context.Context, statement *sql.Stmt, args []any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	result, err := statement.ExecContext(context.WithoutCancel(ctx), args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return ErrOtherModel
}

// Overwrite is Upsert for rows that the table has. An error wraps ErrTogether, and the
// caller rolls back to before the call: so SQLite need not prepare for taking each row
// back by itself (see db.Insert).
func Overwrite(ctx context.Context, tx *db.Tx, m *model.Model, rows []Row) error {
	if tx.Kind() != db.SQLite || len(rows) == 0 {
		return Upsert(ctx, tx, m, rows)
	}
	sets := []string{db.Quote(model.ColumnDirty) + " = FALSE"}
	var places []int
	for i, c := range m.Columns {
		if !c.Local && c.Name != model.ColumnID {
			places = append(places, i)
			sets = append(sets, fmt.Sprintf("%s = $%d", db.Quote(c.Name), len(places)))
		}
	}
	cond, fixed := mine(m, len(places)+2)
	statement, err := tx.Prepare(ctx, fmt.Sprintf("UPDATE OR FAIL %s SET %s WHERE %s = $%d%s",
		db.Quote(m.Table), strings.Join(sets, ", "), db.Quote(model.ColumnID), len(places)+1, cond))
	if err != nil {
		return fmt.Errorf("write into table %s: %w", m.Table, err)
	}
	defer statement.Close()
	for _, row := range rows {
		args := make([]any, 0, len(places)+1+len(fixed))
		for _, i := range places {
			args = append(args, Bind(tx.Kind(), &m.Columns[i], row.Values[i]))
		}
		if err := writeOwn(ctx, statement, append(append(args, row.ID), fixed...)); err != nil {
			return fmt.Errorf("write row %s into table %s: %w: %w", row.ID, m.Table, ErrTogether, err)
		}
	}
	return nil
}

// ErrTogether says that rows could not be inserted together, for what one of them holds or
// for what the table is like. Upsert may be able to write them.
var ErrTogether = errors.New("the rows could not be inserted together")

// Insert writes rows that the table lacks, with their dirty bit clear. An error wraps
// ErrTogether, and the caller rolls back to before the call. The caller turns capture off.
func Insert(ctx context.Context, tx *db.Tx, m *model.Model, rows []Row) error {
	into := db.Insert{Table: m.Table, RollsBack: true}
	for _, c := range m.Columns {
		into.Columns = append(into.Columns, c.Name)
	}
	into.Same = []db.Same{{Column: model.ColumnDirty, Value: false}}
	for _, where := range m.Where {
		if _, listed := m.Column(where.Column); !listed {
			into.Same = append(into.Same, db.Same{Column: where.Column, Value: where.Value})
		}
	}
	all := make([][]any, len(rows))
	for i, row := range rows {
		all[i] = bindAll(tx.Kind(), m, row)
	}
	if err := tx.InsertAll(ctx, into, all); err != nil {
		return fmt.Errorf("write %d rows into table %s: %w: %w", len(rows), m.Table, ErrTogether, err)
	}
	return nil
}

// upsertAll is Upsert for a table that is the model's own, where there is nothing to
// find out about each row: many rows a statement on PostgreSQL.
func upsertAll(ctx context.Context, tx *db.Tx, m *model.Model, rows []Row) error {
	into := db.Insert{Table: m.Table}
	for _, c := range m.Columns {
		into.Columns = append(into.Columns, c.Name)
	}
	into.Columns = append(into.Columns, model.ColumnDirty)
	into.Conflict = fmt.Sprintf("ON CONFLICT (%s) DO UPDATE SET %s", db.Quote(model.ColumnID), strings.Join(overwriting(m), ", "))
	all := make([][]any, len(rows))
	for i, row := range rows {
		all[i] = append(bindAll(tx.Kind(), m, row), false)
	}
	if err := tx.InsertAll(ctx, into, all); err != nil {
		if len(rows) == 1 {
			return fmt.Errorf("write row %s into table %s: %w", rows[0].ID, m.Table, err)
		}
		return fmt.Errorf("write %d rows into table %s: %w", len(rows), m.Table, err)
	}
	return nil
}

// bindAll is a row's values as they are bound, with room for some more.
func bindAll(kind db.Kind, m *model.Model, row Row) []any {
	args := make([]any, 0, len(m.Columns)+len(m.Where)+1)
	for i := range m.Columns {
		args = append(args, Bind(kind, &m.Columns[i], row.Values[i]))
	}
	return args
}

// overwriting are the assignments by which an arriving row takes the place of a known
// one: of the columns that travel, and of the dirty bit.
func overwriting(m *model.Model) []string {
	var sets []string
	for _, c := range m.Columns {
		if name := db.Quote(c.Name); !c.Local && c.Name != model.ColumnID {
			sets = append(sets, name+" = excluded."+name)
		}
	}
	dirty := db.Quote(model.ColumnDirty)
	return append(sets, dirty+" = excluded."+dirty)
}

// upsertQuery builds the statement of Upsert for a table that models share. After the model's columns it takes
// the discriminator's values, which are returned.
func upsertQuery(m *model.Model) (query string, fixed []any) {
	var names, values, mine []string
	for i, c := range m.Columns {
		names = append(names, db.Quote(c.Name))
		values = append(values, fmt.Sprintf("$%d", i+1))
	}
	for _, where := range m.Where {
		fixed = append(fixed, where.Value)
		place := fmt.Sprintf("$%d", len(m.Columns)+len(fixed))
		mine = append(mine, fmt.Sprintf("known.%s = %s", db.Quote(where.Column), place))
		if _, listed := m.Column(where.Column); !listed {
			names = append(names, db.Quote(where.Column))
			values = append(values, place)
		}
	}
	query = fmt.Sprintf("INSERT INTO %s AS known (%s, %s) VALUES (%s, FALSE) ON CONFLICT (%s) DO UPDATE SET %s WHERE %s",
		db.Quote(m.Table), strings.Join(names, ", "), db.Quote(model.ColumnDirty), strings.Join(values, ", "),
		db.Quote(model.ColumnID), strings.Join(overwriting(m), ", "), strings.Join(mine, " AND "))
	return query, fixed
}

// Fill writes some columns of rows, those at the given places among the model's. The
// rows stay as dirty as they are, and capture is on again afterwards.
func Fill(ctx context.Context, tx *db.Tx, m *model.Model, places []int, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	if err := tx.Capture(ctx, false); err != nil {
		return err
	}
	sets := make([]string, len(places))
	for n, i := range places {
		sets[n] = fmt.Sprintf("%s = $%d", db.Quote(m.Columns[i].Name), n+2)
	}
	statement, err := tx.Prepare(ctx, fmt.Sprintf("UPDATE %s SET %s WHERE id = $1", db.Quote(m.Table), strings.Join(sets, ", ")))
	if err != nil {
		return fmt.Errorf("fill in columns of table %s: %w", m.Table, err)
	}
	defer statement.Close()
	for _, row := range rows {
		args := []any{row.ID}
		for _, i := range places {
			args = append(args, Bind(tx.Kind(), &m.Columns[i], row.Values[i]))
		}
		if _, err := statement.ExecContext(ctx, args...); err != nil {
			return fmt.Errorf("fill in columns of row %s of table %s: %w", row.ID, m.Table, err)
		}
	}
	return tx.Capture(ctx, true)
}

// Delete deletes the model's rows of these ids. What refers to them must be gone
// before: see Children. The caller turns capture off.
func Delete(ctx context.Context, tx *db.Tx, m *model.Model, ids []string) error {
	cond, args := mine(m, 2)
	_, err := tx.Exec(ctx, fmt.Sprintf("DELETE FROM %s WHERE %s%s",
		db.Quote(m.Table), tx.AmongIDs(db.Quote(model.ColumnID), 1), cond), append([]any{db.JSONList(ids)}, args...)...)
	if err != nil {
		return fmt.Errorf("delete from table %s: %w", m.Table, err)
	}
	return nil
}

// Children returns at most limit ids of the model's rows whose column refers to
// one of parents, except some, in no order.
func Children(ctx context.Context, tx *db.Tx, m *model.Model, column string, parents, except []string, limit int) ([]string, error) {
	cond, args := mine(m, 4)
	id := db.Quote(model.ColumnID)
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s IN %s AND %s NOT IN %s%s LIMIT $3",
		id, db.Quote(m.Table), db.Quote(column), tx.IDs(1), id, tx.IDs(2), cond)
	return ids(ctx, tx, m.Table, query, append([]any{db.JSONList(parents), db.JSONList(except), limit}, args...)...)
}

// Edited returns those of the ids whose rows the application has changed since
// they were last serialized.
func Edited(ctx context.Context, tx *db.Tx, m *model.Model, of []string) (map[string]bool, error) {
	cond, args := mine(m, 2)
	id := db.Quote(model.ColumnID)
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s AND %s%s",
		id, db.Quote(m.Table), tx.AmongIDs(id, 1), db.Quote(model.ColumnDirty), cond)
	return set(ids(ctx, tx, m.Table, query, append([]any{db.JSONList(of)}, args...)...))
}

// Targets returns those of the ids that the table a foreign key refers to holds,
// whichever of the models that share the table they belong to, each with whether
// the application has changed its row since it was last serialized.
func Targets(ctx context.Context, tx *db.Tx, table string, of []string) (edited map[string]bool, err error) {
	id := db.Quote(model.ColumnID)
	query := fmt.Sprintf("SELECT %s, %s FROM %s WHERE %s", id, db.Quote(model.ColumnDirty), db.Quote(table), tx.AmongIDs(id, 1))
	rows, err := tx.Query(ctx, query, db.JSONList(of))
	if err != nil {
		return nil, fmt.Errorf("read table %s: %w", table, err)
	}
	defer rows.Close()
	edited = map[string]bool{}
	for rows.Next() {
		var id db.ID
		var dirty bool
		if err := rows.Scan(&id, &dirty); err != nil {
			return nil, fmt.Errorf("read table %s: %w", table, err)
		}
		edited[string(id)] = dirty
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read table %s: %w", table, err)
	}
	return edited, nil
}

// AsStored counts those of the ids, of which none is there twice, that a table has as the store
// has them: applied, not deleted, and not changed since by the application.
func AsStored(ctx context.Context, tx *db.Tx, table string, ids []string) (n int, err error) {
	if err := tx.QueryRow(ctx, asStored(tx, table), db.JSONList(ids)).Scan(&n); err != nil {
		return 0, fmt.Errorf("compare table %s with the store: %w", table, err)
	}
	return n, nil
}

// asStored is the query of AsStored. A subselect is looked up for each row: instead of a join
// PostgreSQL would read all of a table that it takes for empty, for each row of the other.
func asStored(tx *db.Tx, table string) string {
	return fmt.Sprintf(`SELECT COUNT(*) FROM morango_store s WHERE %s AND NOT s.deleted AND NOT s.hard_deleted AND NOT s.dirty_bit
		AND (SELECT NOT r.%s FROM %s r WHERE r.id = s.id)`, tx.AmongIDs("s.id", 1), db.Quote(model.ColumnDirty), db.Quote(table))
}

// Between reports whether a table has a row whose id lies between two ids, or is one of
// them.
func Between(ctx context.Context, tx *db.Tx, table, first, last string) (bool, error) {
	id := db.Quote(model.ColumnID)
	found, err := ids(ctx, tx, table, fmt.Sprintf("SELECT %s FROM %s WHERE %s >= $1 ORDER BY %s LIMIT 1", id, db.Quote(table), id, id), first)
	return len(found) > 0 && found[0] <= last, err
}

// mine is the condition that a row of a shared table is the model's, to be put
// after another condition; its parameters start at $first.
func mine(m *model.Model, first int) (cond string, args []any) {
	for i, where := range m.Where {
		cond += fmt.Sprintf(" AND %s = $%d", db.Quote(where.Column), first+i)
		args = append(args, where.Value)
	}
	return cond, args
}

// ids runs a query for ids.
func ids(ctx context.Context, tx *db.Tx, table, query string, args ...any) ([]string, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read table %s: %w", table, err)
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var id db.ID
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("read table %s: %w", table, err)
		}
		found = append(found, string(id))
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read table %s: %w", table, err)
	}
	return found, nil
}

// set turns a list into a set, and passes an error on.
func set(list []string, err error) (map[string]bool, error) {
	if err != nil {
		return nil, err
	}
	found := make(map[string]bool, len(list))
	for _, id := range list {
		found[id] = true
	}
	return found, nil
}
