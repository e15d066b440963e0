package queue

import (
	"context"

	"github.com/morango-go/morango/db"
)

// The statements, for the test of their plans.
const (
	MakeClaims    = makeClaims
	FillRecords   = fillRecords
	FillBuffer    = fillBuffer
	FillHistories = fillHistories
)

// JoinBy is Join with lists of at most so many ids; less than 0 allows none.
func JoinBy(ctx context.Context, tx *db.Tx, job Job, listed int64) (int64, error) {
	return join(ctx, tx, job, listed)
}
