// Package dequeue merges the records that a transfer session has received into the
// store, and then claims what the sender claimed.
//
// It belongs to the stages layer. It imports the words and tables layers and
// package stage. On a row's path it leads from the receiver's buffer into its store.
package dequeue

import (
	"context"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage"
)

// Job says what to dequeue. Sender is the sender's claim, expanded to the prefixes of
// the filter; it is taken over once the records are in the store.
type Job struct {
	TransferSession string
	Filter          partition.Filter
	Sender          counter.ByPartition
}

// Report counts what became of the buffered records. Orphans counts buffered record
// max counters whose record is neither in the buffer nor in the store.
type Report struct {
	New, FastForwards, Conflicts, Joined, Stale, Orphans int64
}

// Run merges the session's buffer into the store in one transaction, and raises the
// claims in a second one. It can be run again after any interruption.
func Run(ctx context.Context, env stage.Env, job Job) (Report, error) {
	panic("not written")
}
