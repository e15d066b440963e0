package deserialize

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/partition"
)

// Whatever the store holds, a run ends without an error, in the state that the
// rules say, also when everything is done in the smallest pieces; and what it
// wrote was not captured as a change of the application's.
func TestRunDoesWhatTheRulesSay(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		t.Parallel()
		env := newEnv(t, d, testProfile(t))
		rapid.Check(t, func(rt *rapid.T) {
			circles := rapid.IntRange(0, 3).Draw(rt, "circles") == 0
			in := drawVector(rt, circles)
			replace(t, d, in.State)
			r := newRun(env, partition.Of(in.Filter...), Options{SkipErroring: in.SkipErroring}, nil)
			if rapid.Bool().Draw(rt, "small pieces") {
				r.limits = limits{list: 3, batch: 2, text: 600, page: 2, window: 3, cascade: 1, depth: 2}
				if circles {
					r.limits.depth = people // a circle is only known within this depth
				}
			}
			if err := r.all(t.Context()); err != nil {
				rt.Fatal(err)
			}
			want, counts := expect(env.Profile, in)
			if diff := cmp.Diff(normal(t, want), normal(t, get(t, d))); diff != "" {
				rt.Fatalf("state (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(counts, r.report()); diff != "" {
				rt.Fatalf("report (-want +got):\n%s", diff)
			}
		})
	})
}

const people = 6 // ids per model

func drawID(rt *rapid.T, kind byte) string {
	return fmt.Sprintf("%c%031d", kind, rapid.IntRange(0, people-1).Draw(rt, "id"))
}

// drawVector draws application rows that keep their foreign keys, and store rows
// that need not make sense.
func drawVector(rt *rapid.T, circles bool) vector {
	v := vector{State: state{}}
	v.SkipErroring = rapid.IntRange(0, 3).Draw(rt, "skip") == 0
	if rapid.Bool().Draw(rt, "filtered") {
		v.Filter = []string{"p"}
	}
	s := v.State
	some := func(kind byte) []string {
		return rapid.SliceOfNDistinct(rapid.Custom(func(rt *rapid.T) string { return drawID(rt, kind) }), 0, people,
			func(id string) string { return id }).Draw(rt, "ids")
	}
	flag := func(name string) bool { return rapid.IntRange(0, 5).Draw(rt, name) == 0 }
	app := func(id string, more tableRow) tableRow {
		more["id"], more["_morango_source_id"], more["_morango_partition"] = id, "source", "p"
		more["_morango_dirty_bit"] = flag("edited")
		return more
	}
	facilities, users := some('a'), some('b')
	for i, id := range facilities {
		row := app(id, tableRow{"name": "old", "now_date": "2020-01-02 03:04:05", "parent_id": nil})
		if up := rapid.IntRange(0, len(facilities)-1).Draw(rt, "parent"); up < i || circles && flag("circle") {
			row["parent_id"] = facilities[up]
		}
		s["facility"] = append(s["facility"], row)
	}
	for i, id := range users {
		s["user"] = append(s["user"], app(id, tableRow{"username": fmt.Sprintf("name %d", i), "password": "x", "last_login": nil,
			"is_staff": false, "is_superuser": false}))
	}
	for table, kind := range map[string]byte{"contentsummarylog": 'c', "contentinteractionlog": 'd'} {
		for _, id := range some(kind) {
			if len(users) > 0 {
				s[table] = append(s[table], app(id, tableRow{"content_id": noRandom, "user_id": rapid.SampledFrom(users).Draw(rt, "user")}))
			}
		}
	}
	for i, table := range tableOrder[:4] {
		for _, id := range some("abcd"[i]) {
			s["store"] = append(s["store"], drawStored(rt, table, id))
			if flag("deletion waits") {
				s["deleted_models"] = append(s["deleted_models"], tableRow{"id": id, "profile": "facilitydata"})
			}
		}
	}
	return v
}

// drawStored draws a store row: mostly one that fits, at times anything.
func drawStored(rt *rapid.T, table, id string) tableRow {
	flag := func(name string, oneIn int) bool { return rapid.IntRange(1, oneIn).Draw(rt, name) == 1 }
	parent := ""
	if !flag("root", 3) {
		parent = drawID(rt, 'a')
	}
	fields := map[string]any{"id": id, "_morango_source_id": "source", "_morango_partition": "p"}
	selfRef := ""
	switch table {
	case "facility":
		fields["name"], fields["parent_id"], selfRef = "new", nil, parent
		if parent != "" {
			fields["parent_id"] = parent
		}
	case "user":
		fields["username"], fields["password"] = fmt.Sprintf("name %d", rapid.IntRange(0, people).Draw(rt, "name")), "y"
	default:
		fields["user_id"] = drawID(rt, 'b')
	}
	text, err := json.Marshal(fields)
	if err != nil {
		rt.Fatal(err)
	}
	serialized := string(text)
	if flag("anything", 8) {
		serialized = rapid.OneOf(storableText(), rapid.SampledFrom([]string{"", "{}", "null", "[]", "{\"id\": 1}", "[[", "{\"name\": []}"})).Draw(rt, "text")
	}
	row := tableRow{"id": id, "profile": "facilitydata", "model_name": table, "partition": "p", "source_id": "source",
		"serialized": serialized, "conflicting_serialized_data": "", "deleted": flag("deleted", 4), "hard_deleted": false,
		"last_saved_instance": noRandom, "last_saved_counter": 1, "dirty_bit": !flag("clean", 4), "_self_ref_fk": selfRef,
		"deserialization_error": "", "last_transfer_session_id": nil}
	switch {
	case flag("other profile", 20):
		row["profile"] = "other"
	case flag("other model", 20):
		row["model_name"] = "unknown"
	case flag("elsewhere", 8):
		row["partition"] = "q"
	}
	if flag("earlier error", 8) {
		row["deserialization_error"] = "earlier"
	}
	row["hard_deleted"] = row["deleted"] == true && flag("hard", 2)
	return row
}

// storableText is any text that a database can hold: PostgreSQL refuses NUL, and records
// with it are refused when they arrive.
func storableText() *rapid.Generator[string] {
	return rapid.Map(rapid.String(), func(s string) string { return strings.ReplaceAll(s, "\x00", "") })
}
