package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// CreateTriggers makes the triggers by which changes to the profile's tables are
// captured, whoever makes them: rows become dirty, deletions are recorded. It may
// be run again after the profile has changed: triggers of tables that left the
// profile go away, and all of them do when the application captures changes
// itself. Writes of a transaction that turned capture off are not captured.
//
// A deletion may be recorded of a row that is still there (an INSERT OR IGNORE
// that hit a unique column); serialize drops those.
func CreateTriggers(ctx context.Context, tx *db.Tx, p *model.Profile) error {
	if tx.Kind() == db.Postgres {
		return createPostgresTriggers(ctx, tx, p)
	}
	wanted := map[string]string{}
	if p.Capture != model.CaptureApplication {
		for _, t := range tablesOf(p) {
			keys, err := uniqueKeys(ctx, tx, t.name)
			if err != nil {
				return fmt.Errorf("list the unique columns of the table %s: %w", t.name, err)
			}
			maps.Copy(wanted, t.sqliteTriggers(p.Name, keys))
		}
	}
	return replaceTriggers(ctx, tx, triggerPrefix(p.Name), wanted)
}

// triggerPrefix is how the names of a profile's triggers begin. The colons keep
// the profile "a" from taking those of "a_b" for its own.
func triggerPrefix(profile string) string { return shorten("morango:"+profile, 40) + ":" }

// replaceTriggers brings the triggers whose names begin with prefix to those that
// are wanted, by name, and leaves alone those that are right already.
func replaceTriggers(ctx context.Context, tx *db.Tx, prefix string, wanted map[string]string) error {
	found, err := sqliteTriggers(ctx, tx, prefix)
	if err != nil {
		return fmt.Errorf("list the triggers: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if wanted[name] == found[name] {
			continue
		}
		if _, err := tx.Exec(ctx, "DROP TRIGGER "+db.Quote(name)); err != nil {
			return fmt.Errorf("drop the trigger %s: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if wanted[name] == found[name] {
			continue
		}
		if _, err := tx.Exec(ctx, wanted[name]); err != nil {
			return fmt.Errorf("make the trigger %s: %w", name, err)
		}
	}
	return nil
}

func sqliteTriggers(ctx context.Context, tx *db.Tx, prefix string) (map[string]string, error) {
	const query = `SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, length($1)) = $1`
	rows, err := tx.Query(ctx, query, prefix)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[string]string{}
	for rows.Next() {
		var name, sql string
		if err := rows.Scan(&name, &sql); err != nil {
			return nil, err
		}
		found[name] = sql
	}
	return found, rows.Err()
}

// listening is the condition that the writer's changes are captured.
const listening = "NOT EXISTS (SELECT 1 FROM morango_applying)"

// sqliteTriggers are the definitions of the table's triggers by name. Within them
// nothing relies on OR IGNORE or OR REPLACE, which the conflict clause of the
// statement that fired the trigger would override.
func (t *table) sqliteTriggers(profile string, keys []uniqueKey) map[string]string {
	table := db.Quote(t.name)
	triggers := map[string]string{}
	add := func(what, when, condition, body string) {
		name := triggerPrefix(profile) + t.name + ":" + what
		triggers[name] = fmt.Sprintf("CREATE TRIGGER %s %s ON %s\nWHEN %s AND %s\nBEGIN\n%sEND",
			db.Quote(name), when, table, condition, listening, body)
	}
	unmarked := fmt.Sprintf("NEW.%s IS NOT 1", model.ColumnDirty)
	mark := fmt.Sprintf("\tUPDATE %s SET %s = 1 WHERE id = NEW.id;\n", table, model.ColumnDirty)
	add("insert", "AFTER INSERT", unmarked, mark)
	add("update", "AFTER UPDATE OF "+t.travelling(), unmarked, mark)

	record := "\tINSERT INTO morango_deletedmodels (id, profile) SELECT OLD.id, " + literal(profile) +
		" WHERE NOT EXISTS (SELECT 1 FROM morango_deletedmodels WHERE id = OLD.id);\n"
	add("delete", "AFTER DELETE", t.matches(db.SQLite, "OLD"), record)
	leaving := quoteAll(append([]string{model.ColumnID}, t.discriminators()...))
	add("leave", "AFTER UPDATE OF "+leaving, fmt.Sprintf("%s AND (OLD.id IS NOT NEW.id OR NOT %s)",
		t.matches(db.SQLite, "OLD"), t.matches(db.SQLite, "NEW")), record)

	if inserting, updating, columns := t.displaced(profile, keys); columns != "" {
		add("displace_insert", "BEFORE INSERT", "TRUE", inserting)
		add("displace_update", "BEFORE UPDATE OF "+columns, "TRUE", updating)
	}
	return triggers
}

// travelling lists the columns whose change counts: all but the local ones. The
// dirty bit is among them, so that nobody but the engine clears it.
func (t *table) travelling() string {
	columns := []string{model.ColumnDirty}
	for _, c := range t.columns {
		if !c.Local && c.Name != model.ColumnDirty {
			columns = append(columns, c.Name)
		}
	}
	return quoteAll(columns)
}

func quoteAll(columns []string) string {
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = db.Quote(c)
	}
	return strings.Join(quoted, ", ")
}

