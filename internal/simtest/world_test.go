package simtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/wire"
)

// users are those for whom there are narrow scopes.
var users = []string{"ada", "bob"}

// counts say what histories did.
type counts struct {
	histories, steps, syncs, failedSyncs, requests, edits, versions, crashes, replays, jumps, sweeps, equals, restored, cloned, full, apart, circles, excused, verified, streams, chunks, ahead, meddled int
	faults                                                                                                                                                                                               [faultKinds]int
}

// setup is what a history begins with.
type setup struct {
	users  []string // by peer; "" for everything
	hide   [][]wire.Capability
	edges  [][2]int // client and server
	copies bool     // databases are set back and devices copied
	ruled  bool     // models have merge rules of their own; the model of a peer rests
}

// newSetup draws some peers, who of them syncs with whom, and what each can.
func newSetup(r *rand.Rand) setup {
	s := setup{copies: r.IntN(4) == 0, ruled: r.IntN(4) == 0}
	modes := [][]wire.Capability{
		nil, nil, nil, {wire.Stream1}, {wire.Stream1}, {wire.MoranGo}, {wire.MoranGo, wire.AsyncOperations}, {wire.MoranGo, wire.FSICv2Format},
		{wire.MoranGo, wire.AsyncOperations, wire.FSICv2Format, wire.GzipBufferPost}, {wire.AsyncOperations}, {wire.FSICv2Format},
	}
	n := 2 + r.IntN(4)
	full := []int{0}
	for i := range n {
		user := ""
		if i > 0 && r.IntN(5) < 2 {
			user = users[r.IntN(len(users))]
		}
		s.users = append(s.users, user)
		s.hide = append(s.hide, modes[r.IntN(len(modes))])
		if i > 0 { // each is in touch with one that holds everything
			s.edges = append(s.edges, either(r, i, full[r.IntN(len(full))]))
		}
		if user == "" && i > 0 {
			full = append(full, i)
		}
	}
	for range r.IntN(n) {
		a, b := r.IntN(n), r.IntN(n)
		if a != b && (s.users[a] == "" || s.users[b] == "" || s.users[a] == s.users[b]) {
			s.edges = append(s.edges, [2]int{a, b})
		}
	}
	return s
}

func either(r *rand.Rand, a, b int) [2]int {
	if r.IntN(4) == 0 {
		return [2]int{b, a}
	}
	return [2]int{a, b}
}

// world is one history while it runs. Whatever happens in it happens in one order.
type world struct {
	lab    *lab
	dir    string
	setup  setup
	edges  [][2]int // those of the setup, and of copies
	net    *network
	now    time.Time
	peers  []*peer
	tasks  []*task
	late   []late
	sent   map[string]*transfer // by transfer session
	ledger ledger
	count  counts

	started, texts int
	excused        bool // see telling
	lines          []string
	err            error
}

