package morango_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/ident"
)

// In the recorded database: the certificate under which its data lies, the row that
// is not serialized yet, the deletion that is not, and the instance that saved all.
const (
	root       = "a61b0c8b6427c49fe800613f017addf3"
	dirtyRow   = "c20c743861b8a2be07892e2f3371b400"
	deletedRow = "f70f689118383dda559557c1ac652c35"
	instance   = "79d0e01d91994feb79537f8702d67a8c"
)

// handed is a database that Django made and that a MoranGo node works on.
type handed struct {
	target, driver string
	pool           *sql.DB
}

func eachHanded(t *testing.T, f func(*testing.T, handed)) {
	t.Helper()
	for _, driver := range []string{"sqlite", "pgx"} {
		t.Run(driver, func(t *testing.T) {
			h := handed{driver: driver}
			if driver == "sqlite" {
				h.target = dbtest.Reference(t)
			} else {
				h.target = dbtest.ReferencePostgres(t)
			}
			u, err := url.Parse(h.target)
			must(t, err)
			if driver == "pgx" { // moments are read as texts
				query := u.Query()
				query.Set("timezone", "UTC")
				u.RawQuery = query.Encode()
			}
			h.pool, err = sql.Open(driver, u.String())
			must(t, err)
			t.Cleanup(func() { must(t, h.pool.Close()) })
			f(t, h)
		})
	}
}

// open opens a database of the test app as a node.
func openTestApp(t *testing.T, target string, c morango.Config) *morango.Node {
	t.Helper()
	profile, err := morango.LoadProfile("testdata/testapp.yaml")
	must(t, err)
	c.Logger = slog.New(slog.DiscardHandler)
	n, err := morango.Open(t.Context(), target, profile, c)
	must(t, err)
	return n
}

// value is what a column holds: its type in the database and its text.
type value struct{ Type, Text string }

// contents are all rows of a database: by table, then by id, columns.
type contents map[string]map[string]map[string]value

// read reads all there is.
func (h handed) read(t *testing.T) contents {
	t.Helper()
	query, typed := `SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'sqlite_sequence'`, "typeof"
	if h.driver == "pgx" {
		query, typed = `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`, "pg_typeof"
	}
	all := contents{}
	for _, table := range h.texts(t, query) {
		rows, err := h.pool.Query(`SELECT * FROM ` + table + ` WHERE FALSE`)
		must(t, err)
		columns, err := rows.Columns()
		must(t, err)
		must(t, rows.Close())
		var fields []string
		for _, c := range columns {
			fields = append(fields, fmt.Sprintf("CAST(%s(%q) AS text), CAST(%q AS text)", typed, c, c))
		}
		rows, err = h.pool.Query(`SELECT ` + strings.Join(fields, ", ") + ` FROM ` + table)
		must(t, err)
		all[table] = map[string]map[string]value{}
		for rows.Next() {
			values, into := make([]sql.NullString, 2*len(columns)), make([]any, 2*len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			must(t, rows.Scan(into...))
			row := map[string]value{}
			for i, c := range columns {
				if row[c] = (value{"null", ""}); values[2*i+1].Valid {
					row[c] = value{values[2*i].String, values[2*i+1].String}
				}
			}
			all[table][row["id"].Text] = row
		}
		must(t, rows.Err())
	}
	return all
}

func (h handed) texts(t *testing.T, query string) (all []string) {
	t.Helper()
	rows, err := h.pool.Query(query)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var text string
		must(t, rows.Scan(&text))
		all = append(all, text)
	}
	must(t, rows.Err())
	return all
}

// schema is everything but the rows.
func (h handed) schema(t *testing.T) []string {
	t.Helper()
	if h.driver == "sqlite" {
		return h.texts(t, `SELECT coalesce(sql, name) FROM sqlite_master ORDER BY 1`)
	}
	return slices.Concat(
		h.texts(t, `SELECT concat_ws(' ', c.relkind, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
			FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
			WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1`),
		h.texts(t, `SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1`),
		h.texts(t, `SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1`),
		h.texts(t, `SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1`))
}

