package counter_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/partition"
)

// known are the instances: few, so that both sides know the same ones.
func known() []string {
	return []string{strings.Repeat("a", 32), strings.Repeat("b", 32), strings.Repeat("0", 32)}
}

func instances() *rapid.Generator[string] { return rapid.SampledFrom(known()) }

func numbers() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(0, 5), rapid.Just(int64(counter.Greatest)))
}

// everyVersion yields all versions that claims of numbers can tell apart.
func everyVersion(yield func(counter.Version) bool) {
	for _, instance := range known() {
		for _, n := range []int64{1, 2, 3, 4, 5, 6, counter.Greatest} {
			if !yield(counter.Version{Instance: instance, Counter: n}) {
				return
			}
		}
	}
}

func counters() *rapid.Generator[counter.Counters] {
	return rapid.Custom(func(t *rapid.T) counter.Counters {
		return rapid.MapOf(instances(), numbers()).Draw(t, "counters")
	})
}

// prefixes are so few that they often begin with each other.
func prefixes() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "a:", "a:b", "a:b:c", "a:bc", "ab", "aÉ", "b"}),
		rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'b', ':', '%', 'É'}), 0, 4, -1),
	)
}

func claims() *rapid.Generator[counter.ByPartition] {
	return rapid.Custom(func(t *rapid.T) counter.ByPartition {
		return rapid.MapOfN(prefixes(), counters(), 0, 6).Draw(t, "claims")
	})
}

func filters() *rapid.Generator[partition.Filter] {
	return rapid.Custom(func(t *rapid.T) partition.Filter {
		return partition.Of(rapid.SliceOfN(prefixes(), 1, 3).Draw(t, "filter")...)
	})
}

func versions() *rapid.Generator[counter.Version] {
	return rapid.Custom(func(t *rapid.T) counter.Version {
		return counter.Version{Instance: instances().Draw(t, "instance"), Counter: max(1, numbers().Draw(t, "counter"))}
	})
}

// advertise returns the FSIC of a database with these claims for a filter: what is
// wider than a prefix of the filter goes into Super, what lies in the filter into
// Sub.
func advertise(held counter.ByPartition, filter partition.Filter) counter.FSIC {
	f := counter.FSIC{Super: counter.ByPartition{}, Sub: counter.ByPartition{}}
	for prefix, c := range held {
		if filter.Contains(prefix) {
			f.Sub[prefix] = c
		}
		for _, p := range filter.Prefixes() {
			if p != prefix && strings.HasPrefix(p, prefix) {
				f.Super[prefix] = c
			}
		}
	}
	return f
}

// What a database claims of the filter's partitions is what its FSIC says after it
// was reduced, sent and expanded: no more, no less.
func TestExpandedMeansWhatIsHeld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		held, filter := claims().Draw(t, "held"), filters().Draw(t, "filter")
		fsic := advertise(held, filter)
		whole, reduced := fsic.Expand(filter), fsic.Reduce().Expand(filter)
		again := counter.Expanded(reduced).Expand(filter)
		inside := append(filter.Prefixes(), rapid.SampledFrom(filter.Prefixes()).Draw(t, "prefix")+prefixes().Draw(t, "rest"))
		for prefix := range fsic.Sub {
			inside = append(inside, prefix)
		}
		for _, p := range inside {
			for v := range everyVersion {
				want := held.Covers(p, v)
				if whole.Covers(p, v) != want || reduced.Covers(p, v) != want || again.Covers(p, v) != want {
					t.Fatalf("%q at %v: held %v, expanded %v, reduced and expanded %v, advertised so %v",
						p, v, want, whole.Covers(p, v), reduced.Covers(p, v), again.Covers(p, v))
				}
			}
		}
		if err := fsic.Check(filter); err != nil {
			t.Fatal(err)
		}
		if err := counter.Expanded(reduced).Check(filter); err != nil {
			t.Fatal(err)
		}
	})
}

func TestReduceKeepsNothingTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := counter.FSIC{Super: claims().Draw(t, "super"), Sub: claims().Draw(t, "sub")}
		before := f.String()
		reduced := f.Reduce()
		if f.String() != before {
			t.Fatal("Reduce changed the FSIC")
		}
		if !reflect.DeepEqual(reduced.Reduce(), reduced) {
			t.Fatal("reducing again changes something")
		}
		for prefix, c := range reduced.Sub {
			for wider, w := range reduced.Sub {
				for instance, n := range c {
					if m, ok := w[instance]; ok && wider != prefix && strings.HasPrefix(prefix, wider) && n <= m {
						t.Fatalf("%q still claims %s at %d, %q at %d", prefix, instance, n, wider, m)
					}
				}
			}
		}
		if len(reduced.Sub) != len(f.Sub) || len(reduced.Super) != len(f.Super) {
			t.Fatal("a partition got lost")
		}
	})
}

