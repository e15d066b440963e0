package dbtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/internal/conformance"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// Reference returns the path of a copy of the recorded SQLite database that the
// reference made under Django.
func Reference(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "reference.sqlite3")
	if err := os.WriteFile(path, conformance.File(t, "reference.sqlite3"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ReferencePostgres returns the URL of a PostgreSQL database with Django's tables
// that holds the same rows, as Django would hold them there.
func ReferencePostgres(t testing.TB) string {
	t.Helper()
	target := postgresURL(t, db.LayoutDjango)
	from, err := sql.Open("sqlite", Reference(t))
	if err != nil {
		t.Fatal(err)
	}
	into, err := sql.Open("pgx", target)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(copyAll(t.Context(), from, into), from.Close(), into.Close()); err != nil {
		t.Fatal("load the reference's rows into PostgreSQL: ", err)
	}
	return target
}

// A column of PostgreSQL with its type, or with its sequence.
const (
	typedColumns = `SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c
		WHERE c.table_schema = 'public' ORDER BY c.table_name, c.ordinal_position`
	advance = `SELECT setval(pg_get_serial_sequence($1, 'id'), (SELECT max(id) FROM %s))`
)

// copyAll copies the rows of every table that PostgreSQL has, in one transaction,
// because they refer to each other.
func copyAll(ctx context.Context, from, into *sql.DB) error {
	tx, err := into.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	columns, types := map[string][]string{}, map[string]string{}
	rows, err := tx.QueryContext(ctx, typedColumns)
	if err != nil {
		return err
	}
	for rows.Next() {
		var table, column, kind string
		if err := rows.Scan(&table, &column, &kind); err != nil {
			return err
		}
		columns[table] = append(columns[table], column)
		types[table+"."+column] = kind
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for table, names := range columns {
		if err := copyTable(ctx, from, tx, table, names, types); err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
	}
	return tx.Commit()
}

func copyTable(ctx context.Context, from *sql.DB, into *sql.Tx, table string, names []string, types map[string]string) error {
	var quoted, places []string
	for i, name := range names {
		quoted = append(quoted, db.Quote(name))
		zone := ""
		if types[table+"."+name] == "timestamp with time zone" {
			zone = " || '+00'" // Django's texts on SQLite are UTC
		}
		places = append(places, fmt.Sprintf("CAST($%d::text%s AS %s)", i+1, zone, types[table+"."+name]))
	}
	list := strings.Join(quoted, ", ")
	rows, err := from.QueryContext(ctx, "SELECT "+list+" FROM "+table)
	if err != nil {
		return err
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		values, targets := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		for i := range values {
			targets[i] = values[i]
			// The driver reads the columns that SQLite calls datetime and bool in its own way.
			switch {
			case !values[i].Valid:
			case types[table+"."+names[i]] == "timestamp with time zone":
				targets[i] = strings.TrimSuffix(strings.Replace(values[i].String, "T", " ", 1), "Z")
			}
		}
		if _, err := into.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, list, strings.Join(places, ", ")), targets...); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil || n == 0 || types[table+".id"] != "integer" {
		return err
	}
	_, err = into.ExecContext(ctx, fmt.Sprintf(advance, table), table)
	return err
}
