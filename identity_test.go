package morango_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/wire"
)

// copyTo makes a copy of the peer's database as it is now, opened as a peer of its own.
func (p *peer) copyTo(name string, env map[string]string) *peer {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), name+".db")
	p.do(`VACUUM INTO ?`, file)
	return openCopy(p.t, p, file, env)
}

// openCopy opens a database file that was copied from p's.
func openCopy(t *testing.T, p *peer, file string, env map[string]string) *peer {
	t.Helper()
	c := &peer{t: t, profile: p.profile, world: p.world}
	c.open(file, morango.Config{Getenv: func(name string) string { return env[name] }})
	return c
}

// open opens the node, and the database as the application does.
func (p *peer) open(file string, config morango.Config) {
	p.t.Helper()
	config.Logger = slog.New(slog.DiscardHandler)
	var err error
	p.Node, err = morango.Open(p.t.Context(), file, p.profile, config)
	must(p.t, err)
	p.t.Cleanup(func() { must(p.t, p.Close()) })
	p.app, err = sql.Open("sqlite", file+"?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)")
	must(p.t, err)
	p.t.Cleanup(func() { must(p.t, p.app.Close()) })
}

func (p *peer) identity() morango.Identity {
	p.t.Helper()
	i, err := p.Identity(p.t.Context())
	must(p.t, err)
	return i
}

// push and pull sync in one direction.
func (p *peer) oneWay(url string, push bool) {
	p.t.Helper()
	s, err := p.Sync(p.t.Context(), url, morango.SyncOptions{ChunkSize: 7, Push: push, Pull: !push})
	must(p.t, err)
	if push && !s.Push.Done || !push && !s.Pull.Done {
		p.t.Fatalf("not done: %+v", s)
	}
}

// once fails the test when two of the peers hold one version of a record with two
// contents: then two databases have saved under one instance and counter.
func once(t *testing.T, peers ...*peer) {
	t.Helper()
	type version struct {
		id, instance string
		counter      int64
	}
	seen := map[version]string{}
	for _, p := range peers {
		rows, err := p.app.QueryContext(t.Context(), `SELECT id, last_saved_instance, last_saved_counter,
			serialized || deleted FROM morango_store`)
		must(t, err)
		for rows.Next() {
			var v version
			var content string
			must(t, rows.Scan(&v.id, &v.instance, &v.counter, &content))
			if before, known := seen[v]; known && before != content {
				t.Errorf("version %+v is of\n%s\nand of\n%s", v, before, content)
			}
			seen[v] = content
		}
		must(t, rows.Err())
		rows.Close()
	}
}

// TestRestored holds that a tablet that was set back to yesterday's backup loses
// nothing, whoever it syncs with and whichever direction comes first.
func TestRestored(t *testing.T) {
	for name, hide := range modes() {
		for _, pushFirst := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, push first %v", name, pushFirst), func(t *testing.T) {
				t.Parallel()
				hub, tablet, url := pair(t, hide)
				top := tablet.folder("top", nil)
				tablet.sync(url)
				restored := tablet.copyTo("restored", nil)
				yesterday := restored.identity()
				sub := tablet.folder("after the backup", top)
				tablet.do(`UPDATE folder SET name = 'renamed' WHERE id = ?`, top)
				tablet.sync(url)
				tablet.item("later still", sub, "")
				tablet.sync(url)

				restored.folder("after the restore", nil)
				if pushFirst {
					restored.oneWay(url, true)
				}
				restored.sync(url)
				restored.sync(url)
				same(t, hub, restored, "after the backup", "after the restore", "later still", "renamed")
				once(t, hub, restored, tablet)
				today := restored.identity()
				if today.InstanceID == yesterday.InstanceID || today.DatabaseID == yesterday.DatabaseID || len(today.Earlier) != 1 {
					t.Errorf("the copy was not noticed: %+v, yesterday %+v", today, yesterday)
				}
				restored.item("as another", sub, "")
				restored.sync(url)
				same(t, hub, restored, "after the backup", "after the restore", "as another", "later still", "renamed")
				if again := restored.identity(); again.InstanceID != today.InstanceID {
					t.Errorf("it was renewed once more, to %+v", again)
				}
			})
		}
	}
}

