package session

import (
	"context"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// SaveScopes stores a profile's scope definitions: missing ones are added, and
// those whose version or text differs are brought up to the profile's.
func SaveScopes(ctx context.Context, tx *db.Tx, p *model.Profile) error { panic("not written") }

// Scopes reads all scope definitions.
func Scopes(ctx context.Context, tx *db.Tx) ([]model.ScopeDefinition, error) { panic("not written") }

// Definitions reads all scope definitions once and returns the lookup that
// package cert asks for.
func Definitions(ctx context.Context, tx *db.Tx) (cert.Definitions, error) { panic("not written") }
