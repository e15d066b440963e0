package dequeue

import (
	"context"

	"github.com/morango-go/morango/stage"
)

// RunPaged is Run with pages of few rows.
func RunPaged(ctx context.Context, env stage.Env, job Job, rows int) (Report, error) {
	return run(ctx, env, job, paging{rows, pageRows})
}

// RunInParts is Run with pages of few rows, each in a transaction of its own if the clock
// says so.
func RunInParts(ctx context.Context, env stage.Env, job Job, rows int) (Report, error) {
	return run(ctx, env, job, paging{rows, 0})
}
