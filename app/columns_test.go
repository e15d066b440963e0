package app_test

import (
	"strings"
	"testing"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/model"
)

// grown is the school with further columns of visits, and with one of the clubs alone.
func grown(visit ...model.Column) *model.Profile {
	p := school()
	club, _ := p.Model("club")
	club.Columns = append(club.Columns, model.Column{Name: "motto", Type: model.Text})
	last, _ := p.Model("visit")
	last.Columns = append(last.Columns, visit...)
	return p
}

func TestColumnsAreAddedToTablesMadeHere(t *testing.T) {
	for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
		initialize(t, d, school())
		apply(t, d, expand(`INSERT INTO visit (id, _morango_dirty_bit) VALUES (#1, FALSE)`))
		later := grown(model.Column{Name: "score", Type: model.Float, Default: &model.Default{Value: 0.5}},
			model.Column{Name: "with_id", Type: model.UUID, Nullable: true, References: &model.Reference{Model: "person"}},
			model.Column{Name: "seen", Type: model.DateTime, Nullable: true, Local: true})
		initialize(t, d, later)
		initialize(t, d, later) // once more changes nothing
		if got := ids(t, d, dirty); got != "" {
			t.Errorf("%s: rows %q became dirty", d.Kind(), got)
		}
		run(t, d, func(tx *db.Tx) error {
			for _, s := range []string{`UPDATE visit SET score = 1.5 WHERE score = 0.5 AND with_id IS NULL AND seen IS NULL`,
				`INSERT INTO "it's a ""group""" (id, kind) VALUES (#3, 'class')`} {
				if n, err := tx.Exec(t.Context(), expand(s)); err != nil || n != 1 {
					t.Errorf("%s: %s changed %d rows", d.Kind(), s, n)
					return err
				}
			}
			return nil
		})
		if got := ids(t, d, dirty); got != "13" {
			t.Errorf("%s: captured %q, want 13", d.Kind(), got)
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), expand(`UPDATE visit SET with_id = #7`))
			return err
		})
		if !db.IsConstraint(err) {
			t.Errorf("%s: a foreign key to nothing gave %v", d.Kind(), err)
		}
	}
}

func TestColumnsThatCannotBeAddedAreNamed(t *testing.T) {
	for want, c := range map[string]model.Column{
		"no plain default":             {Name: "score", Type: model.Integer},
		"must not be null":             {Name: "score", Type: model.DateTime, Default: &model.Default{Now: true}},
		"unique":                       {Name: "score", Type: model.Integer, Nullable: true, Unique: true},
		"a foreign key with a default": {Name: "score", Type: model.UUID, Default: &model.Default{Value: id("1")}, References: &model.Reference{Model: "person"}},
	} {
		for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
			initialize(t, d, school())
			err := d.Write(t.Context(), func(tx *db.Tx) error { return app.CreateTables(t.Context(), tx, grown(c)) })
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "visit has no column score") {
				t.Errorf("%s: got %v, want %q", d.Kind(), err, want)
			}
		}
	}
}
