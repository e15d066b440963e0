package record_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/record"
)

// note is the model of the tests of rules: a tree with texts and a moment.
func note(kind model.MergeKind) *model.Model {
	m := &model.Model{Name: "note", Table: "note", Merge: model.MergeRule{Kind: kind}, Columns: []model.Column{
		{Name: "id", Type: model.UUID},
		{Name: "title", Type: model.Text, Nullable: true},
		{Name: "body", Type: model.Text, Nullable: true},
		{Name: "size", Type: model.BigInt, Nullable: true, Default: &model.Default{Value: int64(7)}},
		{Name: "parent_id", Type: model.UUID, Nullable: true, References: &model.Reference{Model: "note", Table: "note"}},
		{Name: "modified", Type: model.DateTime, Nullable: true},
	}}
	if kind == model.MergeNewest || kind == model.MergeFields {
		m.Merge.By = "modified"
	}
	return m
}

// longest is a merge function: the longer text, of equal ones the greater.
func longest(a, b string) (string, bool, error) {
	if len(a) > len(b) {
		return a, true, nil
	}
	return b, true, nil
}

// rules are all but the reference rule.
func rules() map[string]record.Rule {
	return map[string]record.Rule{
		"newest": record.RuleOf(note(model.MergeNewest), nil),
		"fields": record.RuleOf(note(model.MergeFields), nil),
		"custom": record.RuleOf(note(model.MergeCustom), longest),
		"broken": record.RuleOf(note(model.MergeCustom), func(string, string) (string, bool, error) { panic("broken") }),
	}
}

func noteID(n int) string { return fmt.Sprintf("%032x", n+1) }

// noteText draws the text of a note, few of each kind so that equal ones come up, as
// builds and peers of all sorts write it.
func noteText(t *rapid.T, label string) string {
	parts := []string{
		`"id": "` + noteID(0) + `"`,
		`"title": "` + rapid.SampledFrom([]string{"a", "b", `\u00fc`}).Draw(t, label+" title") + `"`,
		`"parent_id": ` + rapid.SampledFrom([]string{"null", `"` + noteID(1) + `"`, `"` + noteID(2) + `"`}).Draw(t, label+" parent"),
		`"modified": ` + rapid.SampledFrom([]string{
			"null", `"2026-01-01T00:00:00Z"`, `"2026-01-01T00:00:00.500Z"`, `"2026-01-02T01:00:00+01:00"`, `"no time"`,
		}).Draw(t, label+" modified"),
		`"size": ` + rapid.SampledFrom([]string{"1", "9007199254740993", "7"}).Draw(t, label+" size"),
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// oddText draws any text that a peer may send.
func oddText(t *rapid.T, label string) string {
	return rapid.OneOf(
		rapid.Just(""), rapid.Just("{}"), rapid.Just("no JSON"), rapid.Just("[1]"),
		rapid.Just(`{"new": 12345678901234567890.10, "title": "n"}`), rapid.Just("{\n \"title\": \"xü\"\n}"),
		rapid.Just(`{"title": "s", "_morango_fields": {"of": "0", "base": "9 9 x", "since": {"title": 3}}}`),
		rapid.Just(`{"title": "s", "_morango_fields": null}`),
		rapid.Custom(func(t *rapid.T) string { return noteText(t, label) }),
	).Draw(t, label)
}

// copyOf draws a version of a note.
func copyOf(t *rapid.T, label string, text func(*rapid.T, string) string) record.Record {
	r := version(t, label)
	r.ID, r.Model, r.Partition, r.SourceID, r.Profile = noteID(0), "note", "p", "s", "q"
	r.Serialized = text(t, label+" text")
	r.HardDeleted = rapid.IntRange(0, 9).Draw(t, label+" hard-deleted") == 0
	r.Deleted = rapid.IntRange(0, 3).Draw(t, label+" is deleted") == 0
	for range rapid.IntRange(0, 2).Draw(t, label+" copies") {
		r.Conflicting += text(t, label+" copy") + "\n"
	}
	if r.HardDeleted {
		r.Serialized, r.Conflicting = "{}", ""
	}
	r.SelfRef = rapid.SampledFrom([]string{"", noteID(1), noteID(2)}).Draw(t, label+" self-reference")
	return r
}

// content is a record without version and history.
func content(r record.Record) record.Record {
	r.Version, r.History = counter.Version{}, nil
	return r
}

func eachRule(t *testing.T, f func(*rapid.T, record.Rule)) {
	t.Helper()
	for name, rule := range rules() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { f(t, rule) })
		})
	}
}

