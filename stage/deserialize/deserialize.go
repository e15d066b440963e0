// Package deserialize is the stage that brings dirty store rows into the
// application's tables: rows that arrived are written, deleted ones removed, and
// what cannot be applied yet waits in the store with its reason.
//
// It belongs to the stages layer. It imports the words and tables layers and
// stage. On a row's path it is the last step, from the store into the
// application's table of the receiving peer.
package deserialize

import (
	"context"

	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage"
)

// Options choose what a run leaves out. The zero value tries every dirty row.
type Options struct {
	// SkipErroring leaves out rows that already carry a deserialization error.
	SkipErroring bool
}

// Report counts what a run did, in records.
type Report struct {
	Applied int64 // written into an application table
	Deleted int64 // removed from an application table, or already gone from it
	Errors  int64 // kept dirty in the store with a deserialization error
	Waiting int64 // left dirty because the application changed the row in between
}

// Run applies the dirty store rows of the environment's profile that lie in the
// filter; the zero filter is all. It works in transactions of bounded length and
// may be run again after any interruption. A row that cannot be applied is
// counted and never an error of the run; the caller serializes the same filter
// first, so that local changes are in the store. tick, when not nil, hears the
// number of rows looked at so far.
func Run(ctx context.Context, env stage.Env, filter partition.Filter, o Options, tick func(done int64)) (Report, error) {
	panic("not written")
}
