package simtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/morango-go/morango"
)

// step is one thing that happens. What it does in detail follows from its seed and from
// the state that it meets, so that a step means much the same when others are left out.
type step struct {
	kind kind
	seed uint64
}

type kind int

const (
	edit       kind = iota // an application works
	sync2                  // a sync begins, and comes to its end or to some request
	proceed                // one that has begun goes on
	serialize              // a node serializes by itself
	kill                   // a process ends and stays away for some steps
	arm                    // a process ends at one of its next commits
	deliver                // a late request arrives
	jump                   // a clock jumps
	sweep                  // idle sessions are closed
	fill                   // the disk of a peer gets full, for a while
	meddle                 // an application works between two transactions of a stage
	backUp                 // a database is backed up
	goBack                 // a database is set back to a backup
	copyDevice             // a device is copied
	numberKind             // how many there are
)

var weights = [numberKind]int{edit: 40, sync2: 34, proceed: 10, serialize: 3, kill: 3, arm: 9, deliver: 4, jump: 2, sweep: 1, fill: 4, meddle: 8, backUp: 6, goBack: 5, copyDevice: 3}

// history is a setup and what happens then.
type history struct {
	seed  uint64
	setup setup
	steps []step
}

func newHistory(seed uint64) history {
	r := rand.New(rand.NewPCG(seed, 0x6d6f72616e676f))
	h := history{seed: seed, setup: newSetup(r)}
	weights, total := weights, 0
	for k, n := range weights {
		if !h.setup.copies && kind(k) >= backUp {
			weights[k] = 0
			continue
		}
		total += n
	}
	for range 12 + r.IntN(30) {
		n, k := r.IntN(total), kind(0)
		for n >= weights[k] {
			n -= weights[k]
			k++
		}
		h.steps = append(h.steps, step{k, r.Uint64()})
	}
	return h
}

// run plays the history to its end and returns what it did, line by line, and what went
// wrong.
func (h history) run(l *lab) (lines []string, count counts, err error) {
	w, err := newWorld(l, h.setup, h.seed)
	if err != nil {
		return nil, count, err
	}
	for i, p := range w.peers {
		w.note("%s hides %v", p.name(), h.setup.hide[i])
	}
	w.note("edges %v", h.setup.edges)
	for _, s := range h.steps {
		if w.err != nil || w.excused {
			break
		}
		w.count.steps++
		w.do(s)
	}
	if w.err == nil && !w.excused {
		w.settle()
	}
	if w.excused {
		w.count.excused++
	}
	w.count.histories++
	err = w.err
	if closeErr := w.close(); err == nil {
		err = closeErr
	}
	return w.lines, w.count, err
}

// recover gives full disks room and starts dead peers when their time has come. It is
// false when the history cannot go on.
func (w *world) recover() bool {
	for _, p := range w.peers {
		if p.full--; p.full == 0 {
			w.note("  %s has room again", p.name())
			w.must(p.limit(-1))
		}
		if p.node != nil {
			continue
		}
		if p.down--; p.down <= 0 {
			w.note("  %s is back", p.name())
			if err := p.open(); err != nil {
				w.fail("open %s: %v", p.name(), err)
				return false
			}
		}
	}
	return true
}

// do takes one step.
func (w *world) do(s step) {
	r := rand.New(rand.NewPCG(s.seed, 2))
	w.now = w.now.Add(time.Duration(r.IntN(600)) * time.Second)
	if !w.recover() {
		return
	}
	p := w.peers[r.IntN(len(w.peers))]
	switch s.kind {
	case edit:
		w.note("  %s: the application works", p.name())
		w.count.edits++
		if err := p.act(r); err != nil {
			w.fail("%s: %v", p.name(), err)
		}
	case sync2:
		w.sync(r)
	case proceed:
		if len(w.tasks) > 0 {
			t := w.tasks[r.IntN(len(w.tasks))]
			w.note("  %s goes on", t.name)
			w.run(t, span(r))
		}
	case serialize:
		w.serialize(p)
	case kill, arm, fill:
		w.trouble(s.kind, p, r)
	case deliver:
		w.deliverLate(r)
	case jump:
		p.ahead += time.Duration(r.IntN(14400)-7200) * time.Minute
		w.note("  the clock of %s is %v ahead", p.name(), p.ahead)
		w.count.jumps++
	case sweep:
		w.sweep(p)
	case meddle:
		p.meddling, p.meddler = 1+r.IntN(25), rand.New(rand.NewPCG(r.Uint64(), 3))
		w.note("  %s: the application is to work after %d readings of the node", p.name(), p.meddling)
	default:
		w.copying(s.kind, r)
	}
	w.bury()
	w.settleTasks()
}

