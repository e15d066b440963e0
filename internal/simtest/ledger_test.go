package simtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// version is one save of one record.
type version struct {
	id, instance string
	counter      int64
}

func (v version) String() string { return fmt.Sprintf("%.8s@%.6s:%d", v.id, v.instance, v.counter) }

// content is what a version carries. The flags are 1 for deleted, 2 for hard deleted.
type content struct {
	partition, serialized, conflicting string
	flags                              int
}

func (c content) String() string {
	return unquoted(fmt.Sprintf("%s [%s] flags %d in %s", c.serialized, c.conflicting, c.flags, c.partition))
}

// saved is a version of which the ledger knows.
type saved struct {
	content
	history map[string]int64 // as it was when it was saved
	stands  map[string]int64 // what it stands for besides, as some peer decided
	by      *peer
}

// ledger knows every version that was ever saved, and every change that an application
// made and its node took over.
type ledger struct {
	versions map[version]*saved
	records  map[string]map[version]*saved // by record
	order    []version
	lost     map[version][]*saved // saved once, and then nobody had them any more
}

// mirror is what a peer's log says of its store.
type mirror struct {
	seq     int64
	changes int64 // of store, claims and application
	rows    map[string]stored
	seen    map[string]map[string]int64 // record max counters by record
	dirty   map[string]bool
	claims  claims // database max counters
	// hopes are changes of the application that its node has still to take over: by
	// record the text that was written, "" for a deletion.
	hopes map[string]string
}

type stored struct {
	version
	content
}

func newMirror() mirror {
	return mirror{rows: map[string]stored{}, seen: map[string]map[string]int64{},
		dirty: map[string]bool{}, claims: claims{}, hopes: map[string]string{}}
}

// expect notes a change of the application. The deletion of what was never saved leaves
// nothing to be saved.
func (m *mirror) expect(id, text string) {
	m.hopes[id] = text
	if _, known := m.rows[id]; !known && text == "" {
		delete(m.hopes, id)
	}
}

// has says whether the peer holds a version, or one that has seen it. Two versions of
// equal content of which neither has seen the other count as one: dequeue joins them
// under the greater without a new version, and whoever holds the greater already is not
// told that it stands for both, and for what the other had seen. By merge rules so do two
// of which one is what merging both gives.
func (w *world) has(p *peer, v version) bool {
	if p.mirror.seen[v.id][v.instance] >= v.counter || w.joined(p, v) {
		return true
	}
	for after, s := range w.ledger.records[v.id] {
		if s.history[v.instance] >= v.counter && w.joined(p, after) {
			return true
		}
	}
	return false
}

// joined says whether a version counts as one with another that the peer has seen.
func (w *world) joined(p *peer, v version) bool {
	seen, s := p.mirror.seen[v.id], w.ledger.versions[v]
	same := func(u version, other *saved) bool {
		return u.id == v.id && other.content == s.content && seen[u.instance] >= u.counter &&
			other.history[v.instance] < v.counter && s.history[u.instance] < u.counter
	}
	for _, saves := range []map[version]*saved{w.ledger.records[v.id], p.private} {
		for u, other := range saves {
			if same(u, other) || w.setup.ruled && seen[u.instance] >= u.counter && other.stands[v.instance] >= v.counter {
				w.count.equals++
				return true
			}
		}
	}
	return false
}

// entry is one line of a peer's log.
type entry struct {
	seq  int64
	kind string
	stored
}

