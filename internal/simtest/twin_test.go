package simtest

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/morango-go/morango/wire"
)

// twin is a peer in memory, of plain maps. It is told what its peer's application does
// and which transaction of which stage commits (watch_test.go). What that makes of the
// store, of histories, claims and buffers it works out by itself, and all must agree
// with the database.
type twin struct {
	p          *peer
	app        map[string]appRow
	gone, hard map[string]bool // deletions that wait to be serialized
	store      map[string]kept
	claims     claims
	counters   map[string]int64           // of the instances of this database
	retired    map[string]bool            // those that another may be as well
	texts      map[string][2]string       // by transfer: what client and server claim
	buffers    map[string]map[string]kept // what has arrived, or is to be sent
	wanted     map[string]map[string]kept // by transfer: what the receiver lacked when its buffer was begun
	past       map[string][]kept          // by record: the versions that the store has had
	picked     []entry                    // histories of what the transaction puts into a buffer
	cursors    map[string]string          // how far streams have come
	where                                 // what runs, in the sync that has the turn
	turns      map[*task]where            // in the others
	turn       *task
}

// where is the stage that runs, in which transfer session and under which filter.
type where struct {
	stage    string
	filter   []string
	transfer string
}

type appRow struct {
	values, partition string
	dirty             bool
}

// kept is a store row. Its history is never changed, only replaced.
type kept struct {
	content
	instance string
	counter  int64
	history  map[string]int64
	dirty    bool
}

// transfer is what all peers know of a transfer session.
type transfer struct {
	client *peer // who began it
	push   bool
	filter []string
	sent   map[string]kept
	frames []wire.Frame // of its latest stream
}

// claims are the counters that are known in full, by prefix and instance.
type claims = map[claim]int64

type claim struct{ prefix, instance string }

func newTwin(p *peer) *twin {
	return &twin{p: p, app: map[string]appRow{}, gone: map[string]bool{}, hard: map[string]bool{}, store: map[string]kept{},
		claims: claims{}, counters: map[string]int64{}, retired: map[string]bool{}, texts: map[string][2]string{}, buffers: map[string]map[string]kept{},
		cursors: map[string]string{}, wanted: map[string]map[string]kept{}, past: map[string][]kept{}}
}

// copy is the twin of a copied or restored database.
func (t *twin) copy(p *peer) *twin {
	c := *t
	c.p, c.app, c.gone, c.hard, c.store = p, maps.Clone(t.app), maps.Clone(t.gone), maps.Clone(t.hard), maps.Clone(t.store)
	c.claims, c.counters, c.retired = maps.Clone(t.claims), maps.Clone(t.counters), maps.Clone(t.retired)
	c.texts, c.buffers, c.cursors = maps.Clone(t.texts), maps.Clone(t.buffers), maps.Clone(t.cursors)
	c.wanted, c.past = maps.Clone(t.wanted), maps.Clone(t.past)
	for id, arrived := range t.buffers {
		c.buffers[id] = maps.Clone(arrived)
	}
	return &c
}

func (t *twin) produces(s *transfer) bool { return s.push == t.began(s) }

// began says whether this side is the client: a copied device goes on with what its
// original began.
func (t *twin) began(s *transfer) bool { return s.client.origin == t.p.origin }

// told is what one side of a transfer claims, under the prefixes of the filter.
func (t *twin) told(id string, mine bool) claims {
	s, side := t.p.w.sent[id], 0
	if mine != t.began(s) {
		side = 1
	}
	sub, super, legacy := parseClaim(t.texts[id][side])
	if legacy { // it holds under every prefix
		sub, super = claims{}, sub
	}
	return expand(sub, super, s.filter)
}

// answered is what the sender claims, but of instances that this database was told it
// is not, after it had asked for what it lacks of them.
func (t *twin) answered() claims {
	news, asked := t.told(t.transfer, false), t.told(t.transfer, true)
	sub, super := t.claimOf(t.p.w.sent[t.transfer])
	hold := expand(sub, super, t.p.w.sent[t.transfer].filter)
	for c, n := range asked {
		if t.retired[c.instance] && covered(hold, c.prefix, c.instance) < n {
			maps.DeleteFunc(news, func(other claim, _ int64) bool { return other.instance == c.instance })
		}
	}
	return news
}