var here, there = counter.Version{Instance: "here", Counter: 90}, counter.Version{Instance: "there", Counter: 91}

// Whoever merges two versions, and whichever is his own, gets the same content; each
// side's histories are in the result's; a version is new unless one side says it all.
func TestRulesAreCommutative(t *testing.T) {
	eachRule(t, func(t *rapid.T, rule record.Rule) {
		a, b := copyOf(t, "mine", oddText), copyOf(t, "theirs", oddText)
		ab, ba := rule.Merge(a, b, here), rule.Merge(b, a, there)
		if diff := cmp.Diff(content(ab), content(ba)); diff != "" {
			t.Fatalf("merged in the other order:\n%s", diff)
		}
		for _, part := range []record.Record{a, b} {
			for instance, n := range part.History {
				if ab.History[instance] < n {
					t.Fatalf("the history forgets counter %d of %s", n, instance)
				}
			}
		}
		switch {
		case ab.Version == here && ba.Version == there:
			for _, part := range []record.Record{a, b} {
				if record.SameContent(content(ab), content(part)) {
					t.Fatalf("a new version for the content of %+v", part)
				}
			}
		case ab.Version != ba.Version:
			t.Fatalf("versions %v and %v", ab.Version, ba.Version)
		case ab.Version == a.Version && !sameOrBlank(ab, a) && !sameOrBlank(ab, b):
			t.Fatalf("content changed under version %v", ab.Version)
		}
	})
}

func sameOrBlank(merged, part record.Record) bool {
	return record.SameContent(content(merged), content(part))
}

// A merge with what one has merged already changes nothing, and needs no version: so
// peers that merge at once end.
func TestMergingAgainChangesNothing(t *testing.T) {
	eachRule(t, func(t *rapid.T, rule record.Rule) {
		a, b := copyOf(t, "mine", oddText), copyOf(t, "theirs", oddText)
		once := rule.Merge(a, b, here)
		if twin := rule.Merge(once, rule.Merge(b, a, there), counter.Version{Instance: "x", Counter: 99}); twin.Version.Instance == "x" {
			t.Fatalf("two merges of one pair conflict: %+v", twin)
		}
		for _, part := range []record.Record{a, b} {
			if again := rule.Merge(once, part, counter.Version{Instance: "x", Counter: 99}); again.Version.Instance == "x" {
				t.Fatalf("merging %+v again:\n%s", part, cmp.Diff(once, again))
			}
		}
	})
}

// Three versions of a record with the same keys are merged to the same in any order.
func TestRulesAreAssociative(t *testing.T) {
	eachRule(t, func(t *rapid.T, rule record.Rule) {
		var parts [3]record.Record
		for i := range parts {
			// Which copies the rule fields keeps depends on who had seen what; here nobody had.
			parts[i] = copyOf(t, fmt.Sprint("part ", i), noteText)
			parts[i].Version = counter.Version{Instance: fmt.Sprint("instance", i), Counter: 1}
			parts[i].History = counter.Counters{parts[i].Version.Instance: 1}
		}
		merge := func(a, b record.Record) record.Record { return rule.Merge(a, b, here) }
		left, right := merge(merge(parts[0], parts[1]), parts[2]), merge(parts[0], merge(parts[1], parts[2]))
		if left.Serialized != right.Serialized || left.Deleted != right.Deleted || left.HardDeleted != right.HardDeleted {
			t.Fatalf("%+v\nand %+v", left, right)
		}
	})
}

