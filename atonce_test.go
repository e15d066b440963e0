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

// A row that had come before what it refers to, and was refused, follows when that comes and
// is applied at once, however many others there are that miss something else: a few of all
// are tried again anyway.
func TestRowsFollowWhatIsAppliedAtOnce(t *testing.T) {
	hub, tablet, url := pair(t, nil)
	top := tablet.folder("top", nil)
	_, err := tablet.Serialize(t.Context(), morango.Filter{})
	must(t, err)
	tablet.do(`UPDATE morango_store SET source_id = 'another' WHERE id = ?`, top) // it cannot travel
	item := tablet.item("item", top, "")
	tablet.sync(url)
	if got := hub.texts(); len(got) > 0 {
		t.Errorf("the hub has %q without what it refers to", got)
	}
	const others, missing = 5000, "00000000000000000000000000000bad"
	hub.do(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO morango_store (id, profile, model_name, partition, source_id, serialized, conflicting_serialized_data, _self_ref_fk,
			deleted, hard_deleted, last_saved_instance, last_saved_counter, dirty_bit, deserialization_error)
		SELECT lower(hex(randomblob(16))), profile, model_name, partition, source_id, replace(serialized, ?, ?), '', '',
			FALSE, FALSE, last_saved_instance, last_saved_counter, TRUE, ? || ' is missing' FROM morango_store, n WHERE id = ?`,
		others, top, missing, missing, item)
	tablet.do(`UPDATE morango_store SET source_id = (SELECT _morango_source_id FROM folder) WHERE id = ?`, top)
	tablet.do(`UPDATE folder SET name = name`)
	hub.countUpdates()
	tablet.sync(url)
	same(t, hub, tablet, "item", "top")
	if again := hub.updatesOf(top); again > 0 {
		t.Errorf("what it refers to was written %d times more", again)
	}
}

func (p *peer) updatesOf(id string) (n int) {
	p.t.Helper()
	must(p.t, p.app.QueryRowContext(p.t.Context(), `SELECT COUNT(*) FROM updated WHERE id = ?`, id).Scan(&n))
	return n
}