// observe reads what a peer has written since the last time, transaction by
// transaction, notes new versions, holds all claims against all versions, and the store
// against the model's.
func (w *world) observe(p *peer) {
	if w.err != nil || p.app == nil {
		return
	}
	marks := p.trace.take()
	if len(marks) == 0 {
		return
	}
	entries, err := p.news()
	if err != nil {
		w.fail("read the log of %s: %v", p.name(), err)
		return
	}
	fresh := len(w.ledger.order)
	for _, m := range marks {
		if m.stage != nil {
			if !w.setup.ruled {
				p.twin.hook(*m.stage)
			}
			continue
		}
		n := 0
		for n < len(entries) && entries[n].seq <= m.seq {
			n++
		}
		w.commit(p, entries[:n])
		entries = entries[n:]
	}
	if len(entries) > 0 {
		w.fail("%s has logged %d changes after its last commit, %v", p.name(), len(entries), entries[0])
	}
	for _, other := range w.peers {
		w.checkClaims(other, w.ledger.order[fresh:])
	}
}

// commit takes over one transaction of a peer.
func (w *world) commit(p *peer, entries []entry) {
	m, saved, seen, claimed := &p.mirror, []string{}, []string{}, false
	for _, e := range entries {
		m.apply(e)
		claimed = claimed || e.kind == "claim"
		switch e.kind {
		case "row":
			saved = append(saved, e.id)
		case "seen":
			seen = append(seen, e.id)
		}
	}
	for _, id := range saved {
		w.enter(p, m.rows[id])
	}
	for _, id := range seen { // a merge that gives what the store has writes no row
		if s := m.rows[id]; w.ledger.versions[s.version] != nil && w.ledger.versions[s.version].content == s.content {
			w.enter(p, s)
		}
	}
	if claimed {
		w.checkClaims(p, w.ledger.order)
	}
	if !w.setup.ruled {
		p.twin.commit(entries)
	}
}

func (m *mirror) apply(e entry) {
	switch e.kind {
	case "row":
		m.rows[e.id] = e.stored
	case "seen":
		put(m.seen, e.id, e.instance, e.counter)
	case "claim":
		lower(m.claims, claim{e.partition, e.instance}, e.counter)
	case "dirty":
		m.dirty[e.id] = e.flags != 0
		return
	case "app", "unapp":
	default:
		return
	}
	m.changes++
}

// put notes a counter; 0 forgets it.
func put(all map[string]map[string]int64, key, instance string, n int64) {
	if all[key] == nil {
		all[key] = map[string]int64{}
	}
	if n == 0 {
		delete(all[key], instance)
		return
	}
	all[key][instance] = n
}

func (p *peer) news() ([]entry, error) {
	rows, err := p.app.Query(`SELECT seq, kind, coalesce(id, ''), coalesce(instance, ''), coalesce(counter, 0), coalesce(serialized, ''),
		coalesce(conflicting, ''), coalesce(flags, 0), coalesce(partition, '') FROM sim_log WHERE seq > ? ORDER BY seq`, p.mirror.seq)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []entry
	for rows.Next() {
		var e entry
		if err := rows.Scan(&e.seq, &e.kind, &e.id, &e.instance, &e.counter, &e.serialized, &e.conflicting,
			&e.flags, &e.partition); err != nil {
			return nil, err
		}
		p.mirror.seq = e.seq
		all = append(all, e)
	}
	return all, rows.Err()
}

// enter notes a version, or checks that it is the one that is known.
func (w *world) enter(p *peer, s stored) {
	if known := w.ledger.versions[s.version]; known != nil && known.content == s.content {
		known.stands = united(known.stands, p.mirror.seen[s.id])
		return
	}
	own, err := p.instances()
	if err != nil {
		w.fail("instances of %s: %v", p.name(), err)
		return
	}
	mine := own[s.instance]
	if known := w.ledger.versions[s.version]; known != nil && !(mine && p.doubtful) {
		w.fail("%s holds %s as\n\t%s\nwhich %s had saved as\n\t%s", p.name(), s.version, s.content, known.by.name(), known.content)
		return
	}
	if known := w.claimed(s); known != nil && !(mine && p.doubtful) {
		w.keepVersion(s.version, known)
		return
	}
	if !mine {
		w.fail("%s holds %s, which nobody saved", p.name(), s.version)
		return
	}
	history := maps.Clone(p.mirror.seen[s.id])
	if history[s.instance] < s.counter {
		w.fail("%s has saved %s with a history that does not include it: %v", p.name(), s.version, history)
	}
	text, hoped := p.mirror.hopes[s.id]
	if hoped && (s.shows(text) || w.setup.ruled && strings.Contains(s.conflicting, `"`+text+`"`)) {
		delete(p.mirror.hopes, s.id)
	}
	w.count.versions++
	one := &saved{content: s.content, history: history, by: p}
	if p.doubtful {
		p.private[s.version] = one
		return
	}
	w.keepVersion(s.version, one)
}