// newWorld puts the peers of a setup on their places.
func newWorld(l *lab, s setup, seed uint64) (*world, error) {
	dir, err := os.MkdirTemp(l.dir, "world")
	if err != nil {
		return nil, err
	}
	w := &world{lab: l, dir: dir, setup: s, now: time.Date(2024, 5, 1, 8, 0, 0, 0, time.UTC),
		sent: map[string]*transfer{}, edges: slices.Clone(s.edges), ledger: ledger{versions: map[version]*saved{}, records: map[string]map[version]*saved{},
			lost: map[version][]*saved{}}}
	w.net = &network{w}
	for i, user := range s.users {
		p := &peer{w: w, index: i, origin: i, user: user, file: filepath.Join(dir, fmt.Sprintf("peer%d.db", i)), hide: s.hide[i], rows: rowsAtOnce(seed, i),
			address: fmt.Sprintf("127.0.0.%d", i+2), rand: newChance(seed, i), mirror: newMirror(),
			private: map[version]*saved{}}
		p.twin = newTwin(p)
		w.peers = append(w.peers, p)
		if err = l.place(p.file, i, user); err == nil {
			err = p.open()
		}
		if err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	return w, nil
}

// rowsAtOnce is how many rows a peer serializes in one transaction: of most peers so few that
// what they push begins to leave before all is serialized, of some all. It is drawn apart from all
// else, so that seeds go on meaning what they meant.
func rowsAtOnce(seed uint64, peer int) int {
	const all = 5000
	return []int{all, 1, 1, 1, 2, 3}[rand.New(rand.NewPCG(seed, uint64(peer))).IntN(6)]
}

func (w *world) close() error {
	var err error
	for _, p := range w.peers {
		if p.node != nil {
			err = errors.Join(err, w.shut(p))
		}
		err = errors.Join(err, p.close())
	}
	return errors.Join(err, os.RemoveAll(w.dir))
}

func (w *world) note(format string, args ...any) {
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

// fail notes the first thing that must not be.
func (w *world) fail(format string, args ...any) {
	if w.err == nil && !w.excused { // from then on nothing can be told apart
		w.err = fmt.Errorf(format, args...)
		w.note("!!! %v", w.err)
	}
}

// must is for what cannot go wrong.
func (w *world) must(err error) {
	if err != nil {
		w.fail("%v", err)
	}
}

// marker is a text that nobody has written before.
func (w *world) marker() string {
	w.texts++
	return fmt.Sprintf("t%d", w.texts)
}

// written counts what all peers have written to their stores. Records may travel when
// there is nothing to write: a claim of the first version cannot say what is known of
// only a part of the filter.
func (w *world) written() (n int64) {
	for _, p := range w.peers {
		n += p.mirror.changes
	}
	return n
}

// settle ends the faults, and has every pair sync until that changes nothing any more.
func (w *world) settle() {
	w.note("the faults stop")
	w.late = nil
	for _, p := range w.peers {
		if p.node == nil {
			if err := p.open(); err != nil {
				w.fail("open %s: %v", p.name(), err)
				return
			}
		}
		p.fuse.set(0, false)
		p.ahead, p.full, p.meddling = 0, 0, 0
		w.must(p.limit(-1))
	}
	for len(w.tasks) > 0 && w.err == nil {
		w.tasks[0].faults = 0
		w.run(w.tasks[0], 100000)
	}
	for _, p := range w.peers { // what is outside the filter of every sync waits for this
		w.serialize(p)
	}
	w.syncAll()
}

// syncAll syncs every pair until nothing changes any more. A pair of which neither has
// changed since its last sync is left out, but for one at the end: a sync with nothing
// to do must write nothing.
func (w *world) syncAll() {
	const rounds = 12
	calm := make([][2]int64, len(w.edges))
	for round := range rounds {
		busy := false
		for i := range w.edges {
			// By the reference's rule, which keeps what the receiver has, two texts can chase each
			// other round a ring for ever, if all sync in the same order again and again.
			if round >= rounds/2 && !w.setup.ruled {
				i = (i + round) % len(w.edges)
			}
			e := w.edges[i]
			a, b := w.peers[e[0]], w.peers[e[1]]
			if calm[i] == [2]int64{a.mirror.changes, b.mirror.changes} {
				continue
			}
			busy = true
			before := w.written()
			done := w.syncOnce(a, b)
			if w.err != nil || w.excused {
				return
			}
			// A copy that has just noticed that it is one lacks what it has claimed till then.
			if done && (w.written() == before || !a.doubtful && !b.doubtful && agreed(a, b)) {
				calm[i] = [2]int64{a.mirror.changes, b.mirror.changes}
			}
		}
		if busy {
			continue
		}
		e, before := w.edges[w.started%len(w.edges)], w.written()
		done := w.syncOnce(w.peers[e[0]], w.peers[e[1]])
		if w.err != nil || w.excused {
			return
		}
		if done && w.written() == before {
			for _, p := range w.peers {
				p.doubtful = false
			}
			w.checkEnd()
			return
		}
		clear(calm)
	}
	w.fail("after %d rounds of syncs there is still something to do", rounds)
}

// agreed says whether two peers hold the same versions of what both hold, and have no
// row that waits for another: that may have come with the same sync, too late for it.
func agreed(a, b *peer) bool {
	for _, p := range []*peer{a, b} {
		for _, waits := range p.mirror.dirty {
			if waits {
				return false
			}
		}
	}
	for id, row := range a.mirror.rows {
		if other, both := b.mirror.rows[id]; both && other.version != row.version && !alike(a, b, id) {
			return false
		}
	}
	return true
}

// alike says whether each of two peers has seen the version of the other, and both say the same:
// where a merge changes nothing its side keeps its version, so each can have kept its own.
func alike(a, b *peer, id string) bool {
	x, y := a.mirror.rows[id], b.mirror.rows[id]
	seenX, seenY := a.mirror.seen[id], b.mirror.seen[id]
	return x.content == y.content && seenX[y.instance] >= y.counter && seenY[x.instance] >= x.counter
}

// syncOnce syncs two peers without faults. It is false when that only ended what an
// earlier sync had begun.
func (w *world) syncOnce(client, server *peer) bool {
	t := w.start(client, server, morango.SyncOptions{}, 0, 0)
	w.run(t, 100000)
	return t.err == nil && !t.summary.Resumed
}
