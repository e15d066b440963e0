package db_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
)

// catalogs are the queries that list everything there is in a database: what kind of
// thing, its name, and all that is known of it, for the tables of Morango.
var catalogs = map[db.Kind][]string{
	db.SQLite: {
		// The statements hold all of it: types, defaults, checks, keys, conditions.
		`SELECT type, name, sql FROM sqlite_master WHERE tbl_name LIKE 'morango%' AND sql IS NOT NULL`,
		`SELECT 'column ' || c.cid, t.name || '.' || c.name, c.type || '|' || c."notnull" || '|' || coalesce(c.dflt_value, '-') || '|' || c.pk || '|' || c.hidden
			FROM sqlite_master t JOIN pragma_table_xinfo(t.name) c WHERE t.type = 'table' AND t.name LIKE 'morango%'`,
		`SELECT 'key ' || i.origin, t.name || ' ' || i.name, i."unique" || '|' || i.partial || '|' || c.seqno || '|' || coalesce(c.name, '-') || '|' || c."desc" || '|' || c.coll
			FROM sqlite_master t JOIN pragma_index_list(t.name) i JOIN pragma_index_xinfo(i.name) c WHERE t.type = 'table' AND t.name LIKE 'morango%'`,
		`SELECT 'foreign key', t.name || '.' || f."from", f."table" || '|' || f."to" || '|' || f.on_update || '|' || f.on_delete || '|' || f."match"
			FROM sqlite_master t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table' AND t.name LIKE 'morango%'`,
	},
	db.Postgres: {
		`SELECT 'column ' || a.attnum, c.relname || '.' || a.attname, concat_ws('|', c.relkind, c.relpersistence, format_type(a.atttypid, a.atttypmod),
				a.attnotnull, a.attidentity, a.attgenerated, l.collname, pg_get_expr(d.adbin, d.adrelid), a.attstorage)
			FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
				LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum LEFT JOIN pg_collation l ON l.oid = a.attcollation
			WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname LIKE 'morango%'`,
		`SELECT 'constraint ' || o.contype::text, c.relname || ' ' || o.conname, pg_get_constraintdef(o.oid) || o.condeferrable || o.condeferred || o.convalidated
			FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid WHERE c.relname LIKE 'morango%'`,
		`SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename LIKE 'morango%'`,
		`SELECT 'sequence', c.relname, concat_ws('|', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle,
				d.refobjid::regclass, d.refobjsubid, d.deptype)
			FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_depend d ON d.objid = c.oid AND d.deptype IN ('a', 'i')`,
		`SELECT 'trigger', c.relname || ' ' || t.tgname, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal`,
		`SELECT 'other', relkind::text || ' ' || relname, '' FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname LIKE 'morango%'`,
		`SELECT 'function', proname, '' FROM pg_proc WHERE pronamespace = 'public'::regnamespace`,
	},
}

var (
	space   = regexp.MustCompile(`\s+`)
	bracket = regexp.MustCompile(`\( | \)`)
)

// objects lists what the catalogs tell, white space aside.
func objects(t *testing.T, d *db.DB) []string {
	t.Helper()
	var all []string
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		for _, query := range catalogs[d.Kind()] {
			rows, err := tx.Query(t.Context(), query)
			if err != nil {
				return err
			}
			for rows.Next() {
				var kind, name, text string
				if err := rows.Scan(&kind, &name, &text); err != nil {
					return err
				}
				text = bracket.ReplaceAllStringFunc(space.ReplaceAllString(text, " "), strings.TrimSpace)
				all = append(all, kind+" "+name+": "+text)
			}
			if err := rows.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// What we make in Django's layout is what Django makes, object by object.
func TestDjangoLayoutIsDjangos(t *testing.T) {
	for target, theirs := range map[string]*db.DB{
		filepath.Join(t.TempDir(), "ours.db"): dbtest.Django(t), dbtest.PostgresEmptyURL(t): dbtest.PostgresDjango(t),
	} {
		t.Run(string(theirs.Kind()), func(t *testing.T) {
			ours, err := db.Open(t.Context(), target, db.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			for range 2 { // the second time there is nothing to do
				if err := ours.Create(t.Context(), db.LayoutDjango); err != nil {
					t.Fatal(err)
				}
			}
			if layout, err := ours.Attach(t.Context()); layout != db.LayoutDjango || err != nil {
				t.Errorf("Attach finds the layout %q (%v)", layout, err)
			}
			got, want := objects(t, ours), objects(t, theirs)
			if len(want) < 150 {
				t.Errorf("only %d objects are compared", len(want))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("objects (-Django's +ours):\n%s", diff)
			}
		})
	}
}

func TestCreateKeepsTheLayoutThatIsThere(t *testing.T) {
	for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
		if err := d.Create(t.Context(), db.LayoutDjango); err == nil || !strings.Contains(err.Error(), "layout lean") {
			t.Errorf("%s: Django's layout over the lean one gave %v", d.Kind(), err)
		}
		if err := d.Create(t.Context(), "oracle"); err == nil || !strings.Contains(err.Error(), `no layout "oracle"`) {
			t.Errorf("%s: an unknown layout gave %v", d.Kind(), err)
		}
	}
}