// Nothing is lost: whatever text went in is in the result, or among its copies, or its
// fields are.
func TestNoTextIsLost(t *testing.T) {
	for name, rule := range rules() {
		if name == "fields" { // keeps fields, not texts: see TestFieldsLoseNothing
			continue
		}
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				a, b := copyOf(t, "mine", noteText), copyOf(t, "theirs", noteText)
				merged := rule.Merge(a, b, here)
				if a.HardDeleted || b.HardDeleted || record.SameContent(a, b) {
					return
				}
				kept := append(record.Copies(merged.Conflicting), merged.Serialized)
				for _, text := range append(record.Copies(a.Conflicting+b.Conflicting), a.Serialized, b.Serialized) {
					if !slices.Contains(kept, text) {
						t.Fatalf("%s is gone: %q", text, kept)
					}
				}
			})
		})
	}
}

func TestNewest(t *testing.T) {
	rule := record.RuleOf(note(model.MergeNewest), nil)
	early := `{"title": "early", "modified": "2026-01-01T00:00:00Z", "phone": 12345678901234567890.10}`
	late := `{"title": "late", "modified": "2026-01-02T00:00:00Z"}`
	a := record.Record{Serialized: early, Version: here, History: counter.Counters{"here": 90}}
	b := record.Record{Serialized: late, Version: there, History: counter.Counters{"there": 91}}
	merged := rule.Merge(a, b, counter.Version{Instance: "m", Counter: 3})
	want := record.Record{
		Serialized:  `{"title": "late", "modified": "2026-01-02T00:00:00Z", "phone": 12345678901234567890.10}`,
		Conflicting: early + "\n", Version: counter.Version{Instance: "m", Counter: 3},
		History: counter.Counters{"here": 90, "there": 91, "m": 3},
	}
	if diff := cmp.Diff(want, merged); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	hard := b
	hard.Deleted, hard.HardDeleted, hard.Serialized = true, true, "{}"
	if gone := rule.Merge(a, hard, here); gone.Serialized != "{}" || gone.Conflicting != "" || !gone.HardDeleted || gone.Version != there {
		t.Errorf("a hard deletion left %+v", gone)
	}
	if again := rule.Merge(merged, b, here); again.Version != merged.Version || again.Conflicting != merged.Conflicting {
		t.Errorf("what is all in the result became a copy: %+v", again)
	}
	b.Deleted = true
	// The later change is in the deleted record; its author may want it back.
	if gone := rule.Merge(record.Record{Serialized: late, Version: here}, record.Record{Serialized: early, Version: there, Deleted: true}, here); !gone.Deleted ||
		!slices.Contains(record.Copies(gone.Conflicting), record.Fill(late, early)) && !slices.Contains(record.Copies(gone.Conflicting), late) {
		t.Errorf("a change of a deleted record is not shown: %+v", gone)
	}
	same := record.Record{Serialized: late, Version: here}
	deleted := record.Record{Serialized: late, Version: there, Deleted: true}
	if gone := rule.Merge(same, deleted, here); gone.Conflicting != late+"\n" {
		t.Errorf("the copy of who did not delete is gone: %+v", gone)
	}
	if gone := rule.Merge(a, b, here); !gone.Deleted || !slices.Contains(record.Copies(gone.Conflicting), early) {
		t.Errorf("the deletion left %+v", gone)
	}
}

