package stream

import (
	"context"
	"strings"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/stage"
)

// PagesBy is Pages with lists of at most so many ids; less than 0 allows none.
func PagesBy(ctx context.Context, env stage.Env, job Job, rows int, changed, under int64, yield func(Page) error) error {
	return pages(ctx, env, job, rows, short{changed, under}, yield)
}

// The queries, for the test of their plans.
const (
	CountSaved = countSaved
	ListSaved  = listSaved
	Histories  = historiesOf
	Versions   = versionsOf
)

// WholeQuery is a page of the whole store.
func WholeQuery(tx *db.Tx, job Job, rows int) (string, []any) { return job.wholeQuery(tx, rows) }

// CountUnder counts by partition.
func CountUnder(tx *db.Tx, job Job) (string, []any) {
	condition, args := tx.PrefixCond("s.partition", job.Filter, 1)
	return strings.NewReplacer("(FILTER)", condition, "(LIMIT)", "5").Replace(countUnder), args
}
