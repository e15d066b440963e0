package postgres

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/morango-go/morango/db/transaction"
)

// Dialect says how things are written on PostgreSQL.
type Dialect struct{}

// Time is a moment in UTC, cut to microseconds.
func (Dialect) Time(moment time.Time) any { return moment.UTC().Truncate(time.Microsecond) }

// CodePoints makes a text column compare by code points.
func (Dialect) CodePoints(column string) string { return column + ` COLLATE "C"` }

// Unpack is a subselect of the items of the JSON array in parameter $n.
func (Dialect) Unpack(n int, ids bool) string {
	item := "value"
	if ids {
		item = "value::uuid"
	}
	return fmt.Sprintf("(SELECT %s FROM %s($%d::json))", item, unpacking, n)
}

// unpacking is the function in a statement by which one with a list is known.
const unpacking = "json_array_elements_text"

// WalkIndex makes sorting the last way for this transaction's queries to come by their
// order: the server takes an index for it, however few rows it expects to match.
func (Dialect) WalkIndex(ctx context.Context, tx *transaction.Tx) error {
	_, err := tx.ExecContext(ctx, "SET LOCAL enable_sort = off")
	return err
}

// LookUp makes reading a table whole the last way for this transaction to find rows.
func (Dialect) LookUp(ctx context.Context, tx *transaction.Tx) error {
	_, err := tx.ExecContext(ctx, "SET LOCAL enable_seqscan = off")
	return err
}

// Anew has the driver send the statement with these arguments, instead of one that the server
// has prepared and may have a plan of.
func (Dialect) Anew(args []any) []any {
	return append([]any{pgx.QueryExecModeCacheDescribe}, args...)
}

// Kept has the driver run what the server has prepared, also where the statement has a list.
func (Dialect) Kept(args []any) []any {
	return append([]any{pgx.QueryExecModeCacheStatement}, args...)
}

// Awaited reports whether another transaction waits for this one: for its partitions, or for
// a row that it has written.
func (Dialect) Awaited(ctx context.Context, tx *transaction.Tx) (waits bool, err error) {
	const somebody = `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))`
	err = tx.QueryRowContext(ctx, somebody).Scan(&waits)
	return waits, err
}

// Indexes returns the names of the indexes named morango_*.
func (Dialect) Indexes(ctx context.Context, tx *transaction.Tx) (*sql.Rows, error) {
	return tx.QueryContext(ctx, `SELECT relname FROM pg_class WHERE relkind IN ('i', 'I') AND pg_table_is_visible(oid) AND starts_with(relname, 'morango_')`)
}

// HasIndex finds an index by its name.
func (Dialect) HasIndex(ctx context.Context, tx *transaction.Tx, name string) (found bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_class
		WHERE oid = to_regclass(quote_ident($1)) AND relkind IN ('i', 'I'))`, name).Scan(&found)
	return found, err
}

// Capture turns the capture of changes off and on by a setting that lasts as long
// as the transaction and that only it sees. The capture triggers look at it.
func (Dialect) Capture(ctx context.Context, tx *transaction.Tx, on bool) error {
	applying := "on"
	if on {
		applying = "off"
	}
	_, err := tx.ExecContext(ctx, "SELECT set_config('morango.applying', $1, TRUE)", applying)
	return err
}

// Mark is the number of the transaction, if no other was under way when it began to read,
// and none has come between that and its first write. Others' numbers count, whatever
// they do and in whichever database of the server.
func (Dialect) Mark(ctx context.Context, tx *transaction.Tx) (mark string, err error) {
	const state = `SELECT CASE WHEN pg_snapshot_xmin(seen) = pg_snapshot_xmax(seen) AND pg_snapshot_xmax(seen) = own
		THEN own::text ELSE '' END FROM (SELECT pg_current_snapshot() AS seen, pg_current_xact_id() AS own) s`
	err = tx.QueryRowContext(ctx, state).Scan(&mark)
	return mark, err
}

// Unchanged reports whether the transaction of the mark is the last that there was, and
// none is under way.
func (Dialect) Unchanged(ctx context.Context, tx *transaction.Tx, mark string) (same bool, err error) {
	last, err := strconv.ParseUint(mark, 10, 64)
	if err != nil {
		return false, err
	}
	const state = `SELECT pg_snapshot_xmin(seen) = pg_snapshot_xmax(seen) AND pg_snapshot_xmax(seen)::text = $1
		FROM pg_current_snapshot() seen`
	err = tx.QueryRowContext(ctx, state, strconv.FormatUint(last+1, 10)).Scan(&same)
	return same, err
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
	SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
		AND c.relkind IN ('r', 'p') AND starts_with(c.relname, 'morango_') AND a.attnum > 0 AND NOT a.attisdropped
	ORDER BY c.relname, a.attnum`

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
		tables[table] = append(tables[table], column)
	}
	return tables, rows.Err()
}
