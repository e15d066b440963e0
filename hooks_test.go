package morango_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/stage"
)

// hooked gives a peer a hook that notes what it is told and refuses one moment.
type hooked struct {
	mu     sync.Mutex
	told   []string
	refuse string
}

var errRefused = errors.New("not while the lesson is on")

func (h *hooked) hook(_ context.Context, ev morango.HookEvent) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	moment := momentOf(ev.Push, ev.Before, ev.Stage)
	h.told = append(h.told, moment)
	if moment == h.refuse {
		return errRefused
	}
	return nil
}

func momentOf(push, before bool, s stage.Stage) string {
	return fmt.Sprintf("push %v before %v %s", push, before, s)
}

func (h *hooked) set(refuse string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuse, h.told = refuse, nil
}

func (h *hooked) seen() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.told)
}

// moments are all that a hook is told in one direction of a sync, in order.
func moments(push bool) (all []string) {
	for _, s := range stage.All() {
		all = append(all, momentOf(push, true, s), momentOf(push, false, s))
	}
	return all
}

// hookedPair is a pair of peers with hooks on both sides.
func hookedPair(t *testing.T) (hub, tablet *peer, url string, hubHook, tabletHook *hooked) {
	t.Helper()
	hubHook, tabletHook = &hooked{}, &hooked{}
	hub, tablet = newPeer(t, "hub"), newPeer(t, "tablet")
	root, err := hub.CreateRoot(t.Context(), "world", nil)
	must(t, err)
	hub.world = root.ID
	hub = hub.withHook(hubHook)
	tablet.join(hub.serve(), "", nil, root.ID)
	tablet = tablet.withHook(tabletHook)
	return hub, tablet, hub.serve(), hubHook, tabletHook
}

// withHook reopens the peer's database with a hook.
func (p *peer) withHook(h *hooked) *peer {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), "hooked.db")
	p.do(`VACUUM INTO ?`, file)
	c := &peer{t: p.t, profile: p.profile, world: p.world}
	c.open(file, morango.Config{Hook: h.hook})
	return c
}

func TestHooks(t *testing.T) {
	hub, tablet, url, hubHook, tabletHook := hookedPair(t)
	top := hub.folder("top", nil)
	tablet.sync(url)
	want := append(moments(false), moments(true)...)
	for name, h := range map[string]*hooked{"hub": hubHook, "tablet": tabletHook} {
		if got := h.seen(); !slices.Equal(got, want) {
			t.Errorf("the %s's hook was told\n%s\ninstead of\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	n := 0
	for _, push := range []bool{false, true} {
		for i, moment := range moments(push) {
			for side, h := range map[string]*hooked{"hub": hubHook, "tablet": tabletHook} {
				if side == "hub" && strings.HasSuffix(moment, string(stage.Cleanup)) {
					continue // it is done after the answer
				}
				n++
				item := fmt.Sprintf("item %d", n)
				hub.item(item, top, "")
				tablet.item("own "+item, top, "")
				h.set(moment)
				_, err := tablet.Sync(t.Context(), url, morango.SyncOptions{ChunkSize: 7})
				// Once the records of a pull are with the client, it is done whatever the server does.
				failed := push || side == "tablet" || i <= 6
				if (err != nil) != failed || side == "tablet" && !errors.Is(err, errRefused) {
					t.Errorf("%s, %s: %v", side, moment, err)
				}
				refused := map[string]*peer{"hub": hub, "tablet": tablet}[side]
				if got := refused.failures(); !strings.Contains(got, errRefused.Error()) {
					t.Errorf("%s, %s: the reason shows as %q", side, moment, got)
				}
				h.set("")
				tablet.sync(url)
			}
		}
	}
	same(t, hub, tablet, hub.texts()...)
	if got := len(hub.texts()); got != 1+2*n {
		t.Errorf("%d rows after %d refused syncs", got, n)
	}
}

// failures are the reasons that the peer's status shows.
func (p *peer) failures() string {
	p.t.Helper()
	s, err := p.Status(p.t.Context())
	must(p.t, err)
	var all []string
	for _, one := range s.Sessions {
		all = append(all, one.Failure)
	}
	return strings.Join(all, "\n")
}

func TestTouched(t *testing.T) {
	hub, tablet, url := pair(t, nil)
	top := hub.folder("top", nil)
	var want []string
	for i := range 1100 {
		want = append(want, hub.item(fmt.Sprint(i), top, ""))
	}
	slices.Sort(want)
	s := tablet.sync(url)
	touched := func(p *peer, session, model string) (ids []string, deleted int) {
		t.Helper()
		for one, err := range p.Touched(t.Context(), session, model) {
			must(t, err)
			ids = append(ids, one.ID)
			if one.Deleted {
				deleted++
			}
			if one.Waiting {
				t.Errorf("not applied: %+v", one)
			}
		}
		return ids, deleted
	}
	first := s.Pull.TransferSessions[0]
	if got, _ := touched(tablet, first, "item"); !slices.Equal(got, want) {
		t.Errorf("%d items touched instead of %d", len(got), len(want))
	}
	if got, _ := touched(tablet, first, "folder"); !slices.Equal(got, []string{top}) {
		t.Errorf("folders touched: %q", got)
	}
	hub.do(`DELETE FROM item WHERE id = ?`, want[3])
	s = tablet.sync(url)
	if got, deleted := touched(tablet, s.Pull.TransferSessions[0], "item"); !slices.Equal(got, want[3:4]) || deleted != 1 {
		t.Errorf("touched by a deletion: %q", got)
	}
	if got, _ := touched(hub, s.Push.TransferSessions[0], "item"); len(got) != 0 {
		t.Errorf("touched by an empty push: %q", got)
	}
	for range tablet.Touched(t.Context(), first, "item") {
		break // a listener may leave early
	}
}
