package morango_test

import (
	"fmt"
	"testing"

	"github.com/morango-go/morango"
)

// countUpdates has a peer's database count how often a store row is written again.
func (p *peer) countUpdates() {
	p.t.Helper()
	p.do(`CREATE TABLE updated (id TEXT)`)
	p.do(`CREATE TRIGGER count_updated AFTER UPDATE ON morango_store BEGIN INSERT INTO updated VALUES (NEW.id); END`)
}

func (p *peer) updates() int {
	p.t.Helper()
	var n int
	must(p.t, p.app.QueryRowContext(p.t.Context(), `SELECT COUNT(*) FROM updated`).Scan(&n))
	return n
}

// What is new comes into the application's tables with the chunk that brings it, a tree and
// what hangs on it, either way: each store row is written once.
func TestArrivalsAreAppliedAtOnce(t *testing.T) {
	hub, tablet := newPeer(t, "hub"), newPeer(t, "tablet")
	root, err := hub.CreateRoot(t.Context(), "world", nil)
	must(t, err)
	hub.world = root.ID
	url := hub.serve()
	tablet.join(url, "", nil, root.ID)
	for _, p := range []*peer{hub, tablet} {
		p.countUpdates()
		var parent any
		for i := range 12 { // a long tree
			parent = p.folder(fmt.Sprint("folder ", i), parent)
			for j := range 10 {
				p.item(fmt.Sprint("item ", i, " ", j), parent.(string), "")
			}
		}
	}
	s, err := tablet.Sync(t.Context(), url, morango.SyncOptions{})
	must(t, err)
	const rows = 132
	if s.Pull.Applied != rows || s.Push.Records != rows || s.Pull.Waiting+s.Pull.Errors > 0 {
		t.Errorf("%+v", s)
	}
	if got := len(hub.texts()); got != 2*rows || len(tablet.texts()) != 2*rows {
		t.Errorf("the applications have %d and %d rows", got, len(tablet.texts()))
	}
	if a, b := hub.updates(), tablet.updates(); a+b > 0 {
		t.Errorf("%d and %d rows of the store were written again", a, b)
	}
}
