package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/wire"
)

// The forms of what no two runs share.
var (
	timeForm      = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$`)
	signatureForm = regexp.MustCompile(`^[A-Za-z0-9+/]{342}==$`)
	idForm        = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// sameValue compares a decoded body with the recorded one.
func (r *replay) sameValue(what string, want, got any) {
	r.Helper()
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			r.True(false, "%s: %v is no object", what, got)
			return
		}
		r.sameObject(what, want, got)
	case []any:
		got, ok := got.([]any)
		if !ok {
			r.True(false, "%s: %v is no list", what, got)
			return
		}
		r.sameList(what, want, got)
	default:
		r.Equal(what, got, want)
	}
}

// sameList compares lists, which are sets: records, certificates, histories and
// capabilities, of which we have some more.
func (r *replay) sameList(what string, want, got []any) {
	r.Helper()
	got = slices.DeleteFunc(got, func(v any) bool {
		return slices.Contains([]any{string(wire.MoranGo), string(wire.Stream1), string(wire.PartitionDigests)}, v)
	})
	if len(want) == 1 && len(got) == 1 {
		_, wantText := want[0].(string)
		_, gotText := got[0].(string)
		if wantText && gotText && strings.Contains(what, "POST") {
			r.asSaid(what) // the reason of a refusal, in other words
			return
		}
	}
	byKey := map[string]any{}
	for _, v := range got {
		byKey[key(v)] = v
	}
	r.Equal(what+": elements of the list, each once", len(byKey), len(got))
	missing := len(got) - len(want)
	for _, v := range want {
		other, ok := byKey[key(v)]
		if !ok {
			r.True(false, "%s: %s is not in the list", what, key(v))
			continue
		}
		delete(byKey, key(v))
		r.sameValue(what+"["+key(v)+"]", v, other)
	}
	for _, v := range byKey {
		r.True(missing > 0 && r.onlyOurs(v), "%s: %v was not recorded", what, v)
	}
}

// asSaid counts an assertion made by pattern alone.
func (r *replay) asSaid(what string) { r.True(true, "%s", what) }

// key names an element of a set.
func key(v any) string {
	if object, ok := v.(map[string]any); ok {
		for _, name := range []string{"instance_id", "model_uuid", "public_key"} {
			if text, ok := object[name].(string); ok {
				return text
			}
		}
	}
	return fmt.Sprint(v)
}

// sameObject compares objects field by field.
func (r *replay) sameObject(what string, want, got map[string]any) {
	r.Helper()
	r.Equal(what+": fields", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	for name, w := range want {
		g := got[name]
		at := what + "." + name
		switch {
		case cmp.Equal(w, g):
			r.asSaid(at)
		case r.byForm(name, want, w, g):
			r.asSaid(at)
		case name == "server_fsic":
			r.sameClaim(at, want, fmt.Sprint(w), fmt.Sprint(g))
		case name == "last_saved_counter":
			r.sameCounter(at, fmt.Sprint(want["last_saved_instance"]), w, g)
		case name == "counter" && want["instance_id"] != nil:
			r.sameCounter(at, fmt.Sprint(want["instance_id"]), w, g)
		case name == "count" || name == "records_total" || name == "records_transferred":
			r.sameCount(at, want, w, g)
		default:
			r.sameValue(at, w, g)
		}
	}
}

// byForm reports whether a field is one whose values no two runs share, and both
// values have its form.
func (r *replay) byForm(name string, object map[string]any, want, got any) bool {
	w, _ := want.(string)
	g, ok := got.(string)
	if !ok {
		return false
	}
	both := func(form *regexp.Regexp) bool { return form.MatchString(w) && form.MatchString(g) }
	salt, isCertificate := object["salt"]
	_, isNonce := object["ip"]
	switch {
	case name == "signature":
		return both(signatureForm)
	case strings.HasSuffix(name, "timestamp"):
		return both(timeForm)
	case name == "id" && isNonce, isCertificate && salt != "" && (name == "id" || name == "salt"):
		return both(idForm)
	case isCertificate && salt != "" && name == "serialized":
		return serializedForm.ReplaceAllString(w, "") == serializedForm.ReplaceAllString(g, "")
	case name == "error_message":
		return true
	case name == "detail":
		return strings.HasPrefix(w, "JSON parse error - ") && strings.HasPrefix(g, "JSON parse error - ")
	case name == "next", name == "previous":
		_, w, _ = strings.Cut(w, "/api/")
		_, g, _ = strings.Cut(g, "/api/")
		return w == g && w != ""
	}
	return false
}

// serializedForm is what differs in the text of a certificate of another salt.
var serializedForm = regexp.MustCompile(`"(id|salt)": ?"[0-9a-f]{32}"`)

// sameCounter compares the counters of a record. The reference's own rise also when
// nothing is stamped (rules 9 and 10), so ours may be lower, but one of the
// reference's is always one of ours.
func (r *replay) sameCounter(what, instance string, want, got any) {
	r.Helper()
	w, g := whole(want), whole(got)
	if w == g || instance != r.peer.state.Own() || g > w {
		r.Equal(what, g, w)
		return
	}
	r.Deviates(10)
	before, known := r.stamped[w]
	r.True(!known || before == g, "%s: rule 10: the reference's counter %d is %d here and %d elsewhere", what, w, g, before)
	r.True(g > r.firstCounter(), "%s: rule 10: %d is a counter from before", what, g)
	r.stamped[w] = g
}

// firstCounter is the server's counter when the scenario began.
func (r *replay) firstCounter() int64 {
	instances := r.peer.state["morango_instanceidmodel"].ByColumns()
	return whole(instances[0]["counter"])
}

// whole is a number of JSON or of a database.
func whole(v any) int64 {
	n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
	if err != nil {
		return -1 << 62
	}
	return n
}

// sameCount compares numbers of records, under rules 17 to 19 (records that only one
// of us took) and 22 (records that only we send).
func (r *replay) sameCount(what string, object map[string]any, want, got any) {
	r.Helper()
	id, _ := object["id"].(string)
	w := whole(want)
	switch {
	case strings.HasSuffix(what, "records_transferred") && r.taken[id] != 0:
		w += r.taken[id]
	case want == nil:
		r.Equal(what, got, nil)
		return
	case w < 0: // rule 18: no negative total
		r.Deviates(18)
		w = announced
	case r.extra > 0 && w == r.total:
		r.Deviates(22)
		w += r.extra
	}
	r.Equal(what, whole(got), w)
}

// sameClaim compares what the server advertises: the same for every partition under
// the filter, but for the counter of its own instance, which the reference raises
// also when nothing is stamped (rules 9 and 10). A pulling client gets it expanded
// (rule 26).
func (r *replay) sameClaim(what string, object map[string]any, recorded, ours string) {
	r.Helper()
	want, err := counter.Parse([]byte(recorded))
	if err != nil {
		r.Fatal(err)
	}
	got, err := counter.Parse([]byte(ours))
	if err != nil {
		r.True(false, "%s: %v", what, err)
		return
	}
	r.Equal(what+": in the legacy form", got.IsLegacy(), want.IsLegacy())
	filter := partition.Parse(fmt.Sprint(object["filter"]))
	if object["push"] == false && !want.IsLegacy() {
		expanded := counter.Expanded(want.Expand(filter)).String()
		if expanded != want.String() {
			r.Deviates(26)
		}
		r.True(len(got.Super) == 0, "%s: rule 26: %s is not expanded", what, ours)
	}
	theirs, mine := want.Expand(filter), got.Expand(filter)
	r.Equal(what+": partitions", slices.Sorted(maps.Keys(mine)), slices.Sorted(maps.Keys(theirs)))
	for prefix, counters := range theirs {
		r.Equal(what+": instances of "+prefix, slices.Sorted(maps.Keys(mine[prefix])), slices.Sorted(maps.Keys(counters)))
		for instance, n := range counters {
			r.sameClaimed(what+" of "+prefix, instance, prefix, n, mine[prefix][instance])
		}
	}
}

// sameClaimed compares one counter that the server claims. A lower one of its own must
// cover everything that it stamped.
func (r *replay) sameClaimed(what, instance, prefix string, want, got int64) {
	r.Helper()
	if want == got || instance != r.peer.state.Own() || got > want {
		r.Equal(what+" and "+instance, got, want)
		return
	}
	r.Deviates(10)
	r.True(got >= r.highest(prefix), "%s: rule 10: %d claimed where %d is stamped", what, got, r.highest(prefix))
	r.True(got <= r.ownCounter(), "%s: rule 10: %d claimed by an instance at %d", what, got, r.ownCounter())
}

// equalJSON reports whether two texts hold the same JSON.
func equalJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && cmp.Equal(x, y)
}
