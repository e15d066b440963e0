package morango

import (
	"context"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store"
)

// Identity is who this node saves as. Its JSON form is stable.
type Identity struct {
	InstanceID   string `json:"instance_id"`
	InstanceHash string `json:"instance_hash"` // of the instance id, to be spoken
	DatabaseID   string `json:"database_id"`
	SystemID     string `json:"system_id"` // hashed, as is the next; "" when the machine has none
	NodeID       string `json:"node_id"`
	Counter      int64  `json:"counter"` // of the last save; 0 when it never saved
	// Earlier are the other instances that this database has saved as, on another
	// machine or under another database id.
	Earlier []EarlierIdentity `json:"earlier"`
}

// EarlierIdentity is an instance that a database has saved as before.
type EarlierIdentity struct {
	InstanceID string `json:"instance_id"`
	DatabaseID string `json:"database_id"`
	SystemID   string `json:"system_id"`
	NodeID     string `json:"node_id"`
	Counter    int64  `json:"counter"`
}

// Identity returns who this node saves as.
//
// It changes by itself when the database comes to another machine, and when a peer
// knows more of it than it does itself: then the database was restored from a backup,
// or copied while the original went on. Peers are asked before anything is saved;
// whoever restores a database and calls Serialize before the first sync should call
// RenewIdentity before that.
func (n *Node) Identity(ctx context.Context) (Identity, error) {
	current, err := n.engine.Instance(ctx)
	if err != nil {
		return Identity{}, err
	}
	i := Identity{
		InstanceID: current.ID, InstanceHash: ident.InstanceHash(current.ID), DatabaseID: current.DatabaseID,
		SystemID: current.SystemID, NodeID: current.NodeID, Counter: current.Counter,
	}
	err = n.db.Read(ctx, func(tx *db.Tx) error {
		i.Earlier = []EarlierIdentity{}
		all, err := store.Instances(ctx, tx)
		for _, one := range all {
			if one.ID != current.ID {
				i.Earlier = append(i.Earlier, EarlierIdentity{InstanceID: one.ID, DatabaseID: one.DatabaseID,
					SystemID: one.SystemID, NodeID: one.NodeID, Counter: one.Counter})
			}
		}
		return err
	})
	return i, err
}

// RenewIdentity gives the database a new database id, and so the node a new instance
// id, and returns it. What was saved under the old one stays as it is. It is always
// safe, and needed only after a database was restored or copied.
func (n *Node) RenewIdentity(ctx context.Context) (Identity, error) {
	if _, err := n.engine.Renew(ctx); err != nil {
		return Identity{}, err
	}
	return n.Identity(ctx)
}

// sink hands an event to those who listen, and tells the log of what an operator
// should know without listening.
func (n *Node) sink(ev stage.Event) {
	if r := ev.Renewed; r != nil {
		n.config.Logger.Warn("this database is a copy of one that went on; it has a new database id now",
			"copied_instance", r.Copied, "counter_here", r.Ours, "counter_elsewhere", r.Known,
			"new_instance", r.Instance, "records_saved_again", r.Records)
	}
	n.events.send(ev)
}
