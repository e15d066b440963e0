package simtest

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/morango-go/morango"
)

// twin is a peer in memory, of plain maps. It is told what its peer's application does,
// which stage of which transfer runs, and when a transaction commits. What that makes
// of the store, of histories, claims and buffers it works out by itself, and all must
// agree with the database.
type twin struct {
	p          *peer
	app        map[string]appRow
	gone, hard map[string]bool // deletions that wait to be serialized
	store      map[string]kept
	claims     claims
	counters   map[string]int64           // of the instances of this database
	texts      map[string][2]string       // by transfer: what client and server claim
	buffers    map[string]map[string]kept // what has arrived
	stage      string
	filter     []string
	transfer   string
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
}

type claims = map[string]map[string]int64

func newTwin(p *peer) *twin {
	return &twin{p: p, app: map[string]appRow{}, gone: map[string]bool{}, hard: map[string]bool{}, store: map[string]kept{},
		claims: claims{}, counters: map[string]int64{}, texts: map[string][2]string{}, buffers: map[string]map[string]kept{}}
}

// hook hears of stages. When one has ended, all that it has to do must be done.
func (t *twin) hook(e morango.HookEvent) {
	if e.Before {
		t.stage, t.transfer, t.filter = string(e.Stage), e.TransferSession, strings.Fields(e.Filter)
		return
	}
	if t.stage == string(e.Stage) {
		t.claim()
	}
	if s := t.p.w.sent[e.TransferSession]; t.stage == "queuing" && t.produces(s) {
		t.agree("records that travel", ids(s.sent), ids(t.lacking(e.TransferSession)))
	}
	t.rest()
	t.compare()
}

// rest says that no stage runs.
func (t *twin) rest() { t.stage, t.transfer, t.filter = "", "", nil }

func (t *twin) produces(s *transfer) bool { return s.push == (s.client == t.p) }

// commit works out what a transaction does, and then takes over what it is told.
func (t *twin) commit(entries []entry) {
	all := map[string][]entry{}
	for _, e := range entries {
		all[e.kind] = append(all[e.kind], e)
	}
	var stamp entry
	for _, e := range all["stamp"] {
		stamp = e
		t.agree("counter", e.counter, t.counters[e.instance]+1)
		t.counters[e.instance] = e.counter
	}
	switch {
	case t.stage == "dequeuing" && len(all["unbuffer"]) > 0 && len(all["closed"]) == 0:
		t.dequeue(stamp)
	case stamp.counter > 0:
		t.serialize(stamp)
	}
	t.deserialized(all)
	if len(all["claim"]) > 0 {
		t.claim()
	}
	for _, e := range entries {
		t.take(e)
	}
	if len(all["row"])+len(all["seen"])+len(all["claim"]) > 0 {
		t.compare()
	}
}

// take takes over one change that the twin is told of.
func (t *twin) take(e entry) {
	switch e.kind {
	case "app":
		t.app[e.id] = appRow{values: e.serialized, partition: e.partition, dirty: e.flags == 0}
	case "unapp":
		delete(t.app, e.id)
	case "gone", "hard":
		map[string]map[string]bool{"gone": t.gone, "hard": t.hard}[e.kind][e.id] = true
	case "ungone":
		delete(t.gone, e.id)
	case "unhard":
		delete(t.hard, e.id)
	case "settled":
		s := t.store[e.id]
		s.dirty = false
		t.store[e.id] = s
	case "session":
		t.session(e)
	case "buffer":
		s := t.p.w.sent[e.instance]
		if t.produces(s) {
			s.sent[e.id] = t.store[e.id]
		} else {
			if t.buffers[e.instance] == nil {
				t.buffers[e.instance] = map[string]kept{}
			}
			t.buffers[e.instance][e.id] = s.sent[e.id]
		}
	case "unbuffer":
		if s := t.p.w.sent[e.instance]; !t.produces(s) {
			delete(t.buffers[e.instance], e.id)
		} else if t.stage == "queuing" {
			delete(s.sent, e.id)
		}
	}
}

// session hears what client and server claim. Our own claim must be as we work it out.
func (t *twin) session(e entry) {
	w := t.p.w
	if w.sent[e.id] == nil { // the client is the first to know
		w.sent[e.id] = &transfer{client: t.p, push: e.flags == 1, filter: strings.Fields(e.partition), sent: map[string]kept{}}
	}
	s, mine := w.sent[e.id], 0
	if s.client != t.p {
		mine = 1
	}
	texts := [2]string{e.serialized, e.conflicting}
	if own := texts[mine]; own != t.texts[e.id][mine] && own != "{}" {
		sub, super, legacy := parseClaim(own)
		if legacy == nil {
			wantSub, wantSuper := t.claimOf(s)
			t.agree("claim for the peer", []claims{sub, super}, []claims{wantSub, wantSuper})
		} else {
			t.agree("claim for the peer", legacy, t.legacyClaimOf(s))
		}
	}
	t.texts[e.id] = texts
}

