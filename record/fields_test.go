package record_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/record"
)

// edited saves a note again with some columns changed, as instance's next version.
func edited(t testing.TB, m *model.Model, old record.Record, instance string, changes map[string]any) record.Record {
	t.Helper()
	next := counter.Version{Instance: instance, Counter: old.History[instance] + 1}
	values, err := record.Decode(m, old.ID, old.SourceID, old.Partition, old.Serialized, time0, nil)
	if err != nil {
		t.Fatal(err)
	}
	travels := values[:0]
	for i, c := range m.Columns {
		if v, changed := changes[c.Name]; changed {
			values[i] = v
		}
		travels = append(travels, values[i])
	}
	text, err := record.RuleOf(m, nil).Update(old, m, travels, next)
	if err != nil {
		t.Fatal(err)
	}
	old.Serialized, old.Version, old.History = text, next, maps.Clone(old.History)
	old.History[instance] = next.Counter
	return old
}

var time0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func day(n int) time.Time { return time0.AddDate(0, 0, n-1) }

// first is the version of a note that both sides of a conflict come from.
func first(text string) record.Record {
	return record.Record{ID: noteID(0), Model: "note", Serialized: text,
		Version: counter.Version{Instance: "aaaaaaaa1", Counter: 1}, History: counter.Counters{"aaaaaaaa1": 1}}
}

const firstText = `{"id": "00000000000000000000000000000001", "title": "old", "body": "old", "size": 12345678901, ` +
	`"parent_id": null, "modified": "2026-01-01T00:00:00Z", "phone": 1.50}`

// without is a text without its stamps.
func without(text string) string {
	text, _, _ = strings.Cut(text, `, "_morango_fields"`)
	return text + "}"
}

// A rename at the hub and a later login on a tablet are both kept, and nothing is a
// conflict: the common ancestor is known by the stamps of its fields.
func TestFieldsMergeThreeWays(t *testing.T) {
	m := note(model.MergeFields)
	rule := record.RuleOf(m, nil)
	hub := edited(t, m, first(firstText), "bbbbbbbb2", map[string]any{"title": "renamed", "modified": day(2)})
	tablet := edited(t, m, first(firstText), "cccccccc3", map[string]any{"size": int64(9007199254740993), "modified": day(3)})
	merged := rule.Merge(hub, tablet, counter.Version{Instance: "bbbbbbbb2", Counter: 7})
	want := `{"id": "00000000000000000000000000000001", "title": "renamed", "body": "old", "size": 9007199254740993, ` +
		`"parent_id": null, "modified": "2026-01-03T00:00:00Z", "phone": 1.5}`
	if got := without(merged.Serialized); got != want {
		t.Errorf("merged to\n%s\nwant\n%s", got, want)
	}
	if n := len(record.Copies(merged.Conflicting)); n != 0 {
		t.Errorf("%d copies: %s", n, merged.Conflicting)
	}
	// The value that a later edit has seen and replaced is not lost, even where a clock
	// went back.
	again := edited(t, m, hub, "cccccccc3", map[string]any{"title": "third", "modified": day(1)})
	later := edited(t, m, hub, "bbbbbbbb2", map[string]any{"body": "long", "modified": day(5)})
	both := rule.Merge(again, later, counter.Version{Instance: "x", Counter: 1})
	if text := both.Serialized; !strings.Contains(text, `"title": "third", "body": "long"`) || both.Conflicting != "" {
		t.Errorf("merged to %s, lost %q", text, both.Conflicting)
	}
}

// When both change one field, the later change stays and the other copy is kept.
func TestFieldsKeepWhatIsLost(t *testing.T) {
	m := note(model.MergeFields)
	hub := edited(t, m, first(firstText), "bbbbbbbb2", map[string]any{"title": "hub", "modified": day(2)})
	tablet := edited(t, m, first(firstText), "cccccccc3", map[string]any{"title": "tablet", "body": "tablet", "modified": day(3)})
	merged := record.RuleOf(m, nil).Merge(tablet, hub, counter.Version{Instance: "x", Counter: 1})
	if !strings.Contains(merged.Serialized, `"title": "tablet", "body": "tablet"`) {
		t.Errorf("merged to %s", merged.Serialized)
	}
	if copies := record.Copies(merged.Conflicting); len(copies) != 1 || copies[0] != without(hub.Serialized) {
		t.Errorf("copies %q, want the hub's", copies)
	}
}

