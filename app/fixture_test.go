package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// id makes an id of one repeated digit.
func id(digit string) string { return strings.Repeat(digit, 32) }

// school is a profile with a table of its own, one that two models share, one that
// the application may have made before, and names that need quoting.
func school() *model.Profile {
	morango := func(more ...model.Column) []model.Column {
		return append([]model.Column{
			{Name: "id", Type: model.UUID},
			{Name: model.ColumnSourceID, Type: model.Text, Length: 96},
			{Name: model.ColumnPartition, Type: model.Text, Length: 128},
		}, more...)
	}
	byName := model.SourceRule{Kind: model.SourceColumn, Text: "name"}
	person := &model.Model{
		Name: "person", Table: "person", Source: byName,
		Columns: morango(
			model.Column{Name: "name", Type: model.Text, Length: 20, Unique: true},
			model.Column{Name: "order", Type: model.Integer, Default: &model.Default{Value: int64(7)}},
			model.Column{Name: "seen", Type: model.DateTime, Nullable: true, Local: true},
		),
		Partition: []model.PartitionRule{{Template: "${id}:person"}},
	}
	shared := func(name string) *model.Model {
		return &model.Model{
			Name: name, Table: "it's a \"group\"", Source: byName,
			Where: []model.Equal{{Column: "kind", Value: name}},
			Columns: morango(
				model.Column{Name: "name", Type: model.Text, Default: &model.Default{Value: "it's"}},
				model.Column{Name: "kind", Type: model.Text, Length: 20},
				model.Column{Name: "parent_id", Type: model.UUID, Nullable: true, References: &model.Reference{Model: name}},
			),
			Partition: []model.PartitionRule{{WhenNull: "parent_id", Template: "top"}, {Template: "${parent_id}:sub"}},
		}
	}
	visit := &model.Model{
		Name: "visit", Table: "visit", Source: model.SourceRule{Kind: model.SourceRandom},
		Columns: morango(
			model.Column{Name: "person_id", Type: model.UUID, Nullable: true, References: &model.Reference{Model: "person"}},
			model.Column{Name: "good", Type: model.Boolean, Default: &model.Default{Value: true}},
		),
		Partition: []model.PartitionRule{{Template: "${person_id}:visit"}},
	}
	return &model.Profile{Name: "school", Capture: model.CaptureTriggers, Models: []*model.Model{person, shared("class"), shared("club"), visit}}
}

// initialize makes the tables and triggers of a profile.
func initialize(t *testing.T, d *db.DB, p *model.Profile) {
	t.Helper()
	run(t, d, func(tx *db.Tx) error {
		if err := app.CreateTables(t.Context(), tx, p); err != nil {
			return err
		}
		return app.CreateTriggers(t.Context(), tx, p)
	})
}

func run(t *testing.T, d *db.DB, f func(*db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// apply runs statements of the engine, with capture off.
func apply(t *testing.T, d *db.DB, statements ...string) {
	t.Helper()
	run(t, d, func(tx *db.Tx) error {
		if err := tx.Capture(t.Context(), false); err != nil {
			return err
		}
		for _, s := range statements {
			if _, err := tx.Exec(t.Context(), s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	})
}

// ids lists the ids that a query gives, sorted, as their first digits.
func ids(t *testing.T, d *db.DB, query string) string {
	t.Helper()
	var found []string
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		rows, err := tx.Query(t.Context(), query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			found = append(found, id[:1])
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return strings.Join(found, "")
}

const (
	allRows = `SELECT id FROM person UNION ALL SELECT id FROM "it's a ""group""" UNION ALL SELECT id FROM visit`
	dirty   = `SELECT id FROM person WHERE _morango_dirty_bit UNION ALL
		SELECT id FROM "it's a ""group""" WHERE _morango_dirty_bit UNION ALL SELECT id FROM visit WHERE _morango_dirty_bit`
	gone = `SELECT id FROM morango_deletedmodels WHERE profile = 'school' AND id NOT IN (` + allRows + `)`
)