// lacking are the store rows of a transfer's filter that its receiver does not claim.
func (t *twin) lacking(id string) map[string]kept {
	theirs, lacking := t.told(id, false), map[string]kept{}
	for record, s := range t.store {
		if under(s.partition, t.p.w.sent[id].filter) && covered(theirs, s.partition, s.instance) < s.counter {
			lacking[record] = s
		}
	}
	return lacking
}

// serialize saves what the application has changed under a new version. Where a transaction
// takes so many rows and no more, only says which these are.
func (t *twin) serialize(stamp entry, only map[string]bool) {
	for id, a := range t.app {
		if !a.dirty || len(t.filter) > 0 && !under(a.partition, t.filter) || only != nil && !only[id] {
			continue
		}
		old := t.store[id]
		text := t.p.mirror.rows[id].serialized // how a row is written as JSON is not for us to say
		t.agree("row of "+id, reads(text, a.values), true)
		s := kept{content: content{partition: a.partition, serialized: text, conflicting: old.conflicting}, history: old.history}
		if old.dirty {
			s.conflicting = old.serialized + "\n" + old.conflicting
		}
		t.save(id, s, stamp)
		a.dirty = false
		t.app[id] = a
	}
	for _, deleted := range []map[string]bool{t.gone, t.hard} {
		for id := range deleted {
			s, known := t.store[id]
			if _, there := t.app[id]; there || !known || only != nil && !only[id] {
				continue
			}
			s.flags, s.dirty = s.flags|1, false
			if t.hard[id] {
				s.flags, s.serialized, s.conflicting = 3, "{}", ""
			}
			t.save(id, s, stamp)
		}
	}
}

// save puts a row under a new version.
func (t *twin) save(id string, s kept, stamp entry) {
	s.instance, s.counter = stamp.instance, stamp.counter
	s.history = united(s.history, map[string]int64{stamp.instance: stamp.counter})
	t.store[id] = s
}

// restamp takes back what this database saved as an instance that another is as well.
func (t *twin) restamp(from string, above int64, stamp entry) {
	for id, s := range t.store {
		if s.instance == from && s.counter > above {
			s.history = maps.Clone(s.history)
			lower(s.history, from, above)
			t.save(id, s, stamp)
		}
	}
	for c, n := range t.claims {
		if c.instance == from && n > above {
			lower(t.claims, c, above)
		}
	}
	t.counters[from] = above
	t.compare()
}

// lower sets a counter; 0 forgets it.
func lower[K comparable](all map[K]int64, key K, n int64) {
	all[key] = n
	if n == 0 {
		delete(all, key)
	}
}

// merge merges what has arrived. A merged record gets the counter that was taken for it.
func (t *twin) merge(arrived map[string]kept, stamps map[string]entry) {
	for id, b := range arrived {
		s, known := t.store[id]
		history := united(s.history, b.history)
		switch {
		case known && s.history[b.instance] >= b.counter: // ours has seen it
		case !known || b.history[s.instance] >= s.counter:
			b.history, b.dirty = history, true
			t.store[id] = b
		case s.content == b.content && (s.flags&2 == 0 || s.serialized == "{}" && s.conflicting == ""):
			if b.counter > s.counter || b.counter == s.counter && b.instance > s.instance {
				s.instance, s.counter = b.instance, b.counter
			}
			s.history = history
			t.store[id] = s
		default:
			s.conflicting = b.serialized + "\n" + s.conflicting
			if s.flags |= b.flags; s.flags&2 != 0 {
				s.serialized, s.conflicting = "{}", ""
			}
			s.history, s.dirty = history, true
			t.save(id, s, stamps[id])
		}
	}
}

