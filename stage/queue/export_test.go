package queue

import (
	"context"

	"github.com/morango-go/morango/stage"
)

// RunBy is Run with pages of at most so many rows.
func RunBy(ctx context.Context, env stage.Env, job Job, rows int) (records int64, err error) {
	f := filling{env: env, job: job, rows: rows}
	return f.run(ctx)
}