// uniqueKey is a unique index of a table: its columns, with their collations.
type uniqueKey struct{ columns, collations []string }

// displaced records the rows that REPLACE removes because a unique column of
// theirs has the value of the new row. No delete trigger fires for them, unless
// recursive_triggers is on.
func (t *table) displaced(profile string, keys []uniqueKey) (inserting, updating, columns string) {
	var all []string
	for _, key := range keys {
		conds := []string{"o.id <> NEW.id", t.matches(db.SQLite, "o")}
		for i, column := range key.columns {
			c := db.Quote(column)
			conds = append(conds, fmt.Sprintf("o.%s = NEW.%s COLLATE %s", c, c, db.Quote(key.collations[i])))
			if !slices.Contains(all, column) {
				all = append(all, column)
			}
		}
		conds = append(conds, "NOT EXISTS (SELECT 1 FROM morango_deletedmodels d WHERE d.id = o.id)")
		record := fmt.Sprintf("\tINSERT INTO morango_deletedmodels (id, profile) SELECT o.id, %s FROM %s o WHERE %s",
			literal(profile), db.Quote(t.name), strings.Join(conds, " AND "))
		inserting += record + ";\n"
		updating += record + " AND o.id <> OLD.id;\n"
	}
	return inserting, updating, quoteAll(all)
}

// uniqueKeys lists the unique indexes of a table other than its primary key. One
// over expressions is left out: what it displaces cannot be said in a trigger. A
// partial one is taken without its condition, which records too much, not too
// little.
func uniqueKeys(ctx context.Context, tx *db.Tx, name string) ([]uniqueKey, error) {
	const query = `
		SELECT i.name, c.name, c.coll FROM pragma_index_list($1) i JOIN pragma_index_xinfo(i.name) c
		WHERE i."unique" AND i.origin <> 'pk' AND c.key ORDER BY i.name, c.seqno`
	rows, err := tx.Query(ctx, query, name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var keys []uniqueKey
	last, expression := "", false
	for rows.Next() {
		var index, collation string
		var column *string // null for an expression
		if err := rows.Scan(&index, &column, &collation); err != nil {
			return nil, err
		}
		if index != last {
			last, expression = index, false
			keys = append(keys, uniqueKey{})
		}
		if expression {
			continue
		}
		if column == nil {
			expression = true
			keys[len(keys)-1] = uniqueKey{}
			continue
		}
		key := &keys[len(keys)-1]
		key.columns, key.collations = append(key.columns, *column), append(key.collations, collation)
	}
	return slices.DeleteFunc(keys, func(k uniqueKey) bool { return len(k.columns) == 0 }), rows.Err()
}
