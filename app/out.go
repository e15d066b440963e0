package app

import (
	"context"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
)

// Bind returns what to bind for a column's canonical value in this database: on
// SQLite in the form that Django writes.
func Bind(kind db.Kind, c *model.Column, v any) any { panic("not written") }

// DirtyPage returns up to limit dirty rows of a model that lie in the filter and
// whose id is greater than after, in id order. The zero filter means all rows.
func DirtyPage(ctx context.Context, tx *db.Tx, m *model.Model, filter partition.Filter, after string, limit int) ([]Row, error) {
	panic("not written")
}

// ClearDirty clears the dirty bits of exactly these rows, without the change
// being captured.
func ClearDirty(ctx context.Context, tx *db.Tx, m *model.Model, ids []string) error {
	panic("not written")
}

// Existing returns those of the ids that the model's table holds.
func Existing(ctx context.Context, tx *db.Tx, m *model.Model, ids []string) (map[string]bool, error) {
	panic("not written")
}
