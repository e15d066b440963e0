// Package tables moves the database states of the vectors into a database and back
// out of it.
//
// It serves tests only. It imports the words and tables layers.
package tables

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store"
)

// table is how one table of the vectors is named and what it holds. A column with
// "?" after its name is a boolean, one with "@" a moment.
type table struct {
	name    string
	columns string
}

const morangoColumns = " _morango_dirty_bit? _morango_source_id _morango_partition"

// known are the tables by their names in the vectors.
var known = map[string]table{
	"store": {"morango_store", "id profile model_name partition source_id serialized conflicting_serialized_data deleted? " +
		"hard_deleted? last_saved_instance last_saved_counter dirty_bit? _self_ref_fk deserialization_error last_transfer_session_id"},
	"rmc": {"morango_recordmaxcounter", "store_model_id instance_id counter"},
	"dmc": {"morango_databasemaxcounter", "instance_id partition counter"},
	"buffer": {"morango_buffer", "transfer_session_id model_uuid profile model_name partition source_id serialized " +
		"conflicting_serialized_data deleted? hard_deleted? last_saved_instance last_saved_counter _self_ref_fk"},
	"rmcb":                  {"morango_recordmaxcounterbuffer", "transfer_session_id model_uuid instance_id counter"},
	"deleted_models":        {"morango_deletedmodels", "id profile"},
	"hard_deleted_models":   {"morango_harddeletedmodels", "id profile"},
	"facility":              {"facility_profile_facility", "id name now_date@ parent_id" + morangoColumns},
	"user":                  {"facility_profile_myuser", "id username password last_login@ is_staff? is_superuser?" + morangoColumns},
	"contentsummarylog":     {"facility_profile_summarylog", "id user_id content_id" + morangoColumns},
	"contentinteractionlog": {"facility_profile_interactionlog", "id user_id content_id" + morangoColumns},
}

// Profile returns the profile of the vectors' test app.
func Profile(t testing.TB) *model.Profile {
	t.Helper()
	folder, err := filepath.Abs(".")
	for err == nil {
		if _, missing := os.Stat(filepath.Join(folder, "go.mod")); missing == nil || folder == filepath.Dir(folder) {
			break
		}
		folder = filepath.Dir(folder)
	}
	profile, err := model.LoadFile(filepath.Join(folder, "testdata", "testapp.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return profile
}

// Env returns an environment for stages on a database with the tables of the test
// app, which it makes where Django did not. Time and randomness are fixed.
func Env(t testing.TB, d *db.DB) stage.Env {
	t.Helper()
	profile := Profile(t)
	Write(t, d, func(tx *db.Tx) error { return app.CreateTables(t.Context(), tx, profile) })
	return stage.Env{
		DB: d, Profile: profile, Machine: store.Machine{SystemID: "system", NodeID: "node"},
		Now:  func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) },
		Rand: rand.NewChaCha8([32]byte{1}),
	}
}

