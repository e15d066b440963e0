// Package app is the only code that touches the application's tables: it creates
// them from the profile, captures changes to them, reads dirty rows and writes
// arriving ones.
//
// It belongs to the tables layer. It imports the words layer and db. On a row's
// path it is the first step of the sender and the last of the receiver.
package app

import (
	"context"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// CreateTables creates the profile's tables that do not exist, and checks and
// completes those that do: the primary key must be the column id, every column of
// the profile must be there, and the three Morango columns are added when they are
// missing. Rows that were there before become dirty.
func CreateTables(ctx context.Context, tx *db.Tx, p *model.Profile) error { panic("not written") }
