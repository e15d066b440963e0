package simtest

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/stage"
)

// Here the twin of a peer hears what happens on its peer, and is held against it.

// hook hears of stages. When one has ended, all that it has to do must be done.
func (t *twin) hook(e morango.HookEvent) {
	if e.Before && e.Stage == stage.Initializing { // it has no work, and no end where the disk is full
		t.rest()
		return
	}
	if e.Before {
		t.stage, t.transfer, t.filter = string(e.Stage), e.TransferSession, strings.Fields(e.Filter)
		if s := t.p.w.sent[t.transfer]; t.stage == "queuing" && t.produces(s) && t.wanted[t.transfer] == nil {
			t.wanted[t.transfer] = t.lacking(t.transfer)
		}
		return
	}
	// A push can have serialized some rows only, and claim when it has the rest, which is told;
	// after that others can save more.
	runsAhead := t.stage == "serializing" && t.travelsAsStream(e.TransferSession) || t.stage == "transferring"
	if t.stage == string(e.Stage) && !runsAhead {
		t.claim(nil)
	}
	if s := t.p.w.sent[e.TransferSession]; t.stage == "queuing" && t.produces(s) && !t.travelsAsStream(e.TransferSession) {
		t.queued(e.TransferSession)
	}
	t.rest()
	t.compare()
}

// rest says that no stage runs.
func (t *twin) rest() { t.where = where{} }

// give gives the turn to a sync, or to none. Of each it is known what runs in it, for many
// are under way at once, and one can still serialize while it sends.
func (t *twin) give(to *task) {
	if to != t.turn {
		t.turns[t.turn], t.where, t.turn = t.where, t.turns[to], to
		delete(t.turns, to)
	}
}

// commit works out what a transaction does, and then takes over what it is told.
func (t *twin) commit(entries []entry) {
	all := map[string][]entry{}
	for _, e := range entries {
		all[e.kind] = append(all[e.kind], e)
	}
	var stamp entry
	for _, e := range all["retired"] {
		t.take(e)
	}
	for _, e := range all["stamp"] {
		if e.counter < t.counters[e.instance] {
			t.restamp(e.instance, e.counter, stamp)
			return
		}
		stamp = e
		t.agree("counter", e.counter, t.counters[e.instance]+1)
		t.counters[e.instance] = e.counter
	}
	switch {
	case t.stage == "dequeuing" && len(all["unbuffer"]) > 0 && len(all["closed"]) == 0:
		t.merge(t.buffers[t.transfer], stampsOf(entries))
	case len(all["cursor"]) > 0:
		t.cursor(all["cursor"][len(all["cursor"])-1].serialized, stampsOf(entries))
	case stamp.counter > 0:
		var only map[string]bool
		if t.p.rows > 0 {
			only = map[string]bool{}
			for _, e := range all["row"] {
				only[e.id] = true
			}
			t.agree("rows of a transaction", len(only) <= t.p.rows, true)
		}
		t.serialize(stamp, only)
	}
	t.deserialized(all)
	if len(all["claim"]) > 0 {
		t.claim(all["claim"])
	}
	t.picked = all["past"]
	for _, e := range entries {
		t.take(e)
	}
	t.remember()
	t.settled(all["dirty"])
	if len(all["row"])+len(all["seen"])+len(all["claim"])+len(all["dirty"]) > 0 {
		t.compare()
	}
}

// stampsOf are the counters that a transaction takes for what it merges: for each record the last before its
// row is written. Pages that are merged one by one have one each.
func stampsOf(entries []entry) map[string]entry {
	var last entry
	stamps := map[string]entry{}
	for _, e := range entries {
		switch e.kind {
		case "stamp":
			last = e
		case "row":
			stamps[e.id] = last
		}
	}
	return stamps
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
	case "retired":
		t.retired[e.id] = true
	case "session":
		t.session(e)
	case "buffer":
		s := t.p.w.sent[e.instance]
		if t.produces(s) {
			s.sent[e.id] = t.pick(e)
		}
		if t.buffers[e.instance] == nil {
			t.buffers[e.instance] = map[string]kept{}
		}
		t.buffers[e.instance][e.id] = s.sent[e.id]
	case "unbuffer":
		delete(t.buffers[e.instance], e.id)
	}
}

// session hears what client and server claim. Our own claim must be as we work it out.
func (t *twin) session(e entry) {
	w := t.p.w
	if w.sent[e.id] == nil { // the client is the first to know
		w.sent[e.id] = &transfer{client: t.p, push: e.flags == 1, filter: strings.Fields(e.partition), sent: map[string]kept{}}
	}
	s, mine := w.sent[e.id], 0
	if !t.began(s) {
		mine = 1
	}
	texts := [2]string{e.serialized, e.conflicting}
	if own := texts[mine]; own != t.texts[e.id][mine] && own != "{}" {
		sub, super, legacy := parseClaim(own)
		wantSub, wantSuper := t.claimOf(s)
		if legacy {
			wantSub, wantSuper = t.legacyClaimOf(s), claims{}
		}
		t.agree("claim for the peer", []claims{sub, super}, []claims{wantSub, wantSuper})
	}
	t.texts[e.id] = texts
}

// deserialized holds what came into the application's tables against its own changes.
func (t *twin) deserialized(all map[string][]entry) {
	for _, e := range slices.Concat(all["app"], all["unapp"]) {
		if e.flags != 0 { // else it is the application's own
			before, there := t.app[e.id]
			t.agree("overwritten change of "+e.id, there && before.dirty, false)
		}
	}
}

// settled holds records that count as applied against the application's tables.
func (t *twin) settled(dirty []entry) {
	for _, e := range dirty {
		s, known := t.store[e.id]
		if !s.dirty || !known || t.p.mirror.dirty[e.id] {
			continue
		}
		a, there := t.app[e.id]
		// A row without what it refers to goes, and its deletion waits to be saved.
		t.agree("row of "+e.id, there, s.flags&1 == 0 && !t.gone[e.id])
		t.agree("row of "+e.id, !there || reads(s.serialized, a.values), true)
		s.dirty = false
		t.store[e.id] = s
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
		t.agree("dirty bit of "+id, m.dirty[id], s.dirty)
	}
	t.agree("records", len(m.rows), len(t.store))
	t.agree("claims", m.claims, t.claims)
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

func ids(rows map[string]kept) []string { return slices.Sorted(maps.Keys(rows)) }

// parseClaim reads a claim as it travels; one of the first form is all under "".
func parseClaim(text string) (sub, super claims, legacy bool) {
	var second struct{ Sub, Super map[string]map[string]int64 }
	if json.Unmarshal([]byte(text), &second) != nil || second.Sub == nil && second.Super == nil {
		first := map[string]int64{}
		_ = json.Unmarshal([]byte(text), &first) // what cannot be read claims nothing
		second.Sub, legacy = map[string]map[string]int64{"": first}, true
	}
	flat := func(all map[string]map[string]int64) claims {
		some := claims{}
		for prefix, counters := range all {
			for instance, n := range counters {
				some[claim{prefix, instance}] = n
			}
		}
		return some
	}
	return flat(second.Sub), flat(second.Super), legacy
}
