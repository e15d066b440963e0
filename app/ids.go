package app

import (
	"context"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// FillIDs gives rows whose source id or partition is empty these by the profile's
// rules. It never changes an id.
func FillIDs(ctx context.Context, tx *db.Tx, p *model.Profile, m *model.Model, random func() string) error {
	panic("not written")
}