// claim raises claims as the stage that runs has to: to our own counters after
// serialize, to those of the sender after dequeue.
func (t *twin) claim(told []entry) {
	news, filter, running := claims{}, t.filter, t.stage
	if len(filter) == 0 {
		filter = []string{""}
		if running == "" && t.p.w.syncing(t.p) { // of what waited after its last transfer, by that sync's prefixes
			filter = nil
			for _, e := range told {
				filter = append(filter, e.partition)
			}
		}
	}
	switch s := t.p.w.sent[t.transfer]; {
	case running == "dequeuing" && !t.produces(s):
		news = t.answered()
	case running == "", running == "deserializing" && !t.produces(s), (running == "serializing" || running == "transferring") && t.produces(s):
		for _, prefix := range filter {
			for instance, n := range t.counters {
				news[claim{prefix, instance}] = n
			}
		}
	}
	before := claims{} // what a wider claim says already is not noted, the widest first
	for _, c := range slices.SortedFunc(maps.Keys(news), func(a, b claim) int { return cmp.Compare(a.prefix, b.prefix) }) {
		n := news[c]
		if mine, own := t.counters[c.instance]; n == 0 || own && n > mine && !t.retired[c.instance] {
			continue
		}
		if covered(before, c.prefix, c.instance) < n && covered(t.claims, c.prefix, c.instance) < n {
			t.claims[c] = n
		}
		before[c] = n
	}
}

// claimOf is what the twin claims for a transfer, of the second form. A sender speaks
// only of instances that still are the last to have saved some row under the claim's
// prefix, a receiver of those in the rows' histories.
func (t *twin) claimOf(s *transfer) (sub, super claims) {
	sub, super = claims{}, claims{}
	for c, n := range t.claims {
		if !t.carried(c, t.produces(s)) {
			continue
		}
		if under(c.prefix, s.filter) {
			sub[c] = n
		}
		if slices.ContainsFunc(s.filter, func(f string) bool { return f != c.prefix && strings.HasPrefix(f, c.prefix) }) {
			super[c] = n
		}
	}
	all := maps.Clone(super)
	maps.Copy(all, sub)
	for _, some := range []claims{sub, super} { // what a wider one says as well is left out
		maps.DeleteFunc(some, func(c claim, n int64) bool {
			for wide, m := range all {
				if wide.instance == c.instance && wide.prefix != c.prefix && strings.HasPrefix(c.prefix, wide.prefix) && m >= n {
					return true
				}
			}
			return false
		})
	}
	if t.produces(s) {
		return expand(sub, super, s.filter), claims{}
	}
	return sub, super
}

func (t *twin) carried(c claim, last bool) bool {
	for _, s := range t.store {
		if strings.HasPrefix(s.partition, c.prefix) && (s.instance == c.instance || !last && s.history[c.instance] > 0) {
			return true
		}
	}
	return false
}

// legacyClaimOf is the claim of the first form: what holds under every prefix.
func (t *twin) legacyClaimOf(s *transfer) claims {
	all := claims{}
	for c := range t.claims {
		least := covered(t.claims, s.filter[0], c.instance)
		for _, prefix := range s.filter {
			least = min(least, covered(t.claims, prefix, c.instance))
		}
		if least > 0 {
			all[claim{"", c.instance}] = least
		}
	}
	return all
}

// expand carries what is claimed of wider prefixes down to those of the filter.
func expand(sub, super claims, filter []string) claims {
	all := maps.Clone(sub)
	for _, prefix := range filter {
		if slices.ContainsFunc(filter, func(f string) bool { return f != prefix && strings.HasPrefix(prefix, f) }) {
			continue
		}
		for wide, n := range super {
			if c := (claim{prefix, wide.instance}); strings.HasPrefix(prefix, wide.prefix) {
				all[c] = max(all[c], n)
			}
		}
	}
	return all
}

// covered is the highest counter of an instance that is claimed for a partition.
func covered(all claims, partition, instance string) (n int64) {
	for c, m := range all {
		if c.instance == instance && strings.HasPrefix(partition, c.prefix) {
			n = max(n, m)
		}
	}
	return n
}

// under says whether a partition begins with one of the prefixes.
func under(partition string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(partition, prefix) })
}

func united(a, b map[string]int64) map[string]int64 {
	all := map[string]int64{}
	maps.Copy(all, a)
	for instance, n := range b {
		all[instance] = max(all[instance], n)
	}
	return all
}
