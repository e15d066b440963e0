package morango_test

import (
	"errors"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/client"
	"github.com/morango-go/morango/wire"
)

// modes are the servers that a client can meet.
func modes() map[string][]wire.Capability {
	return map[string][]wire.Capability{
		"MoranGo":                nil,
		"reference":              {wire.MoranGo},
		"no async operations":    {wire.MoranGo, wire.AsyncOperations},
		"claims of v1":           {wire.MoranGo, wire.FSICv2Format},
		"older, without gzip":    {wire.MoranGo, wire.AsyncOperations, wire.FSICv2Format, wire.GzipBufferPost},
		"async, claims of v1":    {wire.MoranGo, wire.FSICv2Format, wire.GzipBufferPost},
		"nothing but the basics": {wire.MoranGo, wire.AsyncOperations, wire.FSICv2Format, wire.GzipBufferPost, wire.AllowCertificatePushing},
	}
}

// pair is a hub that serves and a tablet that has joined it.
func pair(t *testing.T, hide []wire.Capability, options ...func(*morango.Profile, *morango.Config)) (hub, tablet *peer, url string) {
	t.Helper()
	hub, tablet = newPeer(t, "hub", options...), newPeer(t, "tablet", options...)
	root, err := hub.CreateRoot(t.Context(), "world", nil)
	must(t, err)
	hub.world = root.ID
	url = hub.serve(hide...)
	tablet.join(url, "", nil, root.ID)
	return hub, tablet, url
}

func TestSyncEveryMode(t *testing.T) {
	for name, hide := range modes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub, tablet, url := pair(t, hide)
			top := hub.folder("top", nil)
			sub := hub.folder("sub", top)
			first := hub.item("first", sub, "")
			s := tablet.sync(url)
			if s.Pull.Records != 3 || s.Pull.Applied != 3 {
				t.Errorf("pulled %+v", s.Pull)
			}
			same(t, hub, tablet, "first", "sub", "top")

			// Rows of the tablet; the same row on both sides; a deletion; a move in the tree.
			tablet.item("second", sub, "")
			tablet.do(`UPDATE item SET text = 'tablet' WHERE id = ?`, first)
			hub.do(`UPDATE item SET text = 'hub' WHERE id = ?`, first)
			other := hub.folder("other", nil)
			hub.do(`UPDATE folder SET parent_id = ? WHERE id = ?`, other, sub)
			s = tablet.sync(url)
			if s.Pull.Conflicts != 1 {
				t.Errorf("conflicts: %+v", s.Pull)
			}
			same(t, hub, tablet, "other", "second", "sub", "tablet", "top")
			hub.do(`DELETE FROM item WHERE text = 'second'`)
			tablet.do(`DELETE FROM folder WHERE id = ?`, top)
			tablet.sync(url)
			same(t, hub, tablet, "other", "sub", "tablet")
		})
	}
}

// TestNothingToDo holds that a second sync moves nothing and writes nothing to the
// store, its counters, the buffers or the application's tables.
func TestNothingToDo(t *testing.T) {
	for name, hide := range modes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub, tablet, url := pair(t, hide)
			top := hub.folder("top", nil)
			tablet.sync(url)
			tablet.item("mine", top, "")
			tablet.sync(url)
			tablet.sync(url) // the claims settle
			before := []string{hub.written(t.Context()), tablet.written(t.Context())}
			s := tablet.sync(url)
			if s.Pull.Records != 0 || s.Push.Records != 0 {
				t.Errorf("something travelled: %+v", s)
			}
			for i, p := range []*peer{hub, tablet} {
				if after := p.written(t.Context()); after != before[i] {
					t.Errorf("peer %d wrote:\n%s\nbefore\n%s", i, after, before[i])
				}
			}
		})
	}
}

// TestScopes holds that a certificate of one user brings that user's rows and no other,
// and that what is private stays with whom it belongs to.
func TestScopes(t *testing.T) {
	hub, _, url := pair(t, nil)
	tablet := newPeer(t, "learner")
	tablet.join(url, "user", map[string]string{"user": "ada"}, hub.world)
	top := hub.folder("top", nil)
	hub.item("for all", top, "")
	hub.item("of ada", top, "ada")
	hub.item("of bob", top, "bob")
	tablet.sync(url)
	if got := tablet.texts(); len(got) != 3 || got[0] != "for all" || got[1] != "of ada" || got[2] != "top" {
		t.Errorf("the tablet has %q", got)
	}
	tablet.item("by ada", top, "ada")
	tablet.folder("not allowed to write", nil)
	s := tablet.sync(url)
	if s.Push.Records != 1 {
		t.Errorf("pushed %+v", s.Push)
	}
	if got := hub.texts(); len(got) != 5 {
		t.Errorf("the hub has %q", got)
	}
	_, err := tablet.Sync(t.Context(), url, morango.SyncOptions{Filter: morango.ParseFilter(hub.world + ":user:bob")})
	if !errors.Is(err, client.ErrScope) {
		t.Errorf("a filter outside the scope: %v", err)
	}
	if s := tablet.sync(url); s.Pull.Records != 0 || s.Push.Records != 0 {
		t.Errorf("a narrow filter sends the same again: %+v", s)
	}
}

// TestRecreated holds that a row that was deleted and made again lives on both sides.
func TestRecreated(t *testing.T) {
	hub, tablet, url := pair(t, nil)
	top := hub.folder("top", nil)
	tablet.sync(url)
	var row [3]string
	must(t, hub.app.QueryRow(`SELECT id, _morango_source_id, _morango_partition FROM folder WHERE id = ?`, top).Scan(&row[0], &row[1], &row[2]))
	hub.do(`DELETE FROM folder`)
	tablet.sync(url)
	same(t, hub, tablet)
	tablet.do(`INSERT INTO folder (id, _morango_source_id, _morango_partition, world, name) VALUES (?, ?, ?, ?, 'again')`, row[0], row[1], row[2], tablet.world)
	tablet.sync(url)
	same(t, hub, tablet, "again")
}

// A peer that knows only v1 claims is pulled from one prefix at a time. What waits for
// rows of a later prefix is applied by the same sync, and none of it is reported.
func TestPrefixesWaitForEachOther(t *testing.T) {
	hub, tablet, url := pair(t, []wire.Capability{wire.MoranGo, wire.FSICv2Format})
	folder := hub.folder("folder", nil)
	hub.item("private", folder, "ann")
	hub.item("public", folder, "")
	s, err := tablet.Sync(t.Context(), url, morango.SyncOptions{
		Filter: morango.ParseFilter(hub.world + ":user:ann " + hub.world + ":all"),
	})
	must(t, err)
	if s.Pull.Applied != 3 || s.Failing() != 0 || len(s.Problems) != 0 {
		t.Errorf("%+v", s)
	}
	same(t, hub, tablet, "folder", "private", "public")
}
