package queue

import (
	"context"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage"
)

// The statements, for the test of their plans.
const (
	MakeClaims  = makeClaims
	FillRecords = fillRecords
)

// FillRange copies what the receiver does not claim after an id.
func FillRange(tx *db.Tx, filter partition.Filter) (query string, args []any) {
	return fillRange(tx, filter, "1")
}

// FillHistories copies histories after an id.
const FillHistories = fillHistories

// RunBy is Run in parts of so many rows, with lists of at most so many ids; less than 0 allows none.
func RunBy(ctx context.Context, env stage.Env, job Job, rows int, listed int64) (records int64, err error) {
	f := filling{env: env, job: job, rows: rows, changed: listed, under: listed}
	return f.run(ctx)
}

// RunInWindows is RunBy with windows of so many ids.
func RunInWindows(ctx context.Context, env stage.Env, job Job, rows int, window int64) (records int64, err error) {
	f := filling{env: env, job: job, rows: rows, changed: -1, under: -1, window: window}
	return f.run(ctx)
}
