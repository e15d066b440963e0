package morango

import (
	"context"
	"os"

	"github.com/morango-go/morango/client"
	"github.com/morango-go/morango/verify"
)

// VerifyOptions say how Verify tells what it finds. The zero value is the usual.
type VerifyOptions = verify.Options

// VerifyReport is what Verify found; Clean says whether that is nothing.
type VerifyReport = verify.Report

// Verify checks the database by itself: the file, the store against the application's
// rows, versions against histories and claims, certificates, and what sessions left
// behind. It reads everything, on one snapshot, and writes nothing.
func (n *Node) Verify(ctx context.Context, o VerifyOptions) (VerifyReport, error) {
	return verify.Run(ctx, n.db, n.Profile(), o)
}

// CompareOptions say what Compare compares. The zero value is everything that may be
// pulled from the peer.
type CompareOptions = client.CompareOptions

// Comparison is what comparing with a peer found; Clean says whether that is nothing.
type Comparison = verify.Comparison

// Compare finds out which records this node and the peer at url do not hold alike, and
// whether the next sync ends that or something is lost. Equal records cost next to no
// traffic, for digests of many are exchanged. Nothing is changed on either side. The
// error wraps client.ErrNoDigests when the peer is not MoranGo.
func (n *Node) Compare(ctx context.Context, url string, o CompareOptions) (Comparison, error) {
	peer, err := n.peer(url)
	if err != nil {
		return Comparison{}, err
	}
	return client.Syncer{Engine: n.engine, Peer: peer, Process: os.Getpid(), Wait: n.config.Wait}.Compare(ctx, o)
}

// warnOf tells the log what a sync found when it compared records with the peer.
func (n *Node) warnOf(url string, c *Comparison) {
	if c == nil || c.Clean() {
		return
	}
	n.config.Logger.Warn("records are lost or damaged, here or with the peer; compare with it by `morango verify URL`",
		"peer", url, "lost", c.Lost, "damaged", c.Damaged)
}