// The self-reference follows the text that stays.
func TestSelfReferenceFollowsTheText(t *testing.T) {
	eachRule(t, func(t *rapid.T, rule record.Rule) {
		a, b := copyOf(t, "mine", noteText), copyOf(t, "theirs", noteText)
		a.SelfRef, b.SelfRef = noteID(8), ""
		merged := rule.Merge(a, b, here)
		if merged.HardDeleted {
			return
		}
		want := ""
		for _, n := range []int{1, 2} {
			if strings.Contains(merged.Serialized, `"parent_id": "`+noteID(n)) {
				want = noteID(n)
			}
		}
		if merged.SelfRef != want {
			t.Fatalf("self-reference %q of %s", merged.SelfRef, merged.Serialized)
		}
	})
}

func TestCustomFunction(t *testing.T) {
	a, b := record.Record{Serialized: `{"n": 1}`, Version: here}, record.Record{Serialized: `{"n": 2}`, Version: there}
	merge := func(f record.Func) record.Record {
		return record.RuleOf(note(model.MergeCustom), f).Merge(b, a, counter.Version{Instance: "m", Counter: 1})
	}
	sum := merge(func(a, b string) (string, bool, error) {
		return `{"n": 3, "of": "` + a[6:7] + b[6:7] + `"}`, false, nil
	})
	if sum.Serialized != `{"n": 3, "of": "12"}` || sum.Conflicting != "" {
		t.Errorf("merged to %+v", sum)
	}
	for name, f := range map[string]record.Func{
		"none":      nil,
		"error":     func(string, string) (string, bool, error) { return "{}", false, errors.New("no") },
		"panic":     func(string, string) (string, bool, error) { panic(1) },
		"no object": func(string, string) (string, bool, error) { return "[1]", false, nil },
		"NUL":       func(string, string) (string, bool, error) { return "{\"a\": \"\x00\"}", false, nil },
	} {
		if kept := merge(f); kept.Serialized != `{"n": 2}` || kept.Conflicting != "{\"n\": 1}\n" {
			t.Errorf("%s: merged to %+v", name, kept)
		}
	}
}

func TestCopies(t *testing.T) {
	for given, want := range map[string][]string{
		"":                             nil,
		"\n\n":                         nil,
		"{\"a\": 1}\n{\"a\": 2}\n":     {`{"a": 1}`, `{"a": 2}`},
		"{\n\"a\": 1}\n{\"a\": 2}":     {"{\n\"a\": 1}", `{"a": 2}`},
		"broken {\n{\"a\": 2}\n":       {"broken {", `{"a": 2}`},
		"{\"a\": 1}rest\n{\"a\": 2}\n": {`{"a": 1}rest`, `{"a": 2}`},
		"{\"a\": 1} \n":                {`{"a": 1}`},
	} {
		if diff := cmp.Diff(want, record.Copies(given)); diff != "" {
			t.Errorf("%q: -want +got\n%s", given, diff)
		}
	}
}

// However many conflicts a record has, what it keeps of them is bounded, newest first.
func TestCopiesAreBounded(t *testing.T) {
	rule := record.RuleOf(note(model.MergeNewest), nil)
	text := func(n int, fill string) string {
		return fmt.Sprintf(`{"title": "%s", "modified": "2026-01-01T00:%02d:00Z"}`, fill, n)
	}
	var all record.Record
	for n := range 50 {
		one := record.Record{Serialized: text(n, "x"), Version: counter.Version{Instance: "i", Counter: int64(n + 1)}}
		all = rule.Merge(one, all, counter.Version{Instance: "m", Counter: int64(n + 1)})
	}
	copies := record.Copies(all.Conflicting)
	if len(copies) != 20 || copies[0] != text(48, "x") || copies[19] != text(29, "x") {
		t.Errorf("%d copies, from %s", len(copies), copies[0])
	}
	big := strings.Repeat("y", 900_000)
	for n := range 5 {
		one := record.Record{Serialized: text(n, big), Version: counter.Version{Instance: "i", Counter: int64(n + 1)}}
		all = rule.Merge(one, all, counter.Version{Instance: "n", Counter: int64(n + 1)})
	}
	if size := len(all.Conflicting); size > 1<<20 {
		t.Errorf("%d bytes of copies", size)
	}
}
