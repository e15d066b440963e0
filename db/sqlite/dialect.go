package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/morango-go/morango/db/transaction"
)

// Dialect says how things are written on SQLite.
type Dialect struct{}

// Time is a moment as Django writes it: UTC, microseconds only when there are any.
func (Dialect) Time(moment time.Time) any {
	moment = moment.UTC().Truncate(time.Microsecond)
	if moment.Nanosecond() == 0 {
		return moment.Format("2006-01-02 15:04:05")
	}
	return moment.Format("2006-01-02 15:04:05.000000")
}

// CodePoints makes a text column compare by code points; on SQLite it does anyway.
func (Dialect) CodePoints(column string) string { return column }

// Unpack is a subselect of the items of the JSON array in parameter $n.
func (Dialect) Unpack(n int, _ bool) string {
	return fmt.Sprintf("(SELECT value FROM json_each($%d))", n)
}

// Lock does nothing: there is one writer.
func (Dialect) Lock(context.Context, *transaction.Tx, bool, []string, bool) error { return nil }

// Indexes returns the names of the indexes named morango_*.
func (Dialect) Indexes(ctx context.Context, tx *transaction.Tx) (*sql.Rows, error) {
	return tx.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'morango\_%' ESCAPE '\'`)
}

// HasIndex finds an index by its name.
func (Dialect) HasIndex(ctx context.Context, tx *transaction.Tx, name string) (found bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = $1)`, name).Scan(&found)
	return found, err
}

const (
	hasFlag   = `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'morango_applying'`
	raiseFlag = `INSERT INTO morango_applying (applying) VALUES (0) ON CONFLICT (applying) DO NOTHING`
	lowerFlag = `DELETE FROM morango_applying`
)

// Capture raises or lowers the flag that the capture triggers look at. Only this
// transaction sees it raised, because it cannot be committed: see the schema.
func (Dialect) Capture(ctx context.Context, tx *transaction.Tx, on bool) error {
	var flags int
	if err := tx.QueryRowContext(ctx, hasFlag).Scan(&flags); err != nil || flags == 0 {
		return err // without the table there are no triggers
	}
	query := raiseFlag
	if on {
		query = lowerFlag
	}
	_, err := tx.ExecContext(ctx, query)
	return err
}

// Mark tells the writing connection's own changes and those of others.
func (Dialect) Mark(ctx context.Context, tx *transaction.Tx) (mark string, err error) {
	const state = `SELECT total_changes() || ' ' || data_version FROM pragma_data_version`
	err = tx.QueryRowContext(ctx, state).Scan(&mark)
	return mark, err
}

// Unchanged compares the state with that of a mark.
func (d Dialect) Unchanged(ctx context.Context, tx *transaction.Tx, mark string) (bool, error) {
	now, err := d.Mark(ctx, tx)
	return now == mark, err
}

//go:embed layout/django.sql
var django string

// Django returns the script that makes Django's layout.
func (Dialect) Django() string { return django }

//go:embed schema/*.sql
var schema embed.FS

// Migrations returns the scripts that make and update the lean layout, in order.
func (Dialect) Migrations() ([]string, error) {
	names, err := fs.Glob(schema, "schema/*.sql")
	if err != nil {
		return nil, err
	}
	scripts := make([]string, 0, len(names))
	for _, name := range names {
		script, err := schema.ReadFile(name)
		if err != nil {
			return nil, err
		}
		scripts = append(scripts, string(script))
	}
	return scripts, nil
}

const columnsOf = `
	SELECT t.name, c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c
	WHERE t.type = 'table' AND t.name >= 'morango_' AND t.name < 'morango` + "`" + `'`

// Tables returns the tables whose names begin with morango_, with their columns.
func (Dialect) Tables(ctx context.Context, tx *transaction.Tx) (map[string][]string, error) {
	rows, err := tx.QueryContext(ctx, columnsOf)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	tables := map[string][]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return nil, err
		}
		tables[table] = append(tables[table], strings.ToLower(column))
	}
	return tables, rows.Err()
}

// Damage runs SQLite's own check of its file and returns up to limit problems.
func (Dialect) Damage(ctx context.Context, tx *transaction.Tx, limit int) (problems []string, err error) {
	rows, err := tx.QueryContext(ctx, fmt.Sprintf("PRAGMA quick_check(%d)", limit))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var problem string
		if err := rows.Scan(&problem); err != nil {
			return nil, err
		}
		if problem != "ok" {
			problems = append(problems, problem)
		}
	}
	return problems, rows.Err()
}
