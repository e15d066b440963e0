// Package queue fills the buffer of a transfer session on the sending side with
// every record of the filter that the receiver does not yet have.
//
// It belongs to the stages layer. It imports the words and tables layers and
// package stage. On a row's path it leads from the store into the buffer.
package queue

import (
	"context"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage"
)

// Job says what to queue. Receiver is the receiver's claim, expanded to the prefixes
// of the filter; empty means that it has nothing.
type Job struct {
	TransferSession string
	Profile         string
	Filter          partition.Filter
	Receiver        counter.ByPartition
}

// Run fills the session's buffer and returns the number of records in it. It is one
// transaction; run again, it starts from an empty buffer.
func Run(ctx context.Context, env stage.Env, job Job) (records int64, err error) {
	panic("not written")
}