// changes tells by which rows two states of a table differ: + new, - gone, and of
// changed ones the columns.
func changes(before, after map[string]map[string]value) (all []string) {
	ids := maps.Clone(before)
	maps.Copy(ids, after)
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		short := strings.ReplaceAll(id, "-", "")
		switch old, now := before[id], after[id]; {
		case old == nil:
			all = append(all, "+ "+short)
		case now == nil:
			all = append(all, "- "+short)
		default:
			for _, c := range slices.Sorted(maps.Keys(now)) {
				if old[c] != now[c] {
					all = append(all, fmt.Sprintf("%s.%s: %s -> %s", short, c, old[c].Text, now[c].Text))
				}
			}
		}
	}
	return all
}

// A database that Django made is served, pushed to and handed back: nothing about
// its tables has changed but rows, and of these only those that had to.
func TestDjangoDatabaseInPlace(t *testing.T) {
	eachHanded(t, func(t *testing.T, h handed) {
		schema, before := h.schema(t), h.read(t)
		done := syncWithTablet(t, h.target)
		after := h.read(t)
		if diff := cmp.Diff(schema, h.schema(t)); diff != "" {
			t.Errorf("the schema has changed:\n%s", diff)
		}
		want := map[string][]string{
			"facility_profile_facility": {
				"+ " + done.added,
				done.edited + ".name: " + before["facility_profile_facility"][h.id(done.edited)]["name"].Text + " -> Renamed ü",
				// What travels has milliseconds, as in the reference.
				done.edited + ".now_date: 2024-11-03 04:05:06.123456" + h.zone() + " -> 2024-11-03 04:05:06.123" + map[bool]string{true: "000"}[h.driver == "sqlite"] + h.zone(),
				done.pending + "._morango_dirty_bit: " + h.bool(true) + " -> " + h.bool(false),
			},
			"facility_profile_interactionlog": {"- " + done.deleted},
		}
		for table := range before {
			got := changes(before[table], after[table])
			slices.Sort(want[table])
			slices.Sort(got)
			if !strings.HasPrefix(table, "morango_") && !slices.Equal(got, want[table]) {
				t.Errorf("%s has changed:\n%s\nwant\n%s", table, strings.Join(got, "\n"), strings.Join(want[table], "\n"))
			}
		}
		checkStore(t, h, before["morango_store"], after["morango_store"], done)
		checkInstances(t, h, before, after)
		checkCertificates(t, before["morango_certificate"], after["morango_certificate"])
		for _, table := range []string{"morango_scopedefinition", "morango_sharedkey", "morango_databaseidmodel", "morango_nonce", "morango_buffer", "morango_recordmaxcounterbuffer"} {
			if got := changes(before[table], after[table]); len(got) > 0 {
				t.Errorf("%s has changed: %q", table, got)
			}
		}
		checkForms(t, h, after)
	})
}

// id is how the database shows an id.
func (h handed) id(id string) string {
	if h.driver == "sqlite" {
		return id
	}
	return strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-")
}

func (h handed) bool(b bool) string {
	if h.driver == "sqlite" {
		return map[bool]string{true: "1", false: "0"}[b]
	}
	return fmt.Sprint(b)
}

// zone is what stands after a moment.
func (h handed) zone() string { return map[string]string{"pgx": "+00"}[h.driver] }

// synced are the ids of the rows that changed in syncWithTablet: on the tablet, and,
// in the recorded database, those that waited to be serialized.
type synced struct{ added, edited, deleted, pending, deletion string }

