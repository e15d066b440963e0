package store_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store"
)

// given is the input of a case.
type given struct {
	Op       string
	Filter   []string
	Producer bool `json:"is_producer"`
	V2       bool `json:"v2_format"`
	FSIC     json.RawMessage
	State    map[string]json.RawMessage
}

// state is what the spec needs of the tables.
type state struct {
	Store []struct {
		ID, Partition string
		Saver         string `json:"last_saved_instance"`
	}
	RMC []struct {
		Record   string `json:"store_model_id"`
		Instance string `json:"instance_id"`
	}
	DMC []claim
}

type claim struct {
	Instance  string `json:"instance_id"`
	Partition string
	Counter   int64
}

func TestConformanceFSICInTheDatabase(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tables.Env(t, d)
		conformance.Run(t, "fsic_db", func(t *conformance.T, c conformance.Case) {
			var in given
			t.Decode(c.Input, &in)
			var before state
			for name, into := range map[string]any{"store": &before.Store, "rmc": &before.RMC, "dmc": &before.DMC} {
				t.Decode(in.State[name], into)
			}
			var out struct{ OK json.RawMessage }
			t.Decode(c.Expected, &out)
			tables.Load(t, d, 0, in.State)
			if in.Op == "calculate" {
				checkCalculate(t, d, in, before, out.OK)
			} else {
				checkUpdate(t, d, in, before, out.OK)
			}
		})
	})
}

func checkCalculate(t *conformance.T, d *db.DB, in given, before state, want json.RawMessage) {
	var got counter.FSIC
	err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		got, err = store.FSIC(t.Context(), tx, partition.Of(in.Filter...), in.Producer, in.V2)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	checkLong(t, d, in, before, got)
	minimum := false
	own, reference := before.fsic(in, strings.HasPrefix, strings.HasPrefix), before.fsic(in, foldedPrefix, like)
	if !in.V2 {
		own = counter.FSIC{Legacy: before.underEvery(in.Filter, strings.HasPrefix, false)}
		reference = counter.FSIC{Legacy: before.underEvery(in.Filter, like, in.Producer)}
		exact := counter.FSIC{Legacy: before.underEvery(in.Filter, like, false)}
		if exact.String() != reference.String() {
			t.Deviates(25)
			minimum, reference = true, exact
		}
	}
	t.Equal("FSIC", got, own)
	if own.String() != reference.String() { // some partition matched as a pattern, not as a prefix
		t.Deviates(1)
	}
	if !minimum {
		t.EqualJSON("what the reference's patterns find", reference, want)
	}
}

// checkLong holds what is claimed where there are more rows than are read: all that is
// claimed otherwise, and of the claims in the database besides only such as an index does
// not rule out.
func checkLong(t *conformance.T, d *db.DB, in given, before state, short counter.FSIC) {
	filter, indexed := partition.Of(in.Filter...), false
	var long counter.FSIC
	err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		if indexed, err = tx.HasIndex(t.Context(), "morango_store_last_saved"); err != nil {
			return err
		}
		long, err = store.FSICBy(t.Context(), tx, filter, in.Producer, in.V2, -1)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !in.V2 {
		t.Equal("FSIC of many rows", long, short)
		return
	}
	all := long.Expand(filter)
	for prefix, counters := range short.Expand(filter) {
		for instance, n := range counters {
			t.True(all.Covers(prefix, counter.Version{Instance: instance, Counter: n}), "of many rows %s at %q is not claimed", instance, prefix)
		}
	}
	for _, side := range []counter.ByPartition{long.Super, long.Sub} {
		for prefix, counters := range side {
			for instance, n := range counters {
				t.True(slices.Contains(before.DMC, claim{instance, prefix, n}), "of many rows %s at %q is claimed", instance, prefix)
				saves := state{Store: before.Store}.carries(claim{instance, "", n}, true, strings.HasPrefix)
				t.True(saves || !in.Producer || !indexed, "of many rows %s, which saved none, is claimed", instance)
			}
		}
	}
}

// like is what SQLite makes of text LIKE pattern || '%'.
func like(text, pattern string) bool {
	if pattern == "" {
		return true
	}
	switch first := pattern[0]; {
	case first == '%':
		return like(text, pattern[1:]) || text != "" && like(text[1:], pattern)
	case text == "":
		return false
	case first == '_':
		runes := []rune(text)
		return like(string(runes[1:]), pattern[1:])
	default:
		return lower(text[:1]) == lower(pattern[:1]) && like(text[1:], pattern[1:])
	}
}

// foldedPrefix is what SQLite makes of a pattern with its special characters escaped.
func foldedPrefix(text, prefix string) bool {
	return len(text) >= len(prefix) && lower(text[:len(prefix)]) == lower(prefix)
}

// lower folds ASCII letters only, byte by byte.
func lower(text string) string {
	folded := []byte(text)
	for i, b := range folded {
		if b >= 'A' && b <= 'Z' {
			folded[i] = b + 'a' - 'A'
		}
	}
	return string(folded)
}