// A peer that knows nothing of stamps keeps them under changed fields. That is seen:
// its copy counts as changed as a whole, at its own moment.
func TestFieldsWithPeersThatKnowNoStamps(t *testing.T) {
	m := note(model.MergeFields)
	rule := record.RuleOf(m, nil)
	base := edited(t, m, first(firstText), "bbbbbbbb2", map[string]any{"title": "base", "modified": day(2)})
	mine := edited(t, m, base, "bbbbbbbb2", map[string]any{"body": "mine", "modified": day(3)})
	for at, want := range map[int]string{4: `"title": "python", "body": "old"`, 1: `"title": "python", "body": "mine"`} {
		theirs := base
		theirs.Serialized = strings.NewReplacer(`"title": "base"`, `"title": "python"`,
			"2026-01-02", fmt.Sprintf("2026-01-%02d", at)).Replace(base.Serialized)
		theirs.Version = counter.Version{Instance: "dddddddd4", Counter: 5}
		theirs.History = counter.Counters{"aaaaaaaa1": 1, "bbbbbbbb2": 1, "dddddddd4": 5}
		merged := rule.Merge(mine, theirs, counter.Version{Instance: "x", Counter: 1})
		if !strings.Contains(merged.Serialized, want) {
			t.Errorf("changed on day %d: merged to %s", at, merged.Serialized)
		}
		if at == 4 && record.Copies(merged.Conflicting)[0] != without(mine.Serialized) {
			t.Errorf("copies %s, want mine", merged.Conflicting)
		}
	}
}

// A column that a row gets from a new schema is no change of its row, unless it has a
// value of its own.
func TestNewColumnsAreNoChanges(t *testing.T) {
	m := note(model.MergeFields)
	older := first(`{"title": "a", "modified": "2026-01-01T00:00:00Z"}`)
	filled := edited(t, m, older, "bbbbbbbb2", map[string]any{"title": "b", "modified": day(9)})
	valued := edited(t, m, older, "cccccccc3", map[string]any{"size": int64(8), "body": "b", "modified": day(2)})
	merged := record.RuleOf(m, nil).Merge(filled, valued, counter.Version{Instance: "x", Counter: 1})
	if !strings.Contains(merged.Serialized, `"title": "b"`) || !strings.Contains(merged.Serialized, `"body": "b", "size": 8`) {
		t.Errorf("merged to %s", merged.Serialized)
	}
}

// Where two peers made the same record, a value goes over none.
func TestValuesGoOverNull(t *testing.T) {
	a := first(`{"title": null, "body": "b", "size": 1}`)
	b := first(`{"title": "a", "body": null, "size": 1}`)
	b.Version = counter.Version{Instance: "bbbbbbbb2", Counter: 1}
	b.History = counter.Counters{"bbbbbbbb2": 1}
	merged := record.RuleOf(note(model.MergeFields), nil).Merge(a, b, counter.Version{Instance: "x", Counter: 1})
	if got := without(merged.Serialized); got != `{"title": "a", "body": "b", "size": 1}` {
		t.Errorf("merged to %s", got)
	}
}

// Saving a row that did not change leaves its text as it is.
func TestStampsChangeWithFieldsOnly(t *testing.T) {
	m := note(model.MergeFields)
	once := edited(t, m, first(firstText), "bbbbbbbb2", map[string]any{"title": "new"})
	if again := edited(t, m, once, "bbbbbbbb2", nil); again.Serialized != once.Serialized {
		t.Errorf("%s became %s", once.Serialized, again.Serialized)
	}
	if same := edited(t, m, first(firstText), "bbbbbbbb2", nil); strings.Contains(same.Serialized, "_morango") {
		t.Errorf("nothing changed, and the text is %s", same.Serialized)
	}
}

// Whatever stands under the stamps' key, fields are merged, and to the same by both.
func TestHostileStamps(t *testing.T) {
	rule := rules()["fields"]
	rapid.Check(t, func(t *rapid.T) {
		text := func(label string) record.Record {
			stamps := rapid.SampledFrom([]string{
				`{"of": "X", "base": "9223372036854775807 1099511627776 \ud800:-1", "since": {"title": "1 1 "}}`,
				`{"of": "X", "base": "-9223372036854775808 0 :", "since": {"nowhere": "9 9 9"}}`,
				`{"of": "X", "base": "1 -1 a:1"}`, `{"of": "X", "base": 5}`, `{"of": "X", "since": []}`,
				`{"of": "X", "base": "1 2 3 4"}`, `{"of": "X"}`, `[]`, `"x"`, `{}`, `{"of": {}}`,
			}).Draw(t, label+" stamps")
			fields := noteText(t, label)
			// The digest of these fields, as a record of a single version shows it.
			one := rule.Merge(record.Record{Serialized: fields}, record.Record{Serialized: "{}"}, here).Serialized
			_, of, _ := strings.Cut(one, `"of": "`)
			stamps = strings.ReplaceAll(stamps, "X", of[:16])
			r := version(t, label)
			r.HardDeleted, r.Serialized = false, strings.TrimSuffix(fields, "}")+`, "_morango_fields": `+stamps+"}"
			return r
		}
		a, b := text("mine"), text("theirs")
		ab, ba := rule.Merge(a, b, here), rule.Merge(b, a, there)
		if ab.Serialized != ba.Serialized || ab.Conflicting != ba.Conflicting {
			t.Fatalf("merged to\n%+v\nand\n%+v", ab, ba)
		}
		again := rule.Merge(ab, b, counter.Version{Instance: "x", Counter: 1})
		if again.Serialized != ab.Serialized {
			t.Fatalf("merged again to\n%s\nnot\n%s", again.Serialized, ab.Serialized)
		}
	})
}
