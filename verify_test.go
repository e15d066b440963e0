package morango_test

import (
	"fmt"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/verify"
	"github.com/morango-go/morango/wire"
)

// school is a hub with a tablet that has synced with it.
func school(t *testing.T, hide ...wire.Capability) (hub, tablet *peer, url string) {
	t.Helper()
	hub = newPeer(t, "hub")
	root, err := hub.CreateRoot(t.Context(), "world", nil)
	must(t, err)
	hub.world = root.ID
	url = hub.serve(hide...)
	tablet = newPeer(t, "tablet")
	tablet.join(url, "world", nil, root.ID)
	top := hub.folder("top", nil)
	for i := range 60 {
		hub.item(fmt.Sprintf("item %02d", i), top, []string{"", "ada"}[i%2])
	}
	tablet.sync(url)
	tablet.item("from the tablet", top, "")
	tablet.sync(url)
	return hub, tablet, url
}

// compare compares and wants these verdicts, in any order.
func (p *peer) compare(url string, want ...verify.Verdict) morango.Comparison {
	p.t.Helper()
	c, err := p.Compare(p.t.Context(), url, morango.CompareOptions{})
	must(p.t, err)
	got := map[verify.Verdict]int{}
	for _, d := range c.Differences {
		got[d.Verdict]++
	}
	wanted := map[verify.Verdict]int{}
	for _, v := range want {
		wanted[v]++
	}
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		p.t.Errorf("verdicts %v, want %v", c.Differences, want)
	}
	return c
}

// Each way in which two peers can differ gets its verdict, and what is lost is noticed by
// the next sync.
func TestCompareTellsWhatADifferenceMeans(t *testing.T) {
	hub, tablet, url := school(t)
	if c := tablet.compare(url); c.Here != 62 || c.There != 62 || c.Questions != 1 {
		t.Errorf("equal peers: %+v", c)
	}
	var top string
	must(t, hub.app.QueryRow(`SELECT id FROM folder`).Scan(&top))
	hub.item("new at the hub", top, "")
	_, err := hub.Serialize(t.Context(), morango.Filter{})
	must(t, err)
	tablet.item("new on the tablet", top, "")
	_, err = tablet.Serialize(t.Context(), morango.Filter{})
	must(t, err)
	tablet.compare(url, verify.NewThere, verify.NewHere)
	tablet.do(`UPDATE item SET text = 'changed there' WHERE text = 'item 01'`)
	_, err = tablet.Serialize(t.Context(), morango.Filter{})
	must(t, err)
	hub.do(`UPDATE item SET text = 'changed here' WHERE text = 'item 01'`)
	hub.do(`UPDATE item SET text = 'changed at the hub' WHERE text = 'item 02'`)
	_, err = hub.Serialize(t.Context(), morango.Filter{})
	must(t, err)
	tablet.compare(url, verify.NewThere, verify.NewHere, verify.ChangedBoth, verify.NewThere)
	tablet.sync(url)
	tablet.sync(url)
	tablet.compare(url)

	lose := func(p *peer, text string) {
		p.do(`PRAGMA foreign_keys = off`)
		p.do(`DELETE FROM morango_recordmaxcounter WHERE store_model_id = (SELECT id FROM item WHERE text = ?)`, text)
		p.do(`DELETE FROM morango_store WHERE id = (SELECT id FROM item WHERE text = ?)`, text)
	}
	lose(hub, "item 03")
	lose(tablet, "item 04")
	tablet.do(`UPDATE morango_store SET serialized = replace(serialized, 'item 05', 'item 5!') WHERE serialized LIKE '%item 05%'`)
	c := tablet.compare(url, verify.LostThere, verify.LostHere, verify.Damage)
	if c.Clean() || c.Lost != 2 || c.Damaged != 1 {
		t.Errorf("not found: %+v", c)
	}
	s := tablet.sync(url)
	if !s.Doubtful() || s.Compared.Lost != 2 || s.Compared.Damaged != 1 {
		t.Errorf("the sync did not notice: %+v", s.Compared)
	}
}

// A peer that is not MoranGo, or hides it, is synced with and not compared with.
func TestCompareNeedsThePeer(t *testing.T) {
	_, tablet, url := school(t, wire.PartitionDigests)
	if s := tablet.sync(url); s.Compared != nil {
		t.Errorf("compared with %+v", s.Compared)
	}
	if _, err := tablet.Compare(t.Context(), url, morango.CompareOptions{}); err == nil {
		t.Error("a peer without digests is compared with")
	}
}

// A user's device sees nothing beyond its scope, also by asking for it.
func TestCompareStaysWithinTheScope(t *testing.T) {
	hub, _, url := school(t)
	user := newPeer(t, "user")
	user.join(url, "user", map[string]string{"user": "bob"}, hub.world)
	user.sync(url)
	if c := user.compare(url); c.Here != 62-30 || c.There != 62-30 {
		t.Errorf("%+v", c)
	}
	if _, err := user.Compare(t.Context(), url, morango.CompareOptions{Filter: morango.ParseFilter(hub.world)}); err == nil {
		t.Error("a user compares everything")
	}
}

// items are the texts of the items of a school.
func items(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("item %02d", i))
	}
	return all
}