// underEvery is the first form by its definition.
func (s state) underEvery(filter []string, begins func(text, prefix string) bool, highest bool) counter.Counters {
	all := counter.Counters{}
	for i, prefix := range filter {
		here := counter.Counters{}
		for _, c := range s.DMC {
			if begins(prefix, c.Partition) {
				here = here.Max(counter.Counters{c.Instance: c.Counter})
			}
		}
		if i == 0 || highest {
			all = all.Max(here)
			continue
		}
		for instance := range all {
			if n, ok := here[instance]; ok {
				all[instance] = min(n, all[instance])
			} else {
				delete(all, instance)
			}
		}
	}
	return all
}

// fsic is the second form by its definition. under and above say what it means that
// a text lies under a prefix, or that a prefix lies above it.
func (s state) fsic(in given, under, above func(text, prefix string) bool) counter.FSIC {
	f := counter.FSIC{Super: counter.ByPartition{}, Sub: counter.ByPartition{}}
	add := func(to counter.ByPartition, c claim) {
		if to[c.Partition] == nil {
			to[c.Partition] = counter.Counters{}
		}
		to[c.Partition][c.Instance] = c.Counter
	}
	for _, c := range s.DMC {
		if !s.carries(c, in.Producer, under) {
			continue
		}
		if slices.ContainsFunc(in.Filter, func(p string) bool { return under(c.Partition, p) }) {
			add(f.Sub, c)
		}
		if slices.ContainsFunc(in.Filter, func(p string) bool { return p != c.Partition && above(p, c.Partition) }) {
			add(f.Super, c)
		}
	}
	return f.Reduce()
}

// carries says whether a row under the claim names its instance.
func (s state) carries(c claim, producer bool, begins func(text, prefix string) bool) bool {
	for _, row := range s.Store {
		if !begins(row.Partition, c.Partition) {
			continue
		}
		if producer && row.Saver == c.Instance {
			return true
		}
		for _, r := range s.RMC {
			if !producer && r.Record == row.ID && r.Instance == c.Instance {
				return true
			}
		}
	}
	return false
}

func checkUpdate(t *conformance.T, d *db.DB, in given, before state, recorded json.RawMessage) {
	filter := partition.Of(in.Filter...)
	f, err := counter.Parse(in.FSIC)
	if err != nil {
		t.Fatal(err)
	}
	if f.Check(filter) != nil { // refused when it arrives: nothing changes
		t.Deviates(3)
		t.EqualRows("dmc", tables.Dump(t, d, "dmc"), in.State["dmc"])
		return
	}
	tables.Write(t, d, func(tx *db.Tx) error {
		own, err := store.OwnInstances(t.Context(), tx)
		if err != nil {
			return err
		}
		return store.Claim(t.Context(), tx, f.Expand(filter), own)
	})
	var out struct{ DMC []claim }
	t.Decode(recorded, &out)
	want, got := claims(out.DMC), read(t, d)
	for _, c := range before.DMC {
		if want[c.Partition][c.Instance] < c.Counter {
			t.Deviates(2)
			want[c.Partition][c.Instance] = c.Counter
		}
	}
	for prefix, counters := range f.Expand(filter) {
		for instance, n := range counters {
			if held(want, prefix, instance) < n {
				t.Deviates(21)
				want = want.Max(counter.ByPartition{prefix: {instance: n}})
			}
		}
	}
	checkClaims(t, got, want)
}

// checkClaims holds claims against the wanted ones. What they say under each
// partition must be the same; but a claim of 0, or one that a wider one includes, is
// not written.
func checkClaims(t *conformance.T, got, want counter.ByPartition) {
	for prefix, counters := range got.Max(want) {
		for instance := range counters {
			t.Equal("claim on "+prefix+" of "+instance, held(got, prefix, instance), held(want, prefix, instance))
		}
	}
	for prefix, counters := range got {
		for instance, n := range counters {
			t.True(n <= want[prefix][instance], "claim on %s of %s up to %d is nobody's", prefix, instance, n)
		}
	}
	t.True(true, "nothing is claimed")
}

func held(claims counter.ByPartition, prefix, instance string) int64 {
	var highest int64
	for wide, counters := range claims {
		if strings.HasPrefix(prefix, wide) {
			highest = max(highest, counters[instance])
		}
	}
	return highest
}

func claims(rows []claim) counter.ByPartition {
	all := counter.ByPartition{}
	for _, c := range rows {
		if all[c.Partition] == nil {
			all[c.Partition] = counter.Counters{}
		}
		all[c.Partition][c.Instance] = c.Counter
	}
	return all
}

// read returns the claims in the database.
func read(t testing.TB, d *db.DB) counter.ByPartition {
	var rows []claim
	text, err := json.Marshal(tables.Dump(t, d, "dmc"))
	if err == nil {
		err = json.Unmarshal(text, &rows)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims(rows)
}
