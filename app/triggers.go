package app

import (
	"context"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// CreateTriggers makes the triggers by which changes to the profile's tables are
// captured, whoever makes them: rows become dirty, deletions are recorded. It may
// be run again after the profile has changed.
func CreateTriggers(ctx context.Context, tx *db.Tx, p *model.Profile) error { panic("not written") }
