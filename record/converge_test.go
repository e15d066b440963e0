package record_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/record"
)

// village is a few peers that all have one record and merge it.
type village struct {
	t     *rapid.T
	model *model.Model
	rule  []record.Rule // of each peer
	has   []record.Record
	saves []int64 // counters of the peers
	fresh int     // versions that merges made
	spent map[counter.Version]string
}

func (v *village) next(peer int) counter.Version {
	v.saves[peer]++
	return counter.Version{Instance: fmt.Sprintf("%08x-peer", peer+1), Counter: v.saves[peer]}
}

// edit has a peer's application change the record.
func (v *village) edit(peer int, old record.Record) record.Record {
	next, t := v.next(peer), v.t
	history := maps.Clone(old.History)
	if history == nil {
		history = counter.Counters{}
	}
	history[next.Instance] = next.Counter
	if rapid.IntRange(0, 4).Draw(t, "deletes") == 0 && old.Version.Counter > 0 {
		old.Deleted = true
	} else {
		moment := day(rapid.IntRange(1, 4).Draw(t, "day")).Format("2006-01-02T15:04:05Z")
		titles := []string{"a", "b", fmt.Sprint("by ", peer, " at ", next.Counter)}
		list := fmt.Sprintf(`{"id": "%s", "title": "%s", "body": %s, "modified": "%s"}`, noteID(0),
			rapid.SampledFrom(titles).Draw(t, "title"), rapid.SampledFrom([]string{"null", `"x"`, `"y"`}).Draw(t, "body"), moment)
		old.Serialized, old.Deleted = v.rule[peer].Restamp(old, v.model, list, next), false
	}
	old.Version, old.History = next, history
	old.ID, old.Model = noteID(0), "note"
	return old
}

// arrive has a peer dequeue what another sent.
func (v *village) arrive(peer int, theirs record.Record) {
	mine := v.has[peer]
	relation := record.Compare(mine, theirs)
	switch {
	case mine.ID == "":
		v.has[peer] = theirs
	case relation == record.Newer:
		theirs.History = mine.History.Max(theirs.History)
		v.has[peer] = theirs
	case relation == record.Conflict:
		next := v.next(peer)
		v.has[peer] = v.rule[peer].Merge(mine, theirs, next)
		if v.has[peer].Version == next {
			v.fresh++
		}
	}
	// A version says what it said before, wherever it is.
	now := v.has[peer]
	said := fmt.Sprintf("%s %s %v", now.Serialized, now.Conflicting, now.Deleted)
	if before, known := v.spent[now.Version]; known && before != said {
		v.t.Fatalf("version %v says\n%s\nand elsewhere\n%s", now.Version, said, before)
	}
	v.spent[now.Version] = said
}

// meet has two peers sync, both at once or one after the other.
func (v *village) meet(a, b int, atOnce bool) {
	toA := v.has[b]
	v.arrive(b, v.has[a])
	if !atOnce {
		toA = v.has[b]
	}
	v.arrive(a, toA)
}

// settled says whether two peers have one version, or have each seen the other's and say the
// same: where a merge changes nothing its side keeps its version, so each can have kept its own,
// and neither asks for more.
func settled(a, b record.Record) bool {
	return a.Version == b.Version || record.SameContent(a, b) && record.Compare(a, b) == record.Older && record.Compare(b, a) == record.Older
}

// settle lets all meet in random order until that holds for all, and returns how many rounds
// that took.
func (v *village) settle(most int) int {
	for round := range most + 1 {
		same := true
		for _, r := range v.has {
			same = same && settled(v.has[0], r)
		}
		if same {
			return round
		}
		if round == most {
			break
		}
		for a := range v.has {
			for b := range a {
				v.meet(a, b, rapid.Bool().Draw(v.t, "at once"))
			}
		}
	}
	v.t.Fatalf("no end after %d rounds: %+v", most, v.has)
	return most
}

func settledVillage(t *rapid.T, m *model.Model, rules ...record.Rule) *village {
	v := &village{t: t, model: m, rule: rules, has: make([]record.Record, len(rules)), saves: make([]int64, len(rules)),
		spent: map[counter.Version]string{}}
	origin := v.edit(0, record.Record{})
	for peer := range rules {
		v.has[peer] = origin
		if rapid.IntRange(0, 3).Draw(t, "made by itself") == 0 {
			v.has[peer] = v.edit(peer, record.Record{})
		}
	}
	for range rapid.IntRange(0, 12).Draw(t, "steps") {
		a := rapid.IntRange(0, len(rules)-1).Draw(t, "peer")
		b := rapid.IntRange(0, len(rules)-1).Draw(t, "with")
		if a == b {
			v.has[a] = v.edit(a, v.has[a])
		} else {
			v.meet(a, b, rapid.Bool().Draw(t, "at once"))
		}
	}
	return v
}

// Two, three and four peers with one rule that edit and merge as they like, also at
// once, end with one content soon after the last edit, and make no versions from then on.
func TestPeersConverge(t *testing.T) {
	for name, rule := range rules() {
		for peers := 2; peers <= 4; peers++ {
			t.Run(fmt.Sprint(name, "/", peers), func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) {
					all := make([]record.Rule, peers)
					for i := range all {
						all[i] = rule
					}
					v := settledVillage(t, note(model.MergeFields), all...)
					v.fresh = 0
					v.settle(4)
					if v.fresh > 2*peers*peers {
						t.Fatalf("%d versions made by merges after the last edit", v.fresh)
					}
					for _, r := range v.has {
						if diff := cmp.Diff(content(v.has[0]), content(r)); diff != "" {
							t.Fatalf("peers differ:\n%s", diff)
						}
					}
				})
			})
		}
	}
}

// With a peer of the reference's rule among them, peers that meet one after the other
// end with one content too.
func TestPeersConvergeWithTheReference(t *testing.T) {
	for name, rule := range rules() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				v := settledVillage(t, note(model.MergeFields), rule, record.Rule{}, rule)
				for range 4 {
					for a := range v.has {
						for b := range a {
							v.meet(a, b, false)
						}
					}
				}
				for _, r := range v.has {
					if r.Serialized != v.has[0].Serialized || r.Deleted != v.has[0].Deleted {
						t.Fatalf("peers differ: %+v", v.has)
					}
				}
			})
		})
	}
}

// What an application saved is in the record, has been seen by who replaced it, or is
// among the copies.
func TestEditsAreNotLost(t *testing.T) {
	m := note(model.MergeFields)
	rule := record.RuleOf(m, nil)
	rapid.Check(t, func(t *rapid.T) {
		v := &village{t: t, model: m, rule: []record.Rule{rule, rule}, has: make([]record.Record, 2), saves: make([]int64, 2),
			spent: map[counter.Version]string{}}
		origin := v.edit(0, record.Record{})
		for peer := range v.has {
			v.has[peer] = v.edit(peer, origin)
			for range rapid.IntRange(0, 2).Draw(t, "more edits") {
				v.has[peer] = v.edit(peer, v.has[peer])
			}
		}
		last := [2]record.Record{v.has[0], v.has[1]}
		v.settle(2)
		for _, r := range last {
			for _, part := range strings.Split(strings.Trim(without(r.Serialized), "{}"), ", ") {
				if strings.Contains(part, "modified") || strings.Contains(origin.Serialized, part) || r.Deleted {
					continue
				}
				if end := v.has[0]; !strings.Contains(end.Serialized+end.Conflicting, part) {
					t.Fatalf("%s of %s is gone: %+v", part, r.Serialized, end)
				}
			}
		}
	})
}