// TestRestoredUnnoticedByClaims holds that a copy is noticed when every record that it
// should know has been saved by somebody else since: claims do not name it then.
func TestRestoredUnnoticedByClaims(t *testing.T) {
	for name, hide := range modes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub, tablet, url := pair(t, hide)
			top := hub.folder("top", nil)
			tablet.sync(url)
			restored := tablet.copyTo("restored", nil)
			tablet.do(`UPDATE folder SET name = 'tablet'`)
			tablet.sync(url)
			hub.do(`UPDATE folder SET name = 'hub'`)
			other := newPeer(t, "other")
			other.join(url, "", nil, hub.world)
			other.sync(url) // the hub saves its change
			restored.item("new", top, "")
			restored.sync(url)
			restored.sync(url)
			same(t, hub, restored, "hub", "new")
			once(t, hub, restored, tablet)
			if i := restored.identity(); len(i.Earlier) != 1 {
				t.Errorf("not noticed: %+v", i)
			}
		})
	}
}

// TestCopiedBeforeFirstSync holds that a database that has told nobody anything yet can be
// copied: both go on from what neither has told.
func TestCopiedBeforeFirstSync(t *testing.T) {
	for name, hide := range modes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub, tablet, url := pair(t, hide)
			top := tablet.folder("top", nil)
			tablet.identity() // it has an identity, and no more
			twin := tablet.copyTo("copy", nil)
			tablet.folder("tablet", top)
			twin.folder("copy", top)
			for _, p := range []*peer{tablet, twin, tablet, twin} {
				if _, err := p.Serialize(t.Context(), morango.Filter{}); err != nil {
					t.Fatal(err)
				}
				p.sync(url)
			}
			same(t, hub, tablet, "copy", "tablet", "top")
			same(t, hub, twin, "copy", "tablet", "top")
			once(t, hub, tablet, twin)
		})
	}
}

// TestCopyMeetsOriginal: both show one and the same certificate.
func TestCopyMeetsOriginal(t *testing.T) {
	for name, hide := range modes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub, tablet, url := pair(t, hide)
			top := hub.folder("top", nil)
			tablet.sync(url)
			twin := hub.copyTo("copy", map[string]string{"MORANGO_SYSTEM_ID": "another machine"})
			hub.folder("hub", top)
			twin.folder("copy", top)
			twin.sync(url)
			same(t, hub, twin, "copy", "hub", "top")
			once(t, hub, twin)
		})
	}
}

// TestRestoredServer holds the same for a hub that was set back.
func TestRestoredServer(t *testing.T) {
	for name, hide := range modes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub, tablet, url := pair(t, hide)
			top := hub.folder("top", nil)
			tablet.sync(url)
			restored := hub.copyTo("restored", nil)
			hub.folder("after the backup", top)
			tablet.sync(url)
			restored.folder("after the restore", top)
			url = restored.serve(hide...)
			tablet.sync(url)
			tablet.sync(url)
			same(t, restored, tablet, "after the backup", "after the restore", "top")
			once(t, hub, restored, tablet)
			if i := restored.identity(); len(i.Earlier) != 1 {
				t.Errorf("not noticed: %+v", i)
			}
		})
	}
}

// TestMoved holds that a database that comes to another machine is another instance
// there, and another database once the machine that it came from shows to be alive.
func TestMoved(t *testing.T) {
	hub, tablet, url := pair(t, nil)
	tablet.folder("top", nil)
	tablet.sync(url)
	env := map[string]string{"MORANGO_SYSTEM_ID": "another", "MORANGO_NODE_ID": "another"}
	moved := tablet.copyTo("moved", env)
	moved.folder("moved", nil)
	moved.sync(url)
	before, there := tablet.identity(), moved.identity()
	if there.InstanceID == before.InstanceID || there.DatabaseID != before.DatabaseID {
		t.Errorf("on the other machine %+v, before %+v", there, before)
	}
	tablet.sync(url)
	tablet.folder("alive", nil)
	tablet.sync(url)
	moved.folder("moved again", nil)
	moved.sync(url)
	if now := moved.identity(); now.DatabaseID == before.DatabaseID {
		t.Errorf("the old instance is alive, and the copy still is %+v", now)
	}
	if now := tablet.identity(); now.InstanceID != before.InstanceID {
		t.Errorf("the original became %+v", now)
	}
	tablet.sync(url)
	same(t, hub, moved, "alive", "moved", "moved again", "top")
	same(t, hub, tablet, "alive", "moved", "moved again", "top")
	once(t, hub, tablet, moved)
}