// syncWithTablet serves the database, and lets a fresh tablet pull, change rows and
// push.
func syncWithTablet(t *testing.T, target string) (done synced) {
	t.Helper()
	hub := openTestApp(t, target, morango.Config{})
	address := (&peer{Node: hub, t: t}).serve()
	file := filepath.Join(t.TempDir(), "tablet.db")
	tablet := openTestApp(t, file, morango.Config{Create: true})
	_, err := tablet.Join(t.Context(), address, morango.JoinOptions{User: "teacher", Password: "secret"})
	must(t, err)
	syncBoth := func() {
		s, err := tablet.Sync(t.Context(), address, morango.SyncOptions{ChunkSize: 7})
		must(t, err)
		if !s.Pull.Done || !s.Push.Done || s.Failing() != 0 {
			t.Fatalf("synced %+v", s)
		}
	}
	syncBoth()
	app := &handed{driver: "sqlite", target: file}
	app.pool, err = sql.Open("sqlite", file)
	must(t, err)
	do := func(query string, args ...any) {
		t.Helper()
		_, err := app.pool.Exec(query, args...)
		must(t, err)
	}
	done = changeRows(t, app, do)
	syncBoth()
	must(t, app.pool.Close())
	must(t, tablet.Close())
	must(t, hub.Close())
	return done
}

// changeRows plays the application on the tablet: it keeps the dirty bits itself.
func changeRows(t *testing.T, app *handed, do func(string, ...any)) synced {
	t.Helper()
	done := synced{pending: dirtyRow, deletion: deletedRow}
	const one = `SELECT id FROM facility_profile_facility WHERE substr(_morango_partition, 1, 32) = '` + root + `' AND parent_id IS NOT NULL ORDER BY id`
	facilities := app.texts(t, one)
	done.edited = facilities[0]
	do(`UPDATE facility_profile_facility SET name = 'Renamed ü', _morango_dirty_bit = 1 WHERE id = ?`, done.edited)
	done.deleted = app.texts(t, `SELECT id FROM facility_profile_interactionlog ORDER BY id`)[0]
	do(`DELETE FROM facility_profile_interactionlog WHERE id = ?`, done.deleted)
	do(`INSERT INTO morango_deletedmodels (id, profile) VALUES (?, 'facilitydata')`, done.deleted)
	done.added = ident.Record(root+":fac", "new", "facility")
	do(`INSERT INTO facility_profile_facility (id, name, now_date, parent_id, _morango_dirty_bit, _morango_source_id, _morango_partition)
		VALUES (?, 'New', '2026-02-03 04:05:06.700000', ?, 1, 'new', ?)`, done.added, done.edited, root+":fac")
	return done
}

// What we make in Django's layout takes a database over as a Django application would
// have it, and gets no triggers.
func TestNewDatabaseInDjangosLayout(t *testing.T) {
	hub := openTestApp(t, dbtest.Reference(t), morango.Config{})
	address := (&peer{Node: hub, t: t}).serve()
	for driver, target := range map[string]string{"sqlite": filepath.Join(t.TempDir(), "new.db"), "pgx": dbtest.PostgresEmptyURL(t)} {
		_, err := morango.Open(t.Context(), target, testProfile(t), morango.Config{Create: true, Layout: db.LayoutDjango})
		if err == nil || !strings.Contains(err.Error(), "capture: application") {
			t.Errorf("%s: a profile that wants triggers gave %v", driver, err)
		}
		n := openTestApp(t, target, morango.Config{Create: true, Layout: db.LayoutDjango})
		_, err = n.Join(t.Context(), address, morango.JoinOptions{User: "teacher", Password: "secret"})
		must(t, err)
		s, err := n.Sync(t.Context(), address, morango.SyncOptions{})
		must(t, err)
		one, err := n.Digest(t.Context())
		must(t, err)
		if s.Pull.Records == 0 || s.Failing() != 0 {
			t.Errorf("%s: synced %+v", driver, s)
		}
		must(t, n.Close())
		again := openTestApp(t, target, morango.Config{})
		if other, err := again.Digest(t.Context()); err != nil || other != one {
			t.Errorf("%s: opened again, the digest is %s (%v) after %s", driver, other, err, one)
		}
		must(t, again.Close())
	}
	must(t, hub.Close())
}
