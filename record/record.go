// Package record holds the record, the unit that travels: the text form of an
// application row, its version and its history, and the rules by which two
// versions of one record are compared and merged.
//
// It belongs to the words layer: pure values, no I/O. It imports ident,
// partition, counter and model. On a row's path it turns a row into text at
// serialize, checks what a peer sends, merges at dequeue, and turns text back
// into a row at deserialize.
package record

import (
	"github.com/morango-go/morango/counter"
)

// Record is one record as it lies in the store and as it travels. Ids are 32
// lower-case hex digits. The zero value is no valid record.
type Record struct {
	ID        string
	Profile   string
	Model     string // model name
	Partition string
	SourceID  string

	Serialized  string // a JSON object; "" in old databases, to be read as {}
	Conflicting string // texts of versions that lost a conflict, newest first, each ended by "\n"
	SelfRef     string // id of the parent in a self-reference; "" when none

	Deleted, HardDeleted bool

	Version counter.Version  // who saved it last
	History counter.Counters // record max counters; includes Version. Records may share one: it is not changed, but replaced
}
