package simtest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Here the twin of a sender follows how its buffers are filled: part by part, while others write.

// remember notes each version that a record of the store has had, with its history.
func (t *twin) remember() {
	for id, s := range t.store {
		s.history, s.dirty = maps.Clone(s.history), false
		past := t.past[id]
		if len(past) == 0 || !reflect.DeepEqual(past[len(past)-1], s) {
			t.past[id] = append(slices.Clip(past), s)
		}
	}
}

// pick is the version of a record that was put into a buffer: one that the store has now, or has had.
func (t *twin) pick(e entry) kept {
	history := map[string]int64{}
	for _, seen := range t.picked {
		if seen.id == e.id && seen.partition == e.instance {
			history[seen.instance] = seen.counter
		}
	}
	for _, s := range slices.Backward(t.past[e.id]) {
		if s.instance == e.conflicting && s.counter == e.counter && maps.Equal(s.history, history) {
			return s
		}
	}
	t.agree("version in a buffer of "+e.id, fmt.Sprint(e.conflicting, e.counter, history), "one that the store has had")
	return kept{}
}

// queued holds a buffer that is complete against the store. What the receiver lacked when the stage began, and
// lacks still, has to travel. So may what was saved meanwhile; nothing else.
func (t *twin) queued(id string) {
	lacking, theirs := t.lacking(id), t.told(id, false)
	for record := range t.wanted[id] {
		_, still := lacking[record]
		_, travels := t.buffers[id][record]
		t.agree("record "+record+" travels", travels, travels || still)
	}
	for record, s := range t.buffers[id] {
		_, wanted := t.wanted[id][record]
		lacks := wanted || covered(theirs, s.partition, s.instance) < s.counter
		t.agree("record "+record+" is lacked", lacks && under(s.partition, t.p.w.sent[id].filter), true)
	}
}
