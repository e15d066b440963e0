package morango

import (
	"context"
	"os"

	"github.com/morango-go/morango/client"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage/deserialize"
	"github.com/morango-go/morango/stage/serialize"
	"github.com/morango-go/morango/wire"
)

// SyncOptions say what a sync does. The zero value pulls, then pushes, everything that
// both certificates allow, and goes on with an interrupted sync where there is one.
type SyncOptions = client.Options

// Sync syncs with the peer at url, by default both ways: first what the peer has, then
// what we have. It may be interrupted at any moment; the next Sync goes on.
func (n *Node) Sync(ctx context.Context, url string, o SyncOptions) (Summary, error) {
	peer, err := n.peer(url)
	if err != nil {
		return Summary{}, err
	}
	s := client.Syncer{Engine: n.engine, Peer: peer, Process: os.Getpid(), Wait: n.config.Wait}
	result, err := s.Sync(ctx, o)
	summary := summarize(result)
	n.warnOf(url, summary.Compared)
	// What could not be applied is told also when the sync failed.
	problems, total, listErr := n.firstProblems(context.WithoutCancel(ctx))
	summary.Problems, summary.ProblemsTotal = problems, total
	if err == nil {
		err = listErr
	}
	return summary, err
}

// Pull is Sync in one direction: from the peer to here.
func (n *Node) Pull(ctx context.Context, url string, o SyncOptions) (Summary, error) {
	o.Pull, o.Push = true, false
	return n.Sync(ctx, url, o)
}

// Push is Sync in one direction: from here to the peer.
func (n *Node) Push(ctx context.Context, url string, o SyncOptions) (Summary, error) {
	o.Pull, o.Push = false, true
	return n.Sync(ctx, url, o)
}

// SerializeReport says what Serialize did.
type SerializeReport = serialize.Report

// Serialize brings changed rows that lie in the filter (zero: all) from the
// application's tables into the store. Sync does this by itself.
func (n *Node) Serialize(ctx context.Context, filter Filter) (SerializeReport, error) {
	return serialize.Run(ctx, n.engine.Env(), filter, nil)
}

// DeserializeReport says what Deserialize did.
type DeserializeReport = deserialize.Report

// Deserialize tries again to apply what came from peers and waits in the store. Sync
// does this by itself.
func (n *Node) Deserialize(ctx context.Context, filter Filter) (DeserializeReport, error) {
	if _, err := n.Serialize(ctx, filter); err != nil {
		return DeserializeReport{}, err
	}
	return deserialize.Run(ctx, n.engine.Env(), filter, deserialize.Options{}, nil)
}

// Sessions lists the most recent sync sessions, newest first.
func (n *Node) Sessions(ctx context.Context, activeOnly bool, limit int) (sessions []session.Sync, err error) {
	err = n.db.Read(ctx, func(tx *db.Tx) error {
		sessions, err = session.ListSyncs(ctx, tx, activeOnly, limit)
		return err
	})
	return sessions, err
}

func (n *Node) peer(url string) (*client.Peer, error) {
	return client.NewPeer(url, n.config.Client, wire.All())
}