// What the sender has and the receiver lacks lies above a lower bound of the
// difference: nothing that is missing stays unsent. And nothing is sent under a
// prefix that the receiver has seen there.
func TestDiffIsWhatIsMissing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sender, receiver := claims().Draw(t, "sender"), claims().Draw(t, "receiver")
		diff := counter.Diff(sender, receiver)
		partitions := append(slices.Collect(maps.Keys(sender)), prefixes().Draw(t, "partition"))
		for _, p := range partitions {
			for v := range everyVersion {
				if sender.Covers(p, v) && !receiver.Covers(p, v) && !sends(sender, diff, p, v) {
					t.Fatalf("%q at %v is not sent by %v", p, v, diff)
				}
				if bound, ok := diff[p][v.Instance]; ok && v.Counter > bound == receiver.Covers(p, v) {
					t.Fatalf("%q at %v: above %d is sent, seen is %v", p, v, bound, receiver.Covers(p, v))
				}
			}
		}
		if rest := counter.Diff(sender, receiver.Max(sender)); len(rest) > 0 {
			t.Fatalf("after the transfer %v is still to be sent", rest)
		}
	})
}

// sends says whether a record of the partition, last saved so, lies above a lower
// bound and at or below what the sender has.
func sends(sender, diff counter.ByPartition, partition string, v counter.Version) bool {
	for prefix, lower := range diff {
		bound, ok := lower[v.Instance]
		if ok && strings.HasPrefix(partition, prefix) && v.Counter > bound && v.Counter <= sender[prefix][v.Instance] {
			return true
		}
	}
	return false
}

func TestDiffLegacyMissesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sender, receiver := counters().Draw(t, "sender"), counters().Draw(t, "receiver")
		v := versions().Draw(t, "version")
		bound, ok := counter.DiffLegacy(sender, receiver)[v.Instance]
		if sent := ok && v.Counter > bound; sender.Has(v) && sent == receiver.Has(v) {
			t.Fatalf("%v: sent %v, receiver has it %v", v, sent, receiver.Has(v))
		}
		if rest := counter.DiffLegacy(sender, receiver.Max(sender)); len(rest) > 0 {
			t.Fatalf("after the transfer %v is still to be sent", rest)
		}
	})
}

// A legacy claim says the same under each prefix of the filter, and nothing beyond.
func TestLegacyExpandsToEachPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, filter := counter.FSIC{Legacy: counters().Draw(t, "claim")}, filters().Draw(t, "filter")
		expanded := f.Expand(filter)
		p, v := prefixes().Draw(t, "partition"), versions().Draw(t, "version")
		if want := filter.Contains(p) && f.Legacy.Has(v); expanded.Covers(p, v) != want {
			t.Fatalf("%q at %v: %v", p, v, !want)
		}
	})
}

func TestMaxIsALattice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := claims().Draw(t, "a"), claims().Draw(t, "b"), claims().Draw(t, "c")
		ab := a.Max(b)
		if !reflect.DeepEqual(ab, b.Max(a)) {
			t.Fatal("not commutative")
		}
		if !reflect.DeepEqual(ab.Max(c), a.Max(b.Max(c))) {
			t.Fatal("not associative")
		}
		if !reflect.DeepEqual(a.Max(a), a) || !reflect.DeepEqual(ab.Max(a), ab) {
			t.Fatal("not idempotent")
		}
		p, v := prefixes().Draw(t, "partition"), versions().Draw(t, "version")
		if ab.Covers(p, v) != (a.Covers(p, v) || b.Covers(p, v)) {
			t.Fatalf("%q at %v: the maximum covers it: %v", p, v, ab.Covers(p, v))
		}
		if a.Covers(p, v) && !a.Covers(p+"x", v) {
			t.Fatal("a claim does not hold below its prefix")
		}
	})
}

// Nobody who gets a claim can change another's through it.
func TestResultsShareNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := counter.FSIC{Super: claims().Draw(t, "super"), Sub: claims().Draw(t, "sub")}
		filter, before := filters().Draw(t, "filter"), f.String()
		for _, result := range []counter.ByPartition{f.Expand(filter), f.Sub.Max(f.Super), f.Reduce().Sub, f.Reduce().Super} {
			for _, c := range result {
				c["changed"] = 1
			}
		}
		if f.String() != before {
			t.Fatalf("the FSIC became %s", f)
		}
	})
}

func TestChunksTogetherAreTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, size := claims().Draw(t, "claims"), rapid.IntRange(1, 9).Draw(t, "size")
		whole := counter.ByPartition{}
		for _, part := range counter.Chunk(b, size) {
			n := len(part)
			for _, c := range part {
				n += len(c)
			}
			if n > max(size, 2) || n < 2 {
				t.Fatalf("part of %d where %d is the size", n, size)
			}
			whole = whole.Max(part)
		}
		maps.DeleteFunc(b, func(_ string, c counter.Counters) bool { return len(c) == 0 })
		if !reflect.DeepEqual(whole, b) {
			t.Fatalf("the parts are %v", whole)
		}
	})
}

func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := counter.FSIC{Super: claims().Draw(t, "super"), Sub: claims().Draw(t, "sub")}
		if rapid.Bool().Draw(t, "legacy") {
			f = counter.FSIC{Legacy: counters().Draw(t, "legacy counters")}
		}
		again, err := counter.Parse([]byte(f.String()))
		if err != nil || !reflect.DeepEqual(again, f) {
			t.Fatalf("%s reads as %v (%v)", f, again, err)
		}
	})
}