func (w *world) keepVersion(v version, s *saved) {
	w.ledger.versions[v] = s
	if w.ledger.records[v.id] == nil {
		w.ledger.records[v.id] = map[version]*saved{}
	}
	w.ledger.records[v.id][v] = s
	w.ledger.order = append(w.ledger.order, v)
}

// shows says whether a version carries a change: a text, or "" for the deletion.
func (c content) shows(text string) bool {
	if text == "" {
		return c.flags&1 != 0
	}
	return c.flags&1 == 0 && strings.Contains(c.serialized, `"`+text+`"`)
}

func (p *peer) instances() (map[string]bool, error) {
	rows, err := p.app.Query(`SELECT id FROM morango_instanceidmodel`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	own := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		own[id] = true
	}
	return own, rows.Err()
}

// checkClaims is the safety of the whole system: whatever a peer claims to hold it
// holds, or it holds something that has seen it.
func (w *world) checkClaims(p *peer, versions []version) {
	if p.doubtful {
		return
	}
	for c, n := range p.mirror.claims {
		for _, v := range versions {
			s := w.ledger.versions[v]
			if c.instance == v.instance && n >= v.counter && strings.HasPrefix(s.partition, c.prefix) && !w.has(p, v) {
				w.fail("%s claims %.6s:%d under %q, but does not hold %s, saved by %s: %s\n\tit holds %v, which has seen %v", p.name(),
					v.instance, n, c.prefix, v, s.by.name(), s.content, p.mirror.rows[v.id], p.mirror.seen[v.id])
			}
		}
	}
}

// checkEnd is what must hold when the faults have stopped and everybody has synced.
func (w *world) checkEnd() {
	for _, p := range w.peers {
		w.checkClaims(p, w.ledger.order)
		w.checkHopes(p)
		w.checkAcked(p)
		w.checkEqual(p)
		w.checkRows(p)
		w.checkLog(p)
		w.checkByItself(p)
	}
}

// checkHopes: no change of an application was forgotten before it was saved.
func (w *world) checkHopes(p *peer) {
	for _, id := range slices.Sorted(maps.Keys(p.mirror.hopes)) {
		text := p.mirror.hopes[id]
		s, known := p.mirror.rows[id]
		if known && s.flags&1 == 0 || !known && text != "" {
			w.fail("%s: the change of %.8s to %q was never saved; the store has %v", p.name(), id, text, s)
		}
	}
}

// checkAcked: every change that a node took over has arrived at everybody whom it
// concerns, as it is or in a version that had seen it.
func (w *world) checkAcked(p *peer) {
	for _, v := range w.ledger.order {
		s := w.ledger.versions[v]
		if !p.reads(s.partition) || !s.by.writes(s.partition) {
			continue
		}
		if !w.has(p, v) {
			w.fail("%s never got %s, saved by %s: %s\n\tit holds %v", p.name(), v, s.by.name(), s.content, p.mirror.rows[v.id])
		}
	}
}