// theirs is what the peer of a transfer claims, under the prefixes of the filter.
func (t *twin) theirs(id string) claims {
	s := t.p.w.sent[id]
	text := t.texts[id][0]
	if s.client == t.p {
		text = t.texts[id][1]
	}
	sub, super, legacy := parseClaim(text)
	if legacy == nil {
		return expand(sub, super, s.filter)
	}
	all := claims{}
	for _, prefix := range s.filter {
		all[prefix] = legacy
	}
	return all
}

// lacking are the store rows of a transfer's filter that its receiver does not claim.
func (t *twin) lacking(id string) map[string]kept {
	theirs, lacking := t.theirs(id), map[string]kept{}
	for record, s := range t.store {
		if under(s.partition, t.p.w.sent[id].filter) && covered(theirs, s.partition, s.instance) < s.counter {
			lacking[record] = s
		}
	}
	return lacking
}

// serialize saves what the application has changed under a new version.
func (t *twin) serialize(stamp entry) {
	for id, a := range t.app {
		if !a.dirty || len(t.filter) > 0 && !under(a.partition, t.filter) {
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
			if _, there := t.app[id]; there || !known {
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

// dequeue merges what has arrived.
func (t *twin) dequeue(stamp entry) {
	for id, b := range t.buffers[t.transfer] {
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
			t.save(id, s, stamp)
		}
	}
}

// deserialized holds what came into the application's tables against the store.
func (t *twin) deserialized(all map[string][]entry) {
	for _, e := range slices.Concat(all["app"], all["unapp"]) {
		if e.flags == 0 {
			continue // the application's own
		}
		before, there := t.app[e.id]
		t.agree("overwritten change of "+e.id, there && before.dirty, false)
		if e.kind == "app" {
			s := t.store[e.id]
			t.agree("row of "+e.id, s.flags&1 == 0 && reads(s.serialized, e.serialized), true)
			t.agree("settled "+e.id, slices.ContainsFunc(all["settled"], func(x entry) bool { return x.id == e.id }), true)
		}
	}
}

// claim raises claims as the stage that runs has to: to our own counters after
// serialize, to those of the sender after dequeue.
func (t *twin) claim() {
	news, filter := claims{}, t.filter
	if len(filter) == 0 {
		filter = []string{""}
	}
	switch s := t.p.w.sent[t.transfer]; {
	case t.stage == "dequeuing" && !t.produces(s):
		news = t.theirs(t.transfer)
	case t.stage == "", t.stage == "deserializing" && !t.produces(s), t.stage == "serializing" && t.produces(s):
		for _, prefix := range filter {
			news[prefix] = t.counters
		}
	}
	before := claims{} // what a wider claim says already is not noted, the widest first
	for _, prefix := range slices.Sorted(maps.Keys(news)) {
		for instance, n := range news[prefix] {
			mine, own := t.counters[instance]
			if n > 0 && (!own || n <= mine) && covered(before, prefix, instance) < n && covered(t.claims, prefix, instance) < n {
				put(t.claims, prefix, instance, n)
			}
			if !own || n <= mine {
				put(before, prefix, instance, max(n, before[prefix][instance]))
			}
		}
	}
}

// compare holds the whole store against the database's.
func (t *twin) compare() {
	m := &t.p.mirror
	for _, id := range ids(t.store) {
		s, real := t.store[id], m.rows[id]
		t.agree("content of "+id, real.content, s.content)
		t.agree("version of "+id, real.version, version{id, s.instance, s.counter})
		t.agree("history of "+id, m.seen[id], s.history)
	}
	t.agree("records", len(m.rows), len(t.store))
	t.agree("claims", filled(m.claims), filled(t.claims))
}

func (t *twin) agree(what string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		t.p.w.fail("%s disagrees with the model about the %s, at stage %q with filter %q:\n\t%v\nthe model has\n\t%v",
			t.p.name(), what, t.stage, t.filter, got, want)
	}
}

// reads says whether JSON has these values.
func reads(text, values string) bool {
	var have, want map[string]any
	if json.Unmarshal([]byte(text), &have) != nil || json.Unmarshal([]byte(values), &want) != nil {
		return false
	}
	for name, value := range want {
		if have[name] != value {
			return false
		}
	}
	return true
}
