package deserialize

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/stage"
)

// The tables of the vectors by the names that the vectors use, and the columns
// that hold booleans.
var (
	tableNames = map[string]string{
		"facility": "facility_profile_facility", "user": "facility_profile_myuser",
		"contentsummarylog": "facility_profile_summarylog", "contentinteractionlog": "facility_profile_interactionlog",
		"store": "morango_store", "rmc": "morango_recordmaxcounter",
		"deleted_models": "morango_deletedmodels", "hard_deleted_models": "morango_harddeletedmodels",
	}
	tableOrder = []string{"facility", "user", "contentsummarylog", "contentinteractionlog", "store", "rmc", "deleted_models", "hard_deleted_models"}
	booleans   = []string{"_morango_dirty_bit", "is_staff", "is_superuser", "deleted", "hard_deleted", "dirty_bit"}
)

type (
	tableRow = map[string]any
	state    map[string][]tableRow
)

var now = time.Date(2024, 5, 6, 7, 8, 9, 123000000, time.UTC)

// zeros is the randomness of these tests: every random id is noRandom.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

const noRandom = "00000000000040008000000000000000"

func testProfile(t testing.TB) *model.Profile {
	t.Helper()
	p, err := model.LoadFile("../../testdata/testapp.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newEnv makes the profile's tables where the layout does not bring them, with
// the triggers by which the engine's writes must not be captured.
func newEnv(t testing.TB, d *db.DB, p *model.Profile) stage.Env {
	t.Helper()
	layout, err := d.Attach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if layout == db.LayoutLean {
		p.Capture = model.CaptureTriggers
		write(t, d, func(tx *db.Tx) error {
			if err := app.CreateTables(t.Context(), tx, p); err != nil {
				return err
			}
			return app.CreateTriggers(t.Context(), tx, p)
		})
	}
	return stage.Env{DB: d, Profile: p, Now: func() time.Time { return now }, Rand: zeros{}}
}

func write(t testing.TB, d *db.DB, f func(*db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// put writes rows as they are, without the capture of changes.
func put(t testing.TB, d *db.DB, s state) {
	t.Helper()
	write(t, d, func(tx *db.Tx) error { return insert(t, tx, s) })
}

// replace writes rows in the place of all that there were.
func replace(t testing.TB, d *db.DB, s state) {
	t.Helper()
	write(t, d, func(tx *db.Tx) error {
		if err := tx.Capture(t.Context(), false); err != nil {
			return err
		}
		for _, name := range slices.Backward(tableOrder) {
			if _, err := tx.Exec(t.Context(), "DELETE FROM "+db.Quote(tableNames[name])); err != nil {
				return err
			}
		}
		return insert(t, tx, s)
	})
}

func insert(t testing.TB, tx *db.Tx, s state) error {
	t.Helper()
	if err := tx.Capture(t.Context(), false); err != nil {
		return err
	}
	for _, name := range tableOrder {
		if len(s[name]) == 0 {
			continue
		}
		columns := slices.Sorted(maps.Keys(s[name][0]))
		names, places := make([]string, len(columns)), make([]string, len(columns))
		for i, column := range columns {
			names[i], places[i] = db.Quote(column), fmt.Sprintf("$%d", i+1)
		}
		statement, err := tx.Prepare(t.Context(), fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", db.Quote(tableNames[name]),
			strings.Join(names, ", "), strings.Join(places, ", ")))
		if err != nil {
			return err
		}
		for _, row := range s[name] {
			args := make([]any, len(columns))
			for i, column := range columns {
				args[i] = row[column]
			}
			if _, err := statement.ExecContext(t.Context(), args...); err != nil {
				return errors.Join(fmt.Errorf("table %s, row %v: %w", name, row, err), statement.Close())
			}
		}
		if err := statement.Close(); err != nil {
			return err
		}
	}
	return nil
}

// get reads the tables that the vectors compare, in the vectors' forms.
func get(t testing.TB, d *db.DB) state {
	t.Helper()
	s := state{}
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		for name, table := range tableNames {
			rows, err := tx.Query(t.Context(), "SELECT * FROM "+db.Quote(table))
			if err != nil {
				return err
			}
			s[name] = []tableRow{}
			names, err := rows.Columns()
			if err != nil {
				return err
			}
			_, err = scan(rows, func(rows *sql.Rows) (int, error) {
				values := make([]any, len(names))
				into := make([]any, len(names))
				for i := range values {
					into[i] = &values[i]
				}
				err := rows.Scan(into...)
				row := tableRow{}
				for i, column := range names {
					row[column] = plain(column, values[i])
				}
				if name == "rmc" {
					delete(row, "id")
				}
				s[name] = append(s[name], row)
				return 0, err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plain is a value as the vectors show it.
func plain(column string, v any) any {
	switch v := v.(type) {
	case time.Time:
		return v.UTC().Format("2006-01-02 15:04:05.000000")
	case []byte:
		return string(v)
	case int64:
		if slices.Contains(booleans, column) {
			return v != 0
		}
		return v
	}
	return v
}

// normal makes two states comparable: moments in one form, errors as whether there
// is one.
func normal(t testing.TB, s state) state {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var copied state
	if err := json.Unmarshal(text, &copied); err != nil {
		t.Fatal(err)
	}
	for name := range tableNames {
		rows := copied[name]
		for _, row := range rows {
			for _, column := range []string{"now_date", "last_login"} {
				if text, ok := row[column].(string); ok {
					var moment db.Time
					if err := moment.Scan(text); err == nil {
						row[column] = moment.Time.Format("2006-01-02 15:04:05.000000")
					}
				}
			}
			if row["now_date"] == now.Format("2006-01-02 15:04:05.000000") {
				row["now_date"] = "<now>"
			}
			if row["content_id"] == noRandom {
				row["content_id"] = "<random>"
			}
			if name == "store" {
				row["deserialization_error"] = row["deserialization_error"] != ""
			}
		}
		slices.SortFunc(rows, func(a, b tableRow) int {
			return strings.Compare(fmt.Sprint(a["id"], a["store_model_id"], a["instance_id"]), fmt.Sprint(b["id"], b["store_model_id"], b["instance_id"]))
		})
		if rows == nil {
			copied[name] = []tableRow{}
		}
	}
	return copied
}
