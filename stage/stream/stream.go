// Package stream carries records from the store of one peer straight into the store of
// another, without the buffers: on the sending side page by page, on the receiving side chunk by chunk, each merged in a transaction that also
// remembers how far the transfer has come.
//
// It belongs to the stages layer. It imports the words and tables layers and package
// stage. On a row's path it takes the place of queue, transfer and dequeue between two
// MoranGo peers.
//
// That no record is lost rests on three rules. The sender's claim is made before its first
// page is read, and what a page shows of a record is what the claim covers or has seen it.
// The receiver raises its claims by it only when it has merged everything up to the
// sender's end. And a chunk and the place up to which the transfer has come are one
// transaction, so that whoever goes on goes on right after it.
//
// What is new to the receiver's store can go into the application's tables in the same
// transaction, and counts as applied: see Applier.
//
// Where a stream begins while its sender still serializes, Follow reads what is saved, before the
// claim is made, and Pages what is left, after it.
package stream

import (
	"errors"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store"
)

// Errors on which a caller decides.
var (
	// ErrGap says that a chunk begins after records that have not come yet: the sender has
	// to begin where the transfer stands.
	ErrGap = errors.New("records are missing before this chunk")
	// ErrNotReady says that the session is not at the stage at which records come.
	ErrNotReady = errors.New("the transfer session does not take records now")
	// ErrCursor says that a cursor is none that this side has given out.
	ErrCursor = errors.New("this is no cursor of this sender")
)

// Job says what to send: the records of a profile that lie in the filter and that the
// receiver does not claim, after a cursor of Pages ("" is the beginning). Receiver is its claim,
// expanded to the prefixes of the filter; empty means that it has nothing. The zero Filter
// stands for everything.
type Job struct {
	Profile  string
	Filter   partition.Filter
	Receiver counter.ByPartition
	After    string
	Sent     Tail // has travelled already, at these versions
}

// lacking is what the receiver lacks.
func (j Job) lacking() store.Lacking {
	return store.Lacking{Profile: j.Profile, Filter: j.Filter, Receiver: j.Receiver}
}

// wants says whether a record is to travel.
func (j Job) wants(part string, v counter.Version) bool {
	return !j.Sent.has(v) && j.lacking().Wants(part, v)
}
