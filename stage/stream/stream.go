// Package stream merges what a peer sends in one stream straight into the store, without a
// buffer: chunk by chunk, each in a transaction that also remembers how far the transfer has come.
//
// It belongs to the stages layer. It imports the words and tables layers and package
// stage. On a row's path it takes the place of transfer and dequeue between two MoranGo
// peers, of which the sender reads its store with package store/lacking.
//
// That no record is lost rests on three rules. The sender's claim is made before its first
// page is read, and what a page shows of a record is what the claim covers or has seen it.
// The receiver raises its claims by it only when it has merged everything up to the
// sender's end. And a chunk and the place up to which the transfer has come are one
// transaction, so that whoever goes on goes on right after it.
//
// What is new to the receiver's store can go into the application's tables in the same
// transaction, and counts as applied: see Applier.
package stream

import "errors"

// Errors on which a caller decides.
var (
	// ErrGap says that a chunk begins after records that have not come yet: the sender has
	// to begin where the transfer stands.
	ErrGap = errors.New("records are missing before this chunk")
	// ErrNotReady says that the session is not at the stage at which records come.
	ErrNotReady = errors.New("the transfer session does not take records now")
)
