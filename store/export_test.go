package store

import (
	"context"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
)

// FSICBy is FSIC that reads up to so many rows to shorten the claim.
func FSICBy(ctx context.Context, tx *db.Tx, filter partition.Filter, producer, v2 bool, few int64) (counter.FSIC, error) {
	return fsic(ctx, tx, filter, producer, v2, few)
}

// The statements, for the test of their plans.
const (
	CountSaved   = countSaved
	CountClaimed = countClaimed
)

// ListSaved and ListUnder list records.
func ListSaved(tx *db.Tx) string { return listing(tx, listSaved) }

// ListUnder has a place for the filter.
func ListUnder(tx *db.Tx) string { return listing(tx, listUnder) }

// CountUnderQuery counts the records under a prefix.
func CountUnderQuery(tx *db.Tx, prefix string, limit int64) (string, []any) {
	return countUnderQuery(tx, prefix, true, limit)
}

// Saved asks after the instances in parameter 1.
func Saved(tx *db.Tx) string { return saved + tx.IDs(1) + ` i` }

// WindowQuery is the query of Window.
func WindowQuery(tx *db.Tx, l Lacking, after string, most int64) (string, []any) {
	query, args := l.windowQuery(tx, after, most)
	return listing(tx, query), args
}