// TestRenewIdentity holds that a node that asks for it goes on as somebody else.
func TestRenewIdentity(t *testing.T) {
	hub, tablet, url := pair(t, nil)
	tablet.folder("one", nil)
	tablet.sync(url)
	before := tablet.identity()
	after, err := tablet.RenewIdentity(t.Context())
	must(t, err)
	if after.InstanceID == before.InstanceID || after.DatabaseID == before.DatabaseID || after.Counter != 0 ||
		after.SystemID != before.SystemID || after.NodeID != before.NodeID ||
		len(after.Earlier) != 1 || after.Earlier[0].InstanceID != before.InstanceID || after.Earlier[0].Counter != before.Counter {
		t.Errorf("renewed to %+v from %+v", after, before)
	}
	tablet.folder("two", nil)
	tablet.sync(url)
	same(t, hub, tablet, "one", "two")
	if now := tablet.identity(); now.InstanceID != after.InstanceID || now.Counter != 1 {
		t.Errorf("saved as %+v instead of %+v", now, after)
	}
}

// TestCopiesConverge plays random histories of tablets that edit, sync, are copied and
// set back: in the end every row that anybody has is everywhere, and no version was
// used by two databases.
func TestCopiesConverge(t *testing.T) {
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range modes() {
			if !yield(name) {
				return
			}
		}
	})
	for seed := range uint64(10) {
		name := names[int(seed)%len(names)]
		t.Run(fmt.Sprintf("%d, %s", seed, name), func(t *testing.T) {
			t.Parallel()
			playCopies(t, rand.New(rand.NewPCG(seed, 1)), modes()[name])
		})
	}
}

func playCopies(t *testing.T, random *rand.Rand, hide []wire.Capability) {
	hub, tablet, url := pair(t, hide)
	shared := hub.folder("shared", nil)
	tablet.sync(url)
	tablets, every := []*peer{tablet}, []*peer{hub, tablet}
	for step := range 24 {
		i := random.IntN(len(tablets))
		p := tablets[i]
		switch action := random.IntN(10); {
		case action < 3:
			p.item(fmt.Sprintf("item %d", step), shared, "")
		case action == 3:
			p.do(`UPDATE folder SET name = ?`, fmt.Sprintf("folder %d", step))
		case action == 4:
			hub.item(fmt.Sprintf("hub's %d", step), shared, "")
		case action < 8:
			p.oneWay(url, random.IntN(2) == 0)
		default: // a copy, instead of the original or beside it
			c := p.copyTo(fmt.Sprint(step), nil)
			every = append(every, c)
			if len(tablets) < 3 {
				tablets = append(tablets, c)
			} else {
				tablets[(i+1)%len(tablets)] = c
			}
		}
	}
	want := map[string]bool{}
	for _, p := range append(slices.Clone(tablets), hub) {
		for _, id := range p.ids() {
			want[id] = true
		}
	}
	for range 4 {
		for _, p := range tablets {
			p.sync(url)
		}
	}
	once(t, every...)
	for _, p := range tablets {
		same(t, hub, p, hub.texts()...)
	}
	if got := hub.ids(); len(got) != len(want) {
		t.Errorf("%d rows are left of %d", len(got), len(want))
	}
}

// ids returns the ids of all rows.
func (p *peer) ids() (all []string) {
	p.t.Helper()
	rows, err := p.app.QueryContext(p.t.Context(), `SELECT id FROM folder UNION ALL SELECT id FROM item`)
	must(p.t, err)
	defer rows.Close()
	for rows.Next() {
		var id string
		must(p.t, rows.Scan(&id))
		all = append(all, id)
	}
	must(p.t, rows.Err())
	return all
}
