package store

import (
	"context"

	"github.com/morango-go/morango/db"
)

// Machine is what the caller knows of the machine and database file that the
// engine runs on; it goes into the instance row and the instance JSON.
type Machine struct {
	SystemID, NodeID   string // hashed, as in the instance id
	Platform, Hostname string
	SysVersion         string
	DBPath             string // without secrets
}

// Instance is one row of the instances that this database has used: who saves,
// and the counter of its last save. Counter 0 means that it never saved.
type Instance struct {
	ID, DatabaseID     string // 32 hex digits
	SystemID, NodeID   string
	Platform, Hostname string
	SysVersion         string
	DBPath             string
	Counter            int64
}

// CurrentInstance returns the instance that the engine on machine m saves as, and
// makes it, and the database id, when there are none. newID gives a random id for
// a new database.
func CurrentInstance(ctx context.Context, tx *db.Tx, m Machine, newID func() string) (Instance, error) {
	panic("not written")
}

// NextCounter raises the counter of the instance by one and returns it. It must run
// in the transaction that stamps rows with the value.
func NextCounter(ctx context.Context, tx *db.Tx, instanceID string) (int64, error) {
	panic("not written")
}

// OwnInstances returns every instance id that this database has used, with its counter.
func OwnInstances(ctx context.Context, tx *db.Tx) (map[string]int64, error) {
	panic("not written")
}
