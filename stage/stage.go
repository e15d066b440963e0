// Package stage names the seven stages of a transfer session and their order,
// carries what every stage needs (Env), and runs them one after the other so that
// a crash costs only the stage that it interrupted.
//
// It belongs to the stages layer. It imports the words and tables layers, and
// none of its subpackages: the stages come in as functions. On a row's path it is
// the conveyor belt.
package stage

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/store"
)

// Stage is one step of a transfer session, with its name on the wire.
type Stage string

// The stages in the order in which every transfer session passes them.
const (
	Initializing  Stage = "initializing"
	Serializing   Stage = "serializing"
	Queuing       Stage = "queuing"
	Transferring  Stage = "transferring"
	Dequeuing     Stage = "dequeuing"
	Deserializing Stage = "deserializing"
	Cleanup       Stage = "cleanup"
)

// Status says how far a stage has come, with its name on the wire.
type Status string

// The statuses of a stage.
const (
	Pending   Status = "pending"
	Started   Status = "started"
	Completed Status = "completed"
	Errored   Status = "errored"
)

// All returns the stages in order.
func All() []Stage {
	return []Stage{Initializing, Serializing, Queuing, Transferring, Dequeuing, Deserializing, Cleanup}
}

// Valid reports whether s is one of the seven stages.
func (s Stage) Valid() bool { return slices.Contains(All(), s) }

// Before reports whether s comes before t. The empty stage comes before all.
func (s Stage) Before(t Stage) bool {
	return slices.Index(All(), s) < slices.Index(All(), t)
}

// Event tells what happens in a transfer session, for progress lines, pages and
// metrics. Counts are of records; Total is 0 while unknown. An event without a stage
// tells that the connection to the peer broke, with Err, and is tried again.
type Event struct {
	Time            time.Time
	SyncSession     string
	TransferSession string
	Push            bool
	Peer            bool // the peer does this part of the stage; Done is not known
	Stage           Stage
	Status          Status
	Done, Total     int64
	BytesSent       int64
	BytesReceived   int64
	Err             error
	Renewed         *Renewal // set when the database turned out to be a copy; nil otherwise
}

// Renewal tells that this database turned out to be a copy of one that went on: a peer
// knew more of its instance Copied than it did itself. It has a new database id since,
// and saves as Instance.
type Renewal struct {
	Copied      string
	Ours, Known int64  // highest counter of Copied, here and with the peer
	Instance    string // the new one
	Records     int64  // that had been saved as Copied already and were stamped again
}

// Sink receives events. It must return quickly and must not call back into the
// node. A nil Sink drops them.
type Sink func(Event)

// Env is what every stage needs of the peer it runs in. Events, Hook and Merge may be
// nil, SerializeRows 0; all other fields are set. Merge holds the program's own merge functions, by model
// name, for the models whose rule is model.MergeCustom.
type Env struct {
	DB      *db.DB
	Profile *model.Profile
	Machine store.Machine
	Now     func() time.Time
	Rand    io.Reader
	Events  Sink
	Hook    Hook
	Merge   map[string]record.Func
	// SerializeRows bounds the rows of one transaction of serialize, and of queue; 0 is what can be done in
	// db.PartTime. With a bound the stream of a push that begins before all is serialized goes on
	// in turns with that, and not beside it, so that everything follows from the
	// seed where a seed decides.
	SerializeRows int
}

// AtOnce is how many of all records are made rows of, and these written, in one go: a bound on SQLite, and on
// PostgreSQL, where each statement is a round trip, all of them. It is one at least.
func AtOnce(tx *db.Tx, all int) int {
	if tx.Kind() == db.SQLite {
		return 500
	}
	return max(all, 1)
}

// Emit passes an event on, stamped with the time, when somebody listens.
func (e Env) Emit(ev Event) {
	if e.Events != nil {
		ev.Time = e.Now()
		e.Events(ev)
	}
}

// NewID returns a fresh random id.
func (e Env) NewID() (string, error) {
	id, err := ident.New(e.Rand)
	if err != nil {
		return "", fmt.Errorf("make a random id: %w", err)
	}
	return id, nil
}
