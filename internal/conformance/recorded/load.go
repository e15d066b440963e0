package recorded

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/store"
)

// Machine is the machine whose instance the database has.
func (s State) Machine() store.Machine {
	return store.Machine{
		SystemID: s.own("system_id"), NodeID: s.own("node_id"), Platform: s.own("platform"),
		Hostname: s.own("hostname"), SysVersion: s.own("sysversion"), DBPath: s.own("db_path"),
	}
}

// Load fills an empty database of any layout with the state, and returns the profile
// of the recorded application, whose tables it makes where they are missing.
func (s State) Load(t testing.TB, d *db.DB) *model.Profile {
	t.Helper()
	profile := tables.Profile(t)
	tables.Write(t, d, func(tx *db.Tx) error {
		if err := app.CreateTables(t.Context(), tx, profile); err != nil {
			return err
		}
		if err := session.SaveScopes(t.Context(), tx, profile); err != nil {
			return err
		}
		if tx.Kind() == db.SQLite {
			if _, err := tx.Exec(t.Context(), "PRAGMA defer_foreign_keys = ON"); err != nil {
				return err
			}
		}
		for _, name := range inOrder(s) {
			if err := s[name].insert(t.Context(), tx, name); err != nil {
				return fmt.Errorf("table %s: %w", name, err)
			}
		}
		return nil
	})
	return profile
}

// inOrder lists the tables so that those come first to which others refer.
func inOrder(s State) []string {
	first := []string{
		"morango_store", "morango_certificate", "morango_syncsession", "morango_transfersession", "morango_databaseidmodel",
		"facility_profile_facility", "facility_profile_myuser",
	}
	names := slices.Sorted(maps.Keys(s))
	slices.SortStableFunc(names, func(a, b string) int { return rank(first, a) - rank(first, b) })
	return names
}

func rank(first []string, name string) int {
	if i := slices.Index(first, name); i >= 0 {
		return i
	}
	return len(first)
}

// surrogates are the tables whose column id means nothing; our own layout has none.
func surrogate(table, column string) bool {
	return column == "id" && slices.Contains([]string{
		"morango_recordmaxcounter", "morango_databasemaxcounter", "morango_buffer", "morango_recordmaxcounterbuffer",
	}, table)
}

// insert puts rows in, parents of trees before their children.
func (t Table) insert(ctx context.Context, tx *db.Tx, name string) error {
	var columns, params []string
	var from []int
	for i, column := range t.Columns {
		if surrogate(name, column) {
			continue
		}
		from = append(from, i)
		columns = append(columns, db.Quote(column))
		params = append(params, fmt.Sprintf("$%d", len(from)))
	}
	query := "INSERT INTO " + db.Quote(name) + " (" + strings.Join(columns, ", ") + ") VALUES (" + strings.Join(params, ", ") + ")"
	for _, row := range t.parentsFirst() {
		args := make([]any, len(from))
		for i, at := range from {
			args[i] = bound(tx, t.Columns[at], row[at])
		}
		if _, err := tx.Exec(ctx, query, args...); err != nil {
			return err
		}
	}
	return nil
}

// parentsFirst is the rows in an order in which no row comes before its parent.
func (t Table) parentsFirst() [][]any {
	id, parent := slices.Index(t.Columns, "id"), slices.Index(t.Columns, "parent_id")
	if id < 0 || parent < 0 {
		return t.Rows
	}
	done := map[string]bool{"": true}
	var ordered [][]any
	for before := -1; before < len(ordered); {
		before = len(ordered)
		for _, row := range t.Rows {
			if !done[text(row[id])] && done[text(row[parent])] {
				done[text(row[id])] = true
				ordered = append(ordered, row)
			}
		}
	}
	return ordered
}

const moment = "2006-01-02 15:04:05.999999"

// bound is a recorded value as the database takes it: recorded is what SQLite holds.
func bound(tx *db.Tx, column string, value any) any {
	switch value := value.(type) {
	case json.Number:
		return value.String()
	case string:
		if when, err := time.Parse(moment, value); err == nil && column != "serialized" {
			return tx.Time(when)
		}
	}
	return value
}

// Dump reads a table's columns, in the form in which states hold rows, in any order.
func Dump(t testing.TB, d *db.DB, name string, columns []string) Table {
	t.Helper()
	dump := Table{Columns: columns}
	quoted := make([]string, len(columns))
	for i, column := range columns {
		quoted[i] = db.Quote(column)
	}
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		rows, err := tx.Query(t.Context(), "SELECT "+strings.Join(quoted, ", ")+" FROM "+db.Quote(name))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			raw, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range raw {
				into[i] = &raw[i]
			}
			if err := rows.Scan(into...); err != nil {
				return err
			}
			for i := range raw {
				raw[i] = shown(columns[i], raw[i])
			}
			dump.Rows = append(dump.Rows, raw)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	return dump
}

// shown is a value as SQLite holds it.
func shown(column string, raw any) any {
	switch v := raw.(type) {
	case []byte:
		return shown(column, string(v))
	case bool:
		if v {
			return json.Number("1")
		}
		return json.Number("0")
	case int64:
		return json.Number(fmt.Sprint(v))
	case time.Time:
		if v.Nanosecond() == 0 {
			return v.UTC().Format("2006-01-02 15:04:05")
		}
		return v.UTC().Format("2006-01-02 15:04:05.000000")
	case string:
		if id, err := ident.Parse(v); err == nil && len(v) == 36 && !strings.HasSuffix(column, "source_id") {
			return id // PostgreSQL shows dashes
		}
	}
	return raw
}

// Meaningful lists the columns of a recorded table that mean something.
func (t Table) Meaningful(name string) []string {
	return slices.DeleteFunc(slices.Clone(t.Columns), func(column string) bool { return surrogate(name, column) })
}

// ByColumns is the rows as values by column.
func (t Table) ByColumns() []map[string]any {
	var rows []map[string]any
	for _, row := range t.Rows {
		values := map[string]any{}
		for i, column := range t.Columns {
			values[column] = row[i]
		}
		rows = append(rows, values)
	}
	return rows
}
