package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
)

// kind is what databases are filled with.
type kind struct {
	profile *morango.Profile
	ofNotes bool   // notes, and not Kolibri's rows
	scope   string // definition of the scope that has everything
	// begin writes what is there before any other row, the same in all databases.
	begin func(ctx context.Context, d *db.DB, root string) error
	// fill writes n rows, changed and not yet serialized. The same seed makes the same.
	fill func(ctx context.Context, d *db.DB, root string, seed byte, n int) error
}

// loadKind makes rows of Kolibri's, or notes.
func loadKind(project string, notes bool) (kind, error) {
	if notes {
		return noteKind()
	}
	return kolibriKind(project)
}

// kolibriKind are Kolibri's rows, with triggers that capture changes, as is the rule in the
// lean layout.
func kolibriKind(project string) (kind, error) {
	profile, err := morango.LoadProfile(filepath.Join(project, "testdata", "kolibri", "facilitydata.yaml"))
	if err != nil {
		return kind{}, fmt.Errorf("%w (run it in the project's folder)", err)
	}
	profile.Capture = model.CaptureTriggers
	return kind{profile: profile, scope: "full-facility",
		begin: func(ctx context.Context, d *db.DB, root string) error {
			m := newMaker(profile, d.Kind(), root, seedSchool)
			m.school()
			return m.insert(ctx, d)
		},
		fill: func(ctx context.Context, d *db.DB, root string, seed byte, n int) error {
			return fill(ctx, d, profile, root, seed, n)
		},
	}, nil
}

// note is the smallest row that syncs. Where only the number of rows matters, notes take
// the least time.
type note struct {
	model.Row `morango:"note; source=column:name; partition=${world}:notes"`
	World     string `morango:"world; type=uuid"`
	Name      string `morango:"name"`
	Text      string `morango:"text"`
}

func noteKind() (kind, error) {
	const scope = "world"
	profile, err := model.FromStructs("notes", []model.ScopeDefinition{
		{ID: scope, Version: 1, PrimaryScopeParam: "world", ReadWriteTemplate: "${world}"}}, note{})
	if err != nil {
		return kind{}, err
	}
	return kind{profile: profile, ofNotes: true, scope: scope,
		begin: func(context.Context, *db.DB, string) error { return nil },
		fill:  fillNotes,
	}, nil
}

// fillNotes writes n notes with texts of 64 bytes, of which one in a thousand is long.
func fillNotes(ctx context.Context, d *db.DB, root string, seed byte, n int) error {
	into := db.Insert{Table: "note", Columns: []string{"id", "world", "name", "text", model.ColumnSourceID, model.ColumnPartition, model.ColumnDirty}}
	place := root + ":notes"
	const atOnce = 10_000
	rows := make([][]any, 0, atOnce)
	for i := range n {
		name := fmt.Sprintf("%d-%d", seed, i)
		text := ident.Record(name, "no program", "can make it") + ident.Record(name, "any", "shorter")
		if i%1000 == 0 {
			text = fmt.Sprintf("%020000d", i)
		}
		rows = append(rows, []any{ident.Record(place, name, "note"), root, name, text, name, place, true})
		if len(rows) < atOnce && i < n-1 {
			continue
		}
		if err := d.Write(ctx, func(tx *db.Tx) error { return tx.InsertAll(ctx, into, rows) }); err != nil {
			return fmt.Errorf("write notes: %w", err)
		}
		rows = rows[:0]
	}
	return nil
}
