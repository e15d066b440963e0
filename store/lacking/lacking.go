// Package lacking reads what a receiver lacks of the records of a store, page by page, in an
// order in which they compress well and what they refer to comes before them. Each page is a short
// read of its own: nobody waits for a long one, and memory does not grow with the number of records.
//
// It belongs to the tables layer. It imports the words layer, db and store. On a row's path
// it is the way out of the store into a stream; into a buffer queue copies it without reading it.
//
// That no record is lost rests on the sender's claim being made before the first page is read: what a page
// shows of a record is what the claim covers, or has seen it. A record can come twice.
//
// Where records begin to travel while their sender still serializes, Follow reads what is saved, before
// the claim is made, and Pages what is left, after it.
package lacking

import (
	"errors"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store"
)

// ErrCursor says that a cursor is none that this side has given out.
var ErrCursor = errors.New("this is no cursor of this sender")

// Job says what to send: the records of a profile that lie in the filter and that the
// receiver does not claim, after a cursor of Pages ("" is the beginning). Receiver is its claim,
// expanded to the prefixes of the filter; empty means that it has nothing. The zero Filter
// stands for everything.
type Job struct {
	Profile  *model.Profile
	Filter   partition.Filter
	Receiver counter.ByPartition
	After    string
	Sent     Tail // has travelled already, at these versions
}

// lacking is what the receiver lacks.
func (j Job) lacking() store.Lacking {
	return store.Lacking{Profile: j.Profile.Name, Filter: j.Filter, Receiver: j.Receiver}
}

// wants says whether a record is to travel.
func (j Job) wants(part string, v counter.Version) bool {
	return !j.Sent.has(v) && j.lacking().Wants(part, v)
}
