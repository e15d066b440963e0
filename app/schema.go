// Package app is the only code that touches the application's tables: it creates
// them from the profile, captures changes to them, reads dirty rows and writes
// arriving ones.
//
// It belongs to the tables layer. It imports the words layer and db. On a row's
// path it is the first step of the sender and the last of the receiver.
package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// CreateTables creates the profile's tables that do not exist, and checks and
// completes those that do: the primary key must be the column id, every column of
// the profile must be there, and the three Morango columns are added when they are
// missing. Rows that were there before become dirty. To a table that an earlier call
// made, a column that the profile has gained since is added, when it may be null or
// has a plain default; rows that are there do not become dirty by that.
//
// Where the application captures changes itself, tables that exist are only checked,
// the Morango columns included, and new ones are what Django would make: no column
// has a default in the database. Only the indexes differ: those of foreign keys have
// names of our own, and others are not in the profile.
func CreateTables(ctx context.Context, tx *db.Tx, p *model.Profile) error {
	for _, t := range tablesOf(p) {
		t.plain = p.Capture == model.CaptureApplication
		found, err := describe(ctx, tx, t.name)
		if err != nil {
			return fmt.Errorf("look at the table %s: %w", t.name, err)
		}
		if len(found) == 0 {
			err = t.create(ctx, tx)
		} else if err = t.check(tx.Kind(), found); err == nil && !t.plain {
			err = t.complete(ctx, tx, found)
		}
		if err != nil {
			return err
		}
		if t.plain {
			continue // the application's own table: no index that its migrations do not know
		}
		if err := t.indexDirty(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// create makes the table and the indexes of its foreign keys.
func (t *table) create(ctx context.Context, tx *db.Tx) error {
	definitions, err := t.definitions(tx.Kind())
	if err != nil {
		return err
	}
	query := fmt.Sprintf("CREATE TABLE %s (\n\t%s\n)", db.Quote(t.name), strings.Join(definitions, ",\n\t"))
	if _, err := tx.Exec(ctx, query); err != nil {
		return fmt.Errorf("create the table %s: %w", t.name, err)
	}
	for _, c := range t.columns {
		if err := t.index(ctx, tx, c); err != nil {
			return err
		}
	}
	return nil
}

// index makes the index of a column that is a foreign key.
func (t *table) index(ctx context.Context, tx *db.Tx, c tableColumn) error {
	if c.References == "" {
		return nil
	}
	query := fmt.Sprintf("CREATE INDEX %s ON %s (%s)",
		db.Quote(shorten("morango_fk_"+t.name+"_"+c.Name, maxName)), db.Quote(t.name), db.Quote(c.Name))
	if _, err := tx.Exec(ctx, query); err != nil {
		return fmt.Errorf("make the index of %s.%s: %w", t.name, c.Name, err)
	}
	return nil
}

// indexDirty makes the index by which a Walk finds dirty rows.
func (t *table) indexDirty(ctx context.Context, tx *db.Tx) error {
	const create = "CREATE INDEX IF NOT EXISTS %s ON %s (%s) WHERE %s"
	columns := byPartition
	if tx.Kind() == db.SQLite {
		numbered, err := hasRowNumbers(ctx, tx, t.name)
		if err != nil {
			return fmt.Errorf("look at the table %s: %w", t.name, err)
		}
		if columns = ""; numbered {
			columns = model.ColumnDirty // each index has the rows' numbers
		}
	}
	queries := []string{fmt.Sprintf(create, db.Quote(dirtyIndex(t.name)), db.Quote(t.name), model.ColumnID, model.ColumnDirty)}
	if columns != "" {
		queries = []string{
			fmt.Sprintf(create, db.Quote(changedIndex(t.name)), db.Quote(t.name), columns, model.ColumnDirty),
			"DROP INDEX IF EXISTS " + db.Quote(dirtyIndex(t.name)), // of older databases
		}
	}
	for _, query := range queries {
		if _, err := tx.Exec(ctx, query); err != nil {
			return fmt.Errorf("make the index of dirty rows on the table %s: %w", t.name, err)
		}
	}
	return nil
}

// dirtyIndex and changedIndex are the names of a table's index of dirty rows: by their ids, and by
// their numbers, on PostgreSQL by partitions.
func dirtyIndex(table string) string   { return shorten("morango_dirty_"+table, maxName) }
func changedIndex(table string) string { return shorten("morango_changed_"+table, maxName) }

// definitions are the column definitions of CREATE TABLE, as Django writes them.
// Unless the table is plain, columns also have defaults, so that a program that
// knows nothing of Morango can insert rows.
func (t *table) definitions(kind db.Kind) ([]string, error) {
	var definitions []string
	for _, c := range t.columns {
		if slices.Contains(morangoColumns, c.Name) {
			continue
		}
		d, err := t.definition(kind, c)
		if err != nil {
			return nil, err
		}
		definitions = append(definitions, d)
		if c.Name == model.ColumnID {
			for _, name := range morangoColumns {
				definitions = append(definitions, name+" "+morangoColumn(kind, name, t.plain))
			}
		}
	}
	return definitions, nil
}

// definition is one column's definition.
func (t *table) definition(kind db.Kind, c tableColumn) (string, error) {
	columnType, err := columnType(kind, c.Column)
	if err != nil {
		return "", fmt.Errorf("column %s of the table %s: %w", c.Name, t.name, err)
	}
	d := db.Quote(c.Name) + " " + columnType
	switch {
	case c.Name == model.ColumnID:
		d += " NOT NULL PRIMARY KEY"
	case c.Nullable:
		d += " NULL"
	default:
		d += " NOT NULL"
	}
	if !t.plain {
		d += columnDefault(kind, c.Column)
	}
	if c.Unique {
		d += " UNIQUE"
	}
	if c.References != "" {
		d += fmt.Sprintf(" REFERENCES %s (id) DEFERRABLE INITIALLY DEFERRED", db.Quote(c.References))
	}
	return d, nil
}

// complete adds the columns that the table lacks, Morango's and those that check has
// let pass.
func (t *table) complete(ctx context.Context, tx *db.Tx, found []foundColumn) error {
	for _, name := range morangoColumns {
		if _, ok := find(found, name); ok {
			continue
		}
		query := fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", db.Quote(t.name), name, morangoColumn(tx.Kind(), name, false))
		if _, err := tx.Exec(ctx, query); err != nil {
			return fmt.Errorf("add the column %s to the table %s: %w", name, t.name, err)
		}
	}
	for _, c := range t.columns {
		if _, ok := find(found, c.Name); ok || slices.Contains(morangoColumns, c.Name) {
			continue
		}
		d, err := t.definition(tx.Kind(), c)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s", db.Quote(t.name), d)); err != nil {
			return fmt.Errorf("add the column %s to the table %s: %w", c.Name, t.name, err)
		}
		if err := t.index(ctx, tx, c); err != nil {
			return err
		}
	}
	return nil
}

// madeHere reports whether CreateTables made the table: then the Morango columns
// follow the id, where in a table of the application they come last.
func madeHere(found []foundColumn) bool {
	i := slices.IndexFunc(found, func(c foundColumn) bool { return c.name == model.ColumnID }) + 1
	return len(found) >= i+len(morangoColumns) &&
		slices.EqualFunc(found[i:i+len(morangoColumns)], morangoColumns, func(c foundColumn, name string) bool { return c.name == name })
}

// addable says why a column cannot be added to a table that has rows, on either
// database; "" when it can.
func addable(kind db.Kind, c tableColumn) string {
	value := columnDefault(kind, c.Column)
	switch {
	case c.Unique:
		return "one that is unique"
	case !c.Nullable && value == "":
		return "one that must not be null and has no plain default"
	case c.References != "" && value != "":
		return "a foreign key with a default"
	}
	return ""
}

// check refuses a table of the application that cannot be synced as the profile
// says.
func (t *table) check(kind db.Kind, found []foundColumn) error {
	var key []string
	for _, c := range found {
		if c.key {
			key = append(key, c.name)
		}
	}
	if !slices.Equal(key, []string{model.ColumnID}) {
		return fmt.Errorf("the table %s cannot be synced: its primary key is (%s), but must be the one column id",
			t.name, strings.Join(key, ", "))
	}
	id, _ := find(found, model.ColumnID)
	if !holdsID(kind, id.kind) {
		return fmt.Errorf("the table %s cannot be synced: its column id has the type %q, but must hold 32 hex digits: "+
			"char(32) or text on SQLite, uuid on PostgreSQL", t.name, id.kind)
	}
	for _, c := range t.columns {
		if _, ok := find(found, c.Name); ok || slices.Contains(morangoColumns, c.Name) {
			continue
		}
		if t.plain || !madeHere(found) {
			return fmt.Errorf("the table %s has no column %s: add it to the table, or take it out of the profile", t.name, c.Name)
		}
		if what := addable(kind, c); what != "" {
			return fmt.Errorf("the table %s has no column %s, and %s cannot be added to a table that is in use: "+
				"change it in the profile, or add it to the table yourself", t.name, c.Name, what)
		}
	}
	for _, name := range morangoColumns {
		if _, ok := find(found, name); !ok && t.plain {
			return fmt.Errorf("the table %s has no column %s, which the application keeps: let its migrations add it, "+
				"or write `capture: triggers` into the profile", t.name, name)
		}
	}
	return nil
}

// holdsID reports whether a column of a type keeps an id as it is. On SQLite the
// type must have text affinity: "uuid" would turn digits into a number.
func holdsID(kind db.Kind, columnType string) bool {
	if kind == db.Postgres {
		return columnType == "uuid"
	}
	columnType = strings.ToUpper(columnType)
	return !strings.Contains(columnType, "INT") &&
		(strings.Contains(columnType, "CHAR") || strings.Contains(columnType, "TEXT") || strings.Contains(columnType, "CLOB"))
}

// foundColumn is a column of a table in the database.
type foundColumn struct {
	name, kind string
	key        bool
}

func find(found []foundColumn, name string) (foundColumn, bool) {
	i := slices.IndexFunc(found, func(c foundColumn) bool { return c.name == name })
	if i < 0 {
		return foundColumn{}, false
	}
	return found[i], true
}

const (
	describeSQLite   = `SELECT name, type, pk > 0 FROM pragma_table_info($1) ORDER BY cid`
	describePostgres = `
		SELECT a.attname, format_type(a.atttypid, NULL), coalesce(a.attnum = ANY (i.indkey), FALSE)
		FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
		WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`
)

// describe lists the columns of a table; there are none when it does not exist.
func describe(ctx context.Context, tx *db.Tx, name string) ([]foundColumn, error) {
	query, arg := describeSQLite, name
	if tx.Kind() == db.Postgres {
		query, arg = describePostgres, db.Quote(name)
	}
	rows, err := tx.Query(ctx, query, arg)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []foundColumn
	for rows.Next() {
		var c foundColumn
		if err := rows.Scan(&c.name, &c.kind, &c.key); err != nil {
			return nil, err
		}
		found = append(found, c)
	}
	return found, rows.Err()
}
