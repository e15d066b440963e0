package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// columnKey is a column that travels, in morango_column. Only the lean layout has
// that table.
type columnKey struct{ model, column string }

// columnsOf are the columns of a profile that travel, in its order.
func columnsOf(p *model.Profile) (keys []columnKey) {
	for _, m := range p.Models {
		for _, c := range m.Serialized() {
			keys = append(keys, columnKey{m.Name, c.Name})
		}
	}
	return keys
}

// LearnColumns brings what is remembered of a profile's columns in line with the
// database. Where nothing is, what the tables have counts as known: they are from
// before it was remembered, or from before Morango. Columns that the profile has lost
// are forgotten: from now on nobody writes into the table what arrives for them.
func LearnColumns(ctx context.Context, tx *db.Tx, p *model.Profile) error {
	known, err := knownColumns(ctx, tx, p.Name)
	if err != nil {
		return err
	}
	if len(known) == 0 {
		return learnFromTables(ctx, tx, p)
	}
	travel := columnsOf(p)
	for key := range known {
		if slices.Contains(travel, key) {
			continue
		}
		const forget = `DELETE FROM morango_column WHERE profile = $1 AND model_name = $2 AND column_name = $3`
		if _, err := tx.Exec(ctx, forget, p.Name, key.model, key.column); err != nil {
			return fmt.Errorf("forget the column %s of model %s: %w", key.column, key.model, err)
		}
	}
	return nil
}

func learnFromTables(ctx context.Context, tx *db.Tx, p *model.Profile) error {
	var there []columnKey
	for _, m := range p.Models {
		found, err := describe(ctx, tx, m.Table)
		if err != nil {
			return fmt.Errorf("look at the table %s: %w", m.Table, err)
		}
		for _, c := range m.Serialized() {
			if _, ok := find(found, c.Name); ok {
				there = append(there, columnKey{m.Name, c.Name})
			}
		}
	}
	return remember(ctx, tx, p.Name, there)
}

// NewColumns returns the columns that travel and are not remembered, by model.
func NewColumns(ctx context.Context, tx *db.Tx, p *model.Profile) (map[string][]string, error) {
	known, err := knownColumns(ctx, tx, p.Name)
	if err != nil {
		return nil, err
	}
	fresh := map[string][]string{}
	for _, key := range columnsOf(p) {
		if !known[key] {
			fresh[key.model] = append(fresh[key.model], key.column)
		}
	}
	return fresh, nil
}

// RememberColumns notes that what the store holds for the profile's columns is in the
// application's tables.
func RememberColumns(ctx context.Context, tx *db.Tx, p *model.Profile) error {
	return remember(ctx, tx, p.Name, columnsOf(p))
}

func remember(ctx context.Context, tx *db.Tx, profile string, keys []columnKey) error {
	into := db.Insert{
		Table: "morango_column", Columns: []string{"profile", "model_name", "column_name"},
		Conflict: "ON CONFLICT (profile, model_name, column_name) DO NOTHING",
	}
	rows := make([][]any, 0, len(keys))
	for _, key := range keys {
		rows = append(rows, []any{profile, key.model, key.column})
	}
	if err := tx.InsertAll(ctx, into, rows); err != nil {
		return fmt.Errorf("remember the columns of profile %s: %w", profile, err)
	}
	return nil
}

func knownColumns(ctx context.Context, tx *db.Tx, profile string) (map[columnKey]bool, error) {
	rows, err := tx.Query(ctx, `SELECT model_name, column_name FROM morango_column WHERE profile = $1`, profile)
	if err != nil {
		return nil, fmt.Errorf("read the columns known of profile %s: %w", profile, err)
	}
	defer rows.Close()
	known := map[columnKey]bool{}
	for rows.Next() {
		var key columnKey
		if err := rows.Scan(&key.model, &key.column); err != nil {
			return nil, fmt.Errorf("read the columns known of profile %s: %w", profile, err)
		}
		known[key] = true
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the columns known of profile %s: %w", profile, err)
	}
	return known, nil
}
