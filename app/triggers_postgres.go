package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// createPostgresTriggers makes one function per table and the triggers that call
// it, after dropping those of an earlier run.
func createPostgresTriggers(ctx context.Context, tx *db.Tx, p *model.Profile) error {
	prefix := triggerPrefix(p.Name)
	functions, err := texts(ctx, tx, `
		SELECT proname FROM pg_proc
		WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND starts_with(proname, $1) ORDER BY proname`, prefix)
	if err != nil {
		return fmt.Errorf("list the trigger functions: %w", err)
	}
	for _, name := range functions {
		if _, err := tx.Exec(ctx, "DROP FUNCTION "+db.Quote(name)+"() CASCADE"); err != nil { // its triggers go with it
			return fmt.Errorf("drop the function %s: %w", name, err)
		}
	}
	if p.Capture == model.CaptureApplication {
		return nil
	}
	schema, err := texts(ctx, tx, "SELECT current_schema() WHERE $1 = $1", "")
	if err != nil || len(schema) == 0 {
		return fmt.Errorf("find the schema of the tables: %w", err)
	}
	for _, t := range tablesOf(p) {
		for _, query := range t.postgresTriggers(schema[0], p.Name) {
			if _, err := tx.Exec(ctx, query); err != nil {
				return fmt.Errorf("make the triggers of the table %s: %w", t.name, err)
			}
		}
	}
	return nil
}

// texts runs a query with one argument that returns one column of texts.
func texts(ctx context.Context, tx *db.Tx, query, arg string) ([]string, error) {
	rows, err := tx.Query(ctx, query, arg)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		found = append(found, text)
	}
	return found, rows.Err()
}

// captureFunction has the holes $schema, $function, $table, $profile, $dirty,
// $old, $new and $row (conditions that a row belongs to the profile). The setting
// morango.applying is on in a transaction that turned capture off, and only there.
const captureFunction = `
CREATE FUNCTION $schema.$function() RETURNS trigger LANGUAGE plpgsql AS $morango$
BEGIN
	IF current_setting('morango.applying', true) = 'on' THEN
		RETURN NEW;
	ELSIF TG_OP = 'TRUNCATE' THEN
		INSERT INTO $schema.morango_deletedmodels (id, profile)
			SELECT o.id, $profile FROM $schema.$table o WHERE $row ON CONFLICT (id) DO NOTHING;
	ELSIF TG_OP = 'DELETE' THEN
		IF $old THEN
			INSERT INTO $schema.morango_deletedmodels (id, profile) VALUES (OLD.id, $profile) ON CONFLICT (id) DO NOTHING;
		END IF;
	ELSIF TG_WHEN = 'BEFORE' THEN
		NEW.$dirty := TRUE;
		RETURN NEW;
	ELSIF $old AND (OLD.id <> NEW.id OR NOT $new) THEN
		INSERT INTO $schema.morango_deletedmodels (id, profile) VALUES (OLD.id, $profile) ON CONFLICT (id) DO NOTHING;
	END IF;
	RETURN NULL;
END $morango$`

// postgresTriggers are the statements that make the table's function and triggers.
func (t *table) postgresTriggers(schema, profile string) []string {
	function := triggerPrefix(profile)
	function += shorten(t.name, maxName-len(function))
	holes := strings.NewReplacer("$schema", db.Quote(schema), "$function", db.Quote(function), "$table", db.Quote(t.name),
		"$profile", literal(profile), "$dirty", model.ColumnDirty, "$old", t.matches(db.Postgres, "OLD"),
		"$new", t.matches(db.Postgres, "NEW"), "$row", t.matches(db.Postgres, "o"))
	statements := []string{holes.Replace(captureFunction)}
	leaving := quoteAll(append([]string{model.ColumnID}, t.discriminators()...))
	for _, trigger := range []struct{ what, when, each string }{
		{"insert", "BEFORE INSERT", "ROW"},
		{"update", "BEFORE UPDATE OF " + t.travelling(), "ROW"},
		{"delete", "AFTER DELETE", "ROW"},
		{"leave", "AFTER UPDATE OF " + leaving, "ROW"},
		{"truncate", "BEFORE TRUNCATE", "STATEMENT"},
	} {
		statements = append(statements, fmt.Sprintf("CREATE TRIGGER %s %s ON %s FOR EACH %s EXECUTE FUNCTION %s.%s()",
			db.Quote("morango:"+trigger.what), trigger.when, db.Quote(t.name), trigger.each,
			db.Quote(schema), db.Quote(function)))
	}
	return statements
}