// checkEqual: what the peer reads is the same here and on the first peer.
func (w *world) checkEqual(p *peer) {
	first := w.peers[0]
	ids := maps.Clone(first.mirror.rows)
	maps.Copy(ids, p.mirror.rows)
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if !p.reads(ids[id].partition) {
			continue
		}
		a, b := first.mirror.rows[id], p.mirror.rows[id]
		if !p.writes(ids[id].partition) {
			// What the peer saves here nobody gets. It does so when a row goes with what it
			// refers to before others see it go; and when two that disagree both tell it,
			// by the reference's rule, which keeps what the receiver has.
			if v := w.ledger.versions[b.version]; v != nil && v.by == p {
				w.count.apart++
				continue
			}
			b.version = a.version
		}
		if alike(first, p, id) {
			b.version = a.version
		}
		if a != b {
			w.fail("%s and %s hold %.8s as\n\t%v %v\n\t%v %v", first.name(), p.name(), id, a.version, a.content, b.version, b.content)
		}
	}
}

// checkRows: the application's tables hold what the store says.
func (w *world) checkRows(p *peer) {
	tx, err := p.app.Begin()
	if err != nil {
		w.fail("%v", err)
		return
	}
	defer tx.Rollback()
	for _, table := range []string{"folder", "item", "note", "tag"} {
		ids, err := texts(tx, `SELECT id || CASE WHEN _morango_dirty_bit THEN ' dirty' ELSE '' END FROM `+table+` ORDER BY id`)
		want, err2 := texts(tx, `SELECT id || CASE WHEN dirty_bit THEN ' waiting ' || deserialization_error ELSE '' END
			FROM morango_store WHERE NOT deleted AND model_name = ? ORDER BY id`, table)
		if err != nil || err2 != nil {
			w.fail("read the tables of %s: %v %v", p.name(), err, err2)
			return
		}
		ids, want = w.outsideCircles(p, ids), w.outsideCircles(p, want)
		if !slices.Equal(ids, want) {
			w.fail("%s has in the table %s\n\t%v\nand in its store\n\t%v", p.name(), table, ids, want)
		}
		for _, id := range ids {
			one, err := load(tx, table, id)
			s := p.mirror.rows[id]
			if err != nil || !s.shows(one.text) {
				w.fail("%s has %s %.8s as %q in its table, and as %v in its store (%v)", p.name(), table, id, one.text, s, err)
			}
		}
	}
}

// outsideCircles leaves out rows that have become their own ancestors, because two peers have moved
// each below the other, and what is below these. Who has them in its tables keeps them there; for
// others they wait, with that reason.
func (w *world) outsideCircles(p *peer, rows []string) []string {
	return slices.DeleteFunc(rows, func(row string) bool {
		id, _, _ := strings.Cut(row, " ")
		seen := map[string]bool{}
		for id != "" && !seen[id] {
			seen[id] = true
			var values struct {
				Parent string `json:"parent_id"`
			}
			_ = json.Unmarshal([]byte(p.mirror.rows[id].serialized), &values) // what cannot be read has no parent
			id = values.Parent
		}
		if id != "" {
			w.count.circles++
		}
		return id != ""
	})
}

// checkLog: the log told the truth.
func (w *world) checkLog(p *peer) {
	rows, err := p.app.Query(`SELECT id, last_saved_instance, last_saved_counter, serialized, conflicting_serialized_data,
		deleted + 2 * hard_deleted, partition FROM morango_store`)
	if err != nil {
		w.fail("read the store of %s: %v", p.name(), err)
		return
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var s stored
		if err := rows.Scan(&s.id, &s.instance, &s.counter, &s.serialized, &s.conflicting, &s.flags, &s.partition); err != nil {
			w.fail("read the store of %s: %v", p.name(), err)
			return
		}
		n++
		if s != p.mirror.rows[s.id] {
			w.fail("%s: the log of %.8s says %v, the store %v", p.name(), s.id, p.mirror.rows[s.id], s)
		}
	}
	if rows.Err() != nil || n != len(p.mirror.rows) {
		w.fail("%s has %d store rows, and logged %d (%v)", p.name(), n, len(p.mirror.rows), rows.Err())
	}
}
