package morango_test

import (
	"slices"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/verify"
)

// What is lost here is fetched again from the peer that has it: also what this node saved
// itself, and what it holds in an older version. What the peer lost stays lost until it
// fetches it.
func TestFetchBringsBackWhatIsLost(t *testing.T) {
	hub, tablet, url := school(t)
	loseHere := func(p *peer, text string) {
		p.do(`PRAGMA foreign_keys = off`)
		p.do(`DELETE FROM morango_recordmaxcounter WHERE store_model_id = (SELECT id FROM item WHERE text = ?)`, text)
		p.do(`DELETE FROM morango_store WHERE id = (SELECT id FROM item WHERE text = ?)`, text)
		p.do(`INSERT OR REPLACE INTO morango_applying (applying) VALUES (0)`)
		p.do(`DELETE FROM item WHERE text = ?`, text)
		p.do(`DELETE FROM morango_applying`)
		p.do(`DELETE FROM morango_deletedmodels`)
	}
	loseHere(tablet, "item 07")
	loseHere(tablet, "item 08")
	loseHere(tablet, "from the tablet")
	loseHere(hub, "item 09")
	before, err := tablet.Identity(t.Context())
	must(t, err)

	if r, err := tablet.Fetch(t.Context(), url, true, morango.CompareOptions{}); err != nil || r.Before.Lost != 4 || r.Pull != nil {
		t.Errorf("dry run: %+v, %v", r, err)
	}
	if c := tablet.compare(url, verify.LostHere, verify.LostHere, verify.LostHere, verify.LostThere); c.Lost != 4 {
		t.Errorf("a dry run changed something: %+v", c)
	}
	r, err := tablet.Fetch(t.Context(), url, false, morango.CompareOptions{})
	must(t, err)
	if r.Before.Lost != 4 || r.After.Lost != 1 || r.Pull == nil || r.Pull.Pull.New != 3 {
		t.Errorf("fetched: %+v", r)
	}
	if after, err := tablet.Identity(t.Context()); err != nil || after.InstanceID == before.InstanceID {
		t.Errorf("who lost what it saved itself goes on saving as %s (%v)", after.InstanceID, err)
	}
	tablet.compare(url, verify.LostThere)

	// The hub is the client now.
	back := tablet.serve()
	if r, err := hub.Fetch(t.Context(), back, false, morango.CompareOptions{}); err != nil || r.After.Lost != 0 {
		t.Errorf("the hub fetched: %+v, %v", r, err)
	}
	tablet.sync(url)
	tablet.compare(url)
	same(t, hub, tablet, append([]string{"from the tablet"}, append(items(60), "top")...)...)
	for _, p := range []*peer{hub, tablet} {
		if r, err := p.Verify(t.Context(), morango.VerifyOptions{}); err != nil || !r.Clean() {
			t.Errorf("afterwards: %+v, %v", r, err)
		}
	}
}

// Repair is there in the facade, with and without trust.
func TestRepair(t *testing.T) {
	hub, _, _ := school(t)
	hub.do(`INSERT INTO morango_databasemaxcounter (instance_id, partition, counter) SELECT instance_id, partition || ':x', counter FROM morango_databasemaxcounter`)
	hub.do(`UPDATE morango_store SET serialized = replace(serialized, 'item 05', 'item 5!') WHERE serialized LIKE '%item 05%'`)
	want := []verify.Mended{{Kind: verify.PartitionDigest, Count: 1}, {Kind: verify.ClaimNoise, Count: 2}}
	if r, err := hub.Repair(t.Context(), morango.RepairOptions{DryRun: true}); err != nil || !r.Planned || !slices.Equal(r.Mended, want) || r.Left.Clean() {
		t.Errorf("planned %+v, %v", r, err)
	}
	if r, err := hub.Repair(t.Context(), morango.RepairOptions{}); err != nil || !slices.Equal(r.Mended, want) || r.Left.Of(verify.RowDiffers).Count != 1 {
		t.Errorf("mended %+v, %v", r, err)
	}
	if r, err := hub.Repair(t.Context(), morango.RepairOptions{Trust: "me"}); err == nil {
		t.Errorf("trusted anybody: %+v", r)
	}
	if r, err := hub.Repair(t.Context(), morango.RepairOptions{Trust: verify.TrustStore}); err != nil || !r.Left.Clean() {
		t.Errorf("mended %+v, %v", r, err)
	}
	if got := hub.texts(); !slices.Contains(got, "item 5!") {
		t.Errorf("the store was not written over the row: %q", got)
	}
}
