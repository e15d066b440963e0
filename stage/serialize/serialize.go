// Package serialize is the stage that takes changed rows out of the
// application's tables into the store and stamps them with a version.
//
// It belongs to the stages layer. It imports the words and tables layers and
// package stage. On a row's path it is the first step.
package serialize

import (
	"context"

	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage"
)

// Report says what a run did. Records is the sum of New, Changed and Deleted.
// LeftOut holds the first rows that could not be serialized and stay dirty;
// LeftOutTotal counts them all.
type Report struct {
	Records, New, Changed, Deleted int64
	LeftOut                        []Problem
	LeftOutTotal                   int64
}

// Problem is a row that was left out, and why.
type Problem struct {
	Model, ID, Reason string
}

// Run serializes the dirty rows of the profile that lie in the filter (the zero
// filter means all) and all recorded deletions, then claims them. It works in
// transactions of bounded length and can be run again at any time; with nothing
// to do it writes nothing. tick, when not nil, is called after each transaction
// with the number of records done so far.
func Run(ctx context.Context, env stage.Env, filter partition.Filter, tick func(done int64)) (Report, error) {
	panic("not written")
}