// Write runs f in a transaction that must succeed.
func Write(t testing.TB, d *db.DB, f func(tx *db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// databaseID is the id of every database that Load fills.
const databaseID = "d0000000000000000000000000000001"

// Instance is the id that a database filled by Load saves as: a function of the
// machine of Env, so it cannot be a case's own. Put it in place of the case's.
func Instance() string { return ident.Instance(databaseID, "system", "node") }

// Load empties all tables and fills them with the lists of state; entries that are
// no tables are ignored. counter is that of the database's own instance.
func Load(t testing.TB, d *db.DB, counter int64, state map[string]json.RawMessage) {
	t.Helper()
	Write(t, d, func(tx *db.Tx) error {
		if d.Kind() == db.SQLite {
			if _, err := tx.Exec(t.Context(), "PRAGMA defer_foreign_keys = on"); err != nil {
				return err
			}
		}
		for _, name := range slices.Sorted(maps.Keys(known)) {
			if _, err := tx.Exec(t.Context(), "DELETE FROM "+known[name].name); err != nil {
				return err
			}
		}
		if err := instance(t, tx, counter); err != nil {
			return err
		}
		for name, list := range state {
			if tab, ok := known[name]; ok {
				if err := tab.fill(t, tx, list); err != nil {
					return fmt.Errorf("table %s: %w", tab.name, err)
				}
			}
		}
		return nil
	})
}

// instance makes the database's own instance the only one.
func instance(t testing.TB, tx *db.Tx, counter int64) error {
	for _, query := range []string{
		"DELETE FROM morango_instanceidmodel", "DELETE FROM morango_databaseidmodel",
		"INSERT INTO morango_databaseidmodel (id, current, date_generated, initial_instance_id) VALUES ('" + databaseID + "', TRUE, '2026-01-01 00:00:00', '')",
		fmt.Sprintf(`INSERT INTO morango_instanceidmodel (id, platform, hostname, sysversion, node_id, counter, current, db_path,
			database_id, system_id) VALUES ('%s', '', '', '', 'node', %d, TRUE, '', '%s', 'system')`, Instance(), counter, databaseID),
	} {
		if _, err := tx.Exec(t.Context(), query); err != nil {
			return err
		}
	}
	return nil
}

// fill inserts a list of rows.
func (tab table) fill(t testing.TB, tx *db.Tx, list json.RawMessage) error {
	var rows []map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(list)))
	decoder.UseNumber()
	if err := decoder.Decode(&rows); err != nil {
		return err
	}
	for _, row := range rows {
		var names, places []string
		var args []any
		for name, value := range row {
			if number, ok := value.(json.Number); ok {
				n, err := number.Int64()
				if err != nil {
					return err
				}
				value = n
			}
			args = append(args, value)
			names = append(names, db.Quote(name))
			places = append(places, fmt.Sprintf("$%d", len(args)))
		}
		_, err := tx.Exec(t.Context(), fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)",
			tab.name, strings.Join(names, ", "), strings.Join(places, ", ")), args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// Row is a row as the vectors show it.
type Row = map[string]any

// Dump returns a table, named as in the vectors, in their form.
func Dump(t testing.TB, d *db.DB, name string) []Row {
	t.Helper()
	return DumpAll(t, d, name)[name]
}

// DumpAll returns tables as Dump does, all as they are at one moment: a commit that was
// given up can still arrive.
func DumpAll(t testing.TB, d *db.DB, names ...string) map[string][]Row {
	t.Helper()
	all := map[string][]Row{}
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		for _, name := range names {
			tab, ok := known[name]
			if !ok {
				return fmt.Errorf("the vectors have no table %s", name)
			}
			rows, err := tab.dump(t.Context(), tx)
			if err != nil {
				return err
			}
			all[name] = rows
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (tab table) dump(ctx context.Context, tx *db.Tx) ([]Row, error) {
	list := []Row{}
	columns := strings.Fields(tab.columns)
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = db.Quote(strings.TrimRight(c, "?@"))
	}
	rows, err := tx.Query(ctx, fmt.Sprintf("SELECT %s FROM %s", strings.Join(quoted, ", "), tab.name))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		raw := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range raw {
			into[i] = &raw[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := Row{}
		for i, c := range columns {
			row[strings.TrimRight(c, "?@")] = shown(c, raw[i])
		}
		list = append(list, row)
	}
	return list, rows.Err()
}

// shown is a value as the vectors show it.
func shown(column string, raw any) any {
	switch v := raw.(type) {
	case []byte:
		return string(v)
	case int64:
		if strings.HasSuffix(column, "?") {
			return v != 0
		}
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

// Counter returns the counter of the database's own instance.
func Counter(t testing.TB, d *db.DB) int64 {
	t.Helper()
	var n int64
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.QueryRow(t.Context(), "SELECT counter FROM morango_instanceidmodel WHERE id = $1", Instance()).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
