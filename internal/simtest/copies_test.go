package simtest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// Databases that are set back to a backup, and devices that are copied while the
// original goes on. No node can notice that before it hears of it from somebody else, so
// it can only happen here to peers that tell all they know to one and the same other.
// What such a peer saves until it has told it is its own affair, and is no version of
// the ledger's: it may have to be saved again under another name.

// backup is a database as it was.
type backup struct {
	file  string
	hopes map[string]string
	twin  *twin
}

// partner is the only peer that p syncs with, if there is only one.
func (w *world) partner(p *peer) (*peer, bool) {
	found := map[int]bool{}
	for _, e := range w.setup.edges {
		if e[0] == p.origin {
			found[e[1]] = true
		}
		if e[1] == p.origin {
			found[e[0]] = true
		}
	}
	for i := range found {
		return w.peers[i], len(found) == 1 && p.origin != 0
	}
	return nil, false
}

// loner picks a peer that may be copied.
func (w *world) loner(r *rand.Rand) *peer {
	var able []*peer
	for _, p := range w.peers {
		if _, ok := w.partner(p); ok && p.node != nil {
			able = append(able, p)
		}
	}
	if len(able) == 0 {
		return nil
	}
	return able[r.IntN(len(able))]
}

// keep makes a backup.
func (w *world) keep(p *peer) error {
	w.texts++
	b := backup{file: fmt.Sprintf("%s.backup%d", p.file, w.texts), hopes: maps.Clone(p.mirror.hopes), twin: p.twin.copy(p)}
	if _, err := p.app.Exec(`VACUUM INTO ?`, b.file); err != nil {
		return err
	}
	p.backups = append(p.backups, b)
	return nil
}

// Two that save as one can only be told apart when one hears of the other before it
// tells its own. Where one was interrupted while it told, and the other tells before
// the first goes on, the same counter stands for two saves, and no counter shows it:
// that takes a comparison of digests. Such a history ends here, unless -strict is set.
func (w *world) telling(p *peer) {
	for _, other := range w.peers {
		if other.origin == p.origin && p.doubtful && (p.haunted || other != p && other.unsure) && !*strict {
			w.note("  %s tells while another that saves as it may have told", p.name())
			w.excused = true
		}
	}
	p.unsure = true
}

// told notes that a sync came to its end both ways.
func (w *world) told(p *peer) {
	p.unsure = w.syncing(p)
}

// syncing says whether a peer takes part in a sync that has not ended.
func (w *world) syncing(p *peer) bool {
	return slices.ContainsFunc(w.tasks, func(t *task) bool { return !t.done && (t.client == p || t.server == p) })
}

// restore sets a peer back to a backup. What it had told nobody is lost.
func (w *world) restore(p *peer, b backup) error {
	err := errors.Join(w.shut(p), p.app.Close())
	p.app = nil
	for _, end := range []string{"-wal", "-shm"} {
		if rmErr := os.Remove(p.file + end); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
	}
	w.settleTasks()
	if err = errors.Join(err, copyFile(p.file, b.file)); err != nil {
		return err
	}
	if err := p.open(); err != nil {
		return err
	}
	p.haunted, p.unsure = p.haunted || p.unsure, false
	for v, s := range p.private {
		w.ledger.lost[v] = append(w.ledger.lost[v], s)
	}
	p.private = map[version]*saved{}
	p.twin = b.twin.copy(p)
	if err := w.reload(p, b.hopes); err != nil {
		return err
	}
	w.forget()
	return nil
}

// reload reads a peer's mirror anew.
func (w *world) reload(p *peer, hopes map[string]string) error {
	p.trace.restart()
	p.mirror = newMirror()
	entries, err := p.news()
	for _, e := range entries {
		p.mirror.apply(e)
	}
	p.mirror.hopes = maps.Clone(hopes)
	p.doubtful = true
	if n := len(entries); n > 0 {
		p.trace.line(entries[n-1].seq)
		p.trace.commit()
		p.trace.take()
	}
	return err
}

// forget takes versions out of the ledger that no peer has any more. They may still be
// on their way.
func (w *world) forget() {
	w.ledger.order = slices.DeleteFunc(w.ledger.order, func(v version) bool {
		for _, p := range w.peers {
			if p.mirror.seen[v.id][v.instance] >= v.counter {
				return false
			}
		}
		w.ledger.lost[v] = append(w.ledger.lost[v], w.ledger.versions[v])
		delete(w.ledger.versions, v)
		delete(w.ledger.records[v.id], v)
		return true
	})
}

// clone makes a second device of one, on a machine that calls itself the same.
func (w *world) clone(p *peer) error {
	c := &peer{w: w, index: len(w.peers), origin: p.origin, user: p.user, hide: p.hide, rows: p.rows,
		file: filepath.Join(w.dir, fmt.Sprintf("peer%d.db", len(w.peers))), address: fmt.Sprintf("127.0.0.%d", len(w.peers)+2),
		rand: newChance(uint64(w.texts), len(w.peers))}
	c.twin = p.twin.copy(c)
	if _, err := p.app.Exec(`VACUUM INTO ?`, c.file); err != nil {
		return err
	}
	for _, e := range slices.Clone(w.edges) {
		switch p.index {
		case e[0]:
			w.edges = append(w.edges, [2]int{c.index, e[1]})
		case e[1]:
			w.edges = append(w.edges, [2]int{e[0], c.index})
		}
	}
	w.peers = append(w.peers, c)
	c.mirror = newMirror()
	if err := c.open(); err != nil {
		return err
	}
	p.doubtful = true
	c.private, c.haunted = maps.Clone(p.private), p.haunted
	if slices.ContainsFunc(w.peers, func(o *peer) bool { return o.origin == p.origin && o != p && o != c }) {
		c.unsure = p.unsure // an earlier copy does not know what it may have told
	} else {
		w.told(p) // what it has told so far both have
	}
	// Who saves what was not yet saved when they parted, saves it twice.
	return w.reload(c, p.mirror.hopes)
}

// claimed looks for a version that a peer has come by among those that were lost, or
// that somebody has only now told.
func (w *world) claimed(s stored) *saved {
	for _, known := range w.ledger.lost[s.version] {
		if known.content == s.content {
			return known
		}
	}
	for _, p := range w.peers {
		if known := p.private[s.version]; known != nil && known.content == s.content {
			return known
		}
	}
	return nil
}

func copyFile(to, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o600)
}

// copying takes a step that has to do with copies.
func (w *world) copying(k kind, r *rand.Rand) {
	p := w.loner(r)
	if p == nil {
		return
	}
	w.observe(p)
	var err error
	switch {
	case k == backUp:
		w.note("  %s is backed up", p.name())
		err = w.keep(p)
	case k == goBack && len(p.backups) > 0:
		i := r.IntN(len(p.backups))
		w.note("  %s is set back to its backup %d", p.name(), i)
		w.count.restored++
		err = w.restore(p, p.backups[i])
	case k == copyDevice && len(w.peers) < 6:
		w.note("  %s is copied to peer %d", p.name(), len(w.peers))
		w.count.cloned++
		err = w.clone(p)
	}
	if err != nil {
		w.fail("%s: %v", p.name(), err)
	}
}
