package record_test

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
)

// version draws a version of one record, by one of three instances.
func version(t *rapid.T, label string) record.Record {
	r := record.Record{
		Serialized: rapid.SampledFrom([]string{`{"a": 1}`, `{"a": 2}`}).Draw(t, label+" text"),
		Deleted:    rapid.Bool().Draw(t, label+" deleted"), HardDeleted: rapid.Bool().Draw(t, label+" hard"),
		History: counter.Counters{},
	}
	for i := range 3 {
		if n := rapid.Int64Range(0, 3).Draw(t, label+" counter"); n > 0 || i == 0 {
			instance := fmt.Sprint(i)
			r.History[instance] = n
			if r.Version.Instance == "" || rapid.Bool().Draw(t, label+" saved by") {
				r.Version = counter.Version{Instance: instance, Counter: n}
			}
		}
	}
	return r
}

func TestCompareHasTwoSides(t *testing.T) {
	opposite := map[record.Relation]record.Relation{
		record.Same: record.Same, record.Older: record.Newer, record.Newer: record.Older, record.Conflict: record.Conflict,
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := version(t, "mine"), version(t, "theirs")
		there, back := record.Compare(a, b), record.Compare(b, a)
		bothKnow := there == record.Older && back == record.Older // each has seen the other: nobody has anything to learn
		if back != opposite[there] && !bothKnow {
			t.Fatalf("%+v is %d to %+v, but that is %d to it", b, there, a, back)
		}
	})
}

func TestMergeIsSeenByBothAndLosesNothing(t *testing.T) {
	next := counter.Version{Instance: "mine", Counter: 9}
	rapid.Check(t, func(t *rapid.T) {
		mine, theirs := version(t, "mine"), version(t, "theirs")
		before := maps.Clone(mine.History)
		merged := record.Merge(mine, theirs, next)
		if diff := cmp.Diff(before, mine.History); diff != "" {
			t.Fatalf("the merge changed its input:\n%s", diff)
		}
		for _, part := range []record.Record{mine, theirs} {
			if relation := record.Compare(merged, part); relation != record.Older && relation != record.Same {
				t.Fatalf("%+v is %d to the merged %+v", part, relation, merged)
			}
		}
		switch {
		case record.SameContent(mine, theirs):
			if merged.Version != mine.Version && merged.Version != theirs.Version {
				t.Fatalf("equal content got the new version %v", merged.Version)
			}
			other := record.Merge(theirs, mine, next)
			if diff := cmp.Diff(merged, other); diff != "" {
				t.Fatalf("joined in the other order:\n%s", diff)
			}
		case merged.Version != next:
			t.Fatalf("changed content kept version %v", merged.Version)
		case mine.HardDeleted || theirs.HardDeleted:
			if merged.Serialized != "{}" || merged.Conflicting != "" || !merged.HardDeleted {
				t.Fatalf("a hard deletion left %+v", merged)
			}
		case merged.Serialized != mine.Serialized || merged.Conflicting != theirs.Serialized+"\n":
			t.Fatalf("the merge lost a text: %+v", merged)
		case merged.Deleted != (mine.Deleted || theirs.Deleted):
			t.Fatalf("the merge forgot a deletion: %+v", merged)
		}
	})
}

func TestCheckRefusesWhatMustNotBeBuffered(t *testing.T) {
	m := &model.Model{Name: "log"}
	good := record.Record{
		Profile: "p", Model: "log", Partition: "a:b", SourceID: "s", Serialized: "{}",
		Version: counter.Version{Instance: id, Counter: 1}, History: counter.Counters{id: 1},
	}
	good.ID = ident.Record(good.Partition, good.SourceID, good.Model)
	filter := partition.Of("a:")
	if err := record.Check(good, m, filter); err != nil {
		t.Fatal(err)
	}
	if err := record.Check(good, nil, filter); err != nil {
		t.Fatalf("of an unknown model: %v", err)
	}
	for name, spoil := range map[string]func(*record.Record){
		"id not hex":           func(r *record.Record) { r.ID = strings.Repeat("z", 32) },
		"id of another record": func(r *record.Record) { r.ID = id },
		"another model":        func(r *record.Record) { r.Model = "user" },
		"outside the filter":   func(r *record.Record) { r.Partition = "b"; r.ID = ident.Record("b", "s", "log") },
		"NUL":                  func(r *record.Record) { r.Serialized = "{\x00}" },
		"invalid UTF-8":        func(r *record.Record) { r.Conflicting = "\xff" },
		"long profile":         func(r *record.Record) { r.Profile = strings.Repeat("p", 41) },
		"self-reference no id": func(r *record.Record) { r.SelfRef = "x" },
		"instance no id":       func(r *record.Record) { r.Version.Instance = "" },
		"negative counter":     func(r *record.Record) { r.Version.Counter = -1 },
		"counter out of range": func(r *record.Record) { r.History = counter.Counters{id: math.MaxInt32 + 1} },
		"history names no one": func(r *record.Record) { r.History = counter.Counters{"x": 1} },
		"source id is too long": func(r *record.Record) {
			r.SourceID = strings.Repeat("s", 97)
			r.ID = ident.Record("a:b", r.SourceID, "log")
		},
		"the id is in upper case": func(r *record.Record) { r.ID = strings.ToUpper(r.ID) },
	} {
		bad := good
		spoil(&bad)
		if err := record.Check(bad, m, filter); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}
