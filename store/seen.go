package store

import (
	"context"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
)

// Seen reports whether the store has each of these versions, by record id, or one that
// had seen it.
func Seen(ctx context.Context, tx *db.Tx, versions map[string]counter.Version) (bool, error) {
	ids := make([]string, 0, len(versions))
	for id := range versions {
		ids = append(ids, id)
	}
	seen := 0
	err := Histories(ctx, tx, ids, func(id, instance string, n int64) {
		if v := versions[id]; v.Instance == instance && n >= v.Counter {
			seen++
		}
	})
	return seen == len(versions), err
}
