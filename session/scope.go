package session

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

const scopeColumns = `id, profile, version, primary_scope_param_key, description,
	read_filter_template, write_filter_template, read_write_filter_template`

func scanScope(row scanner) (model.ScopeDefinition, error) {
	var d model.ScopeDefinition
	err := row.Scan(&d.ID, &d.Profile, &d.Version, &d.PrimaryScopeParam, &d.Description,
		&d.ReadTemplate, &d.WriteTemplate, &d.ReadWriteTemplate)
	return d, err
}

// Scopes reads all scope definitions.
func Scopes(ctx context.Context, tx *db.Tx) ([]model.ScopeDefinition, error) {
	rows, err := tx.Query(ctx, `SELECT `+scopeColumns+` FROM morango_scopedefinition ORDER BY id`)
	return all(rows, err, "scope definitions", scanScope)
}

// Definitions reads all scope definitions once and returns the lookup that
// package cert asks for.
func Definitions(ctx context.Context, tx *db.Tx) (cert.Definitions, error) {
	list, err := Scopes(ctx, tx)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]model.ScopeDefinition, len(list))
	for _, d := range list {
		byID[d.ID] = d
	}
	return func(id string) (model.ScopeDefinition, bool) { d, ok := byID[id]; return d, ok }, nil
}

const upsertScope = `INSERT INTO morango_scopedefinition (` + scopeColumns + `)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
	ON CONFLICT (id) DO UPDATE SET version = excluded.version,
		primary_scope_param_key = excluded.primary_scope_param_key, description = excluded.description,
		read_filter_template = excluded.read_filter_template,
		write_filter_template = excluded.write_filter_template,
		read_write_filter_template = excluded.read_write_filter_template`

// SaveScopes stores a profile's scope definitions: missing ones are added, and
// those that differ are brought up to the profile's. A definition of a newer
// version than the profile's stays. When nothing differs nothing is written.
func SaveScopes(ctx context.Context, tx *db.Tx, p *model.Profile) error {
	stored, err := Definitions(ctx, tx)
	if err != nil {
		return err
	}
	for _, d := range p.Scopes {
		d.Profile = p.Name
		old, ok := stored(d.ID)
		if ok && old.Profile != p.Name {
			return fmt.Errorf("scope definition %q belongs to profile %q: give profile %q's another name", d.ID, old.Profile, p.Name)
		}
		if ok && (old == d || old.Version > d.Version) {
			continue
		}
		_, err := tx.Exec(ctx, upsertScope, d.ID, d.Profile, d.Version, d.PrimaryScopeParam, d.Description,
			d.ReadTemplate, d.WriteTemplate, d.ReadWriteTemplate)
		if err != nil {
			return fmt.Errorf("storing scope definition %q: %w", d.ID, err)
		}
	}
	return nil
}
