package app_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
)

// The forms in which Django keeps values on SQLite.
func TestValuesStandOnSQLiteAsDjangoWritesThem(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef"
	at := time.Date(2019, 10, 16, 18, 42, 17, 123456000, time.UTC)
	for _, c := range []struct {
		t             model.Type
		value, stored any
	}{
		{model.UUID, id, id}, {model.DashedUUID, id, id}, {model.Text, "é", "é"}, {model.Text, nil, nil},
		{model.Integer, int64(-1), int64(-1)}, {model.Float, 1.5, 1.5}, {model.Decimal, "1.50", "1.50"},
		{model.Boolean, true, int64(1)}, {model.Boolean, false, int64(0)}, {model.JSON, `{"a": 1}`, `{"a": 1}`},
		{model.DateTime, at, "2019-10-16 18:42:17.123456"},
		{model.DateTime, at.Truncate(time.Second), "2019-10-16 18:42:17"},
		{model.DateTimeTZ, "2019-10-16 18:42:17.123456(UTC)", "2019-10-16 18:42:17.123456(UTC)"},
		{model.Date, time.Date(2019, 10, 16, 0, 0, 0, 0, time.UTC), "2019-10-16"},
		{model.Time, time.Date(1, 1, 1, 18, 42, 17, 0, time.UTC), "18:42:17"},
	} {
		column := &model.Column{Name: "c", Type: c.t}
		if got := app.Bind(db.SQLite, column, c.value); got != c.stored {
			t.Errorf("%s %v is bound as %#v, want %#v", c.t, c.value, got, c.stored)
		}
		got, err := app.FromDatabase(column, c.stored)
		if err != nil || !cmp.Equal(got, c.value) {
			t.Errorf("%s %v is read as %#v, %v, want %#v", c.t, c.stored, got, err, c.value)
		}
	}
}

func TestAStoredValueOfAnotherTypeIsAFault(t *testing.T) {
	for _, c := range []struct {
		t   model.Type
		raw any
	}{
		{model.UUID, "x"}, {model.UUID, int64(1)}, {model.Text, "\xff"}, {model.Text, true}, {model.Integer, "1"},
		{model.Integer, 1.5}, {model.Float, "x"}, {model.Boolean, int64(2)}, {model.DateTime, int64(1)}, {model.Date, "soon"},
	} {
		if got, err := app.FromDatabase(&model.Column{Name: "c", Type: c.t}, c.raw); err == nil {
			t.Errorf("%s from %#v: got %#v, want an error", c.t, c.raw, got)
		}
	}
}

// Whatever a database makes of a bound value, it reads as the value again.
func TestValuesSurviveTheDatabase(t *testing.T) {
	columns := []model.Column{
		{Name: model.ColumnID, Type: model.UUID}, {Name: model.ColumnSourceID, Type: model.Text, Length: 96},
		{Name: model.ColumnPartition, Type: model.Text, Length: 128},
	}
	at := time.Date(2019, 10, 16, 18, 42, 17, 123456000, time.UTC)
	const id = "0123456789abcdef0123456789abcdef"
	values := []any{id, "s", "p"}
	for _, c := range []struct {
		t model.Type
		v any
	}{
		{model.UUID, id}, {model.DashedUUID, id}, {model.Text, "\u2028é😀'"}, {model.Integer, int64(-5)}, {model.SmallInt, int64(7)},
		{model.BigInt, int64(1) << 60}, {model.Float, 0.1}, {model.Decimal, "12345678901234567890.125"}, {model.Boolean, true},
		{model.DateTime, at}, {model.DateTimeTZ, "2019-10-16 18:42:17.123456(UTC)"}, {model.JSON, `{"b":1,  "a": 2}`},
		{model.Date, time.Date(2019, 10, 16, 0, 0, 0, 0, time.UTC)}, {model.Time, time.Date(1, 1, 1, 18, 42, 17, 500000000, time.UTC)},
	} {
		columns = append(columns, model.Column{Name: fmt.Sprintf("c%d", len(columns)), Type: c.t, Nullable: true})
		values = append(values, c.v)
	}
	m := &model.Model{
		Name: "thing", Table: "thing", Columns: columns, IDIsSource: true,
		Source: model.SourceRule{Kind: model.SourceRandom}, Partition: []model.PartitionRule{{Template: "p"}},
	}
	profile := &model.Profile{Name: "p", Models: []*model.Model{m}}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			if err := app.CreateTables(t.Context(), tx, profile); err != nil {
				return err
			}
			if err := app.Upsert(t.Context(), tx, m, []app.Row{{ID: id, Values: values}}); err != nil {
				return err
			}
			_, err := tx.Exec(t.Context(), "UPDATE thing SET _morango_dirty_bit = TRUE")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		var rows []app.Row
		err = d.Read(t.Context(), func(tx *db.Tx) (err error) {
			rows, err = app.DirtyPage(t.Context(), tx, m, partition.Filter{}, "", 10)
			return err
		})
		if err != nil || len(rows) != 1 || rows[0].Fault != nil {
			t.Fatalf("read %+v, %v", rows, err)
		}
		if diff := cmp.Diff(values, rows[0].Values); diff != "" {
			t.Errorf("(-written +read):\n%s", diff)
		}
	})
}