// trouble is what happens to the machine of a peer.
func (w *world) trouble(k kind, p *peer, r *rand.Rand) {
	switch k {
	case kill:
		if p.node != nil {
			w.note("  %s is killed", p.name())
			p.down = r.IntN(4)
			p.fuse.kill()
			w.bury()
		}
	case arm:
		if p.node != nil {
			after := 1 + r.IntN(r.IntN(30)+1)
			w.note("  %s is to die at commit %d from now", p.name(), after)
			p.down = r.IntN(3)
			p.fuse.set(after, r.IntN(2) == 0)
		}
	default:
		p.full = 2 + r.IntN(8)
		pages := r.IntN(30)
		w.note("  the disk of %s has room for %d pages", p.name(), pages)
		w.count.full++
		w.must(p.limit(pages))
	}
}

// span is for how many requests a sync may go on.
func span(r *rand.Rand) int {
	if r.IntN(3) > 0 {
		return 100000
	}
	return 1 + r.IntN(25)
}

// sync starts a sync along one of the edges.
func (w *world) sync(r *rand.Rand) {
	e := w.edges[r.IntN(len(w.edges))]
	client, server := w.peers[e[0]], w.peers[e[1]]
	busy := slices.ContainsFunc(w.tasks, func(t *task) bool { return t.client == client && t.server == server })
	chunk := r.IntN(5)
	o := morango.SyncOptions{ChunkSize: 1 + chunk*chunk/5, Fresh: r.IntN(8) == 0, Retries: -1}
	switch r.IntN(4) {
	case 0:
		o.Pull = true
	case 1:
		o.Push = true
	}
	if r.IntN(2) == 0 {
		o.Retries = 6
	}
	if r.IntN(8) == 0 && client.user == "" && server.user == "" {
		o.Filter = morango.ParseFilter(w.lab.root.ID + []string{":all", ":user:ada", ":user:a", ":user"}[r.IntN(4)])
	}
	faults := []float64{0, 0, 0.03, 0.15, 0.4}[r.IntN(5)]
	requests, seed := span(r), r.Uint64()
	if busy || client.node == nil {
		return
	}
	t := w.start(client, server, o, faults, seed)
	w.note("  %s: %s with %s, pull %v, push %v, chunks of %d, filter %q, faults %g, retries %d, fresh %v, for %d requests", t.name, client.name(),
		server.name(), o.Pull, o.Push, o.ChunkSize, o.Filter.String(), faults, o.Retries, o.Fresh, requests)
	w.run(t, requests)
}

func (w *world) serialize(p *peer) {
	if p.node == nil {
		return
	}
	w.note("  %s serializes", p.name())
	w.observe(p)
	p.twin.rest()
	_, err := p.node.Deserialize(context.Background(), morango.Filter{})
	w.observe(p)
	if err != nil && p.alive() && p.full <= 0 {
		w.fail("%s serializes: %v", p.name(), err)
	}
}

func (w *world) sweep(p *peer) {
	if p.node == nil {
		return
	}
	w.note("  %s closes idle sessions", p.name())
	w.count.sweeps++
	if _, err := p.node.Cleanup(context.Background(), morango.CleanupOptions{Idle: time.Hour}); err != nil && p.alive() && p.full <= 0 {
		w.fail("%s closes idle sessions: %v", p.name(), err)
	}
	w.observe(p)
}

// deliverLate lets a request arrive that was under way all the while.
func (w *world) deliverLate(r *rand.Rand) {
	if len(w.late) == 0 {
		return
	}
	i := r.IntN(len(w.late))
	one := w.late[i]
	if r.IntN(2) == 0 { // or it arrives once more
		w.late = slices.Delete(w.late, i, i+1)
	}
	w.note("  late: %s %s to %s", one.req.Method, one.req.URL.Path, one.to.name())
	w.count.replays++
	from, _ := one.req.Context().Value(taskKey{}).(*task)
	w.give(from)
	defer w.give(nil)
	_, _ = w.deliver(one.to, one.req, one.bod, len(one.bod)) // nobody waits for the answer
}

// shrink leaves steps out while the history still fails in the same way as it did when it
// printed these lines.
func (h history) shrink(l *lab, tries int, lines []string, err error) (history, []string, error) {
	for size := len(h.steps) / 2; size > 0; {
		smaller := false
		for at := 0; at < len(h.steps) && tries > 0; tries-- {
			less := h
			less.steps = slices.Delete(slices.Clone(h.steps), at, min(at+size, len(h.steps)))
			if lessLines, _, lessErr := less.run(l); lessErr != nil && sort(lessErr) == sort(err) {
				h, lines, err, smaller = less, lessLines, lessErr, true
			} else {
				at += size
			}
		}
		if tries == 0 {
			break
		}
		if !smaller || size > 1 {
			size /= 2
		}
	}
	return h, lines, err
}

// sort is what kind of failure it is: its words without names and numbers.
func sort(err error) string {
	words := strings.Fields(err.Error())
	kept := slices.DeleteFunc(words, func(word string) bool { return strings.ContainsAny(word, "0123456789\"{") })
	return fmt.Sprint(kept[:min(len(kept), 6)])
}
