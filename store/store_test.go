package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store"
)

func id(kind string, n int) string { return fmt.Sprintf("%s%0*d", kind, 32-len(kind), n) }

var machine = store.Machine{
	SystemID: "system", NodeID: "node", Platform: "Linux", Hostname: "school", SysVersion: "go", DBPath: "/school.db",
}

// The instance stays the same on one machine, changes with the machine, and comes
// back, with its counter, when the machine does.
func TestCurrentInstanceFollowsTheMachine(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		current := func(m store.Machine) (i store.Instance) {
			tables.Write(t, d, func(tx *db.Tx) (err error) {
				i, err = store.CurrentInstance(t.Context(), tx, m, func() string { return id("d", 1) })
				return err
			})
			return i
		}
		first := current(machine)
		want := store.Instance{
			ID: ident.Instance(id("d", 1), "system", "node"), DatabaseID: id("d", 1), SystemID: "system", NodeID: "node",
			Platform: "Linux", Hostname: "school", SysVersion: "go", DBPath: "/school.db",
		}
		if diff := cmp.Diff(want, first); diff != "" {
			t.Errorf("first instance (-want +got): %s", diff)
		}
		tables.Write(t, d, func(tx *db.Tx) error {
			_, err := store.NextCounter(t.Context(), tx, first.ID)
			return err
		})
		moved := machine
		moved.NodeID, moved.Hostname = "other", "elsewhere"
		if other := current(moved); other.ID == first.ID || other.Counter != 0 || other.DatabaseID != first.DatabaseID {
			t.Errorf("on another machine: %+v", other)
		}
		renamed := machine
		renamed.Hostname = "renamed"
		back := current(renamed)
		want.Hostname, want.Counter = "renamed", 1
		if diff := cmp.Diff(want, back); diff != "" {
			t.Errorf("back again (-want +got): %s", diff)
		}
		var marked int
		tables.Write(t, d, func(tx *db.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT COUNT(*) FROM morango_instanceidmodel WHERE current`).Scan(&marked)
		})
		if marked != 1 {
			t.Errorf("%d instances are current", marked)
		}
	})
}

// An instance that did not change is read without writing: also where nothing may be
// written.
func TestCurrentInstanceWritesNothingTwice(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		find := func(tx *db.Tx) error {
			_, err := store.CurrentInstance(t.Context(), tx, machine, func() string { return id("d", 1) })
			return err
		}
		tables.Write(t, d, find)
		if err := d.Read(t.Context(), find); err != nil {
			t.Error(err)
		}
	})
}

func TestCurrentInstanceRefusesABadID(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := store.CurrentInstance(t.Context(), tx, machine, func() string { return "" })
			return err
		})
		if err == nil {
			t.Error("an empty database id is taken")
		}
	})
}

// No two transactions ever get the same counter.
func TestNextCounterIsUnique(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tables.Env(t, d)
		tables.Load(t, d, 0, nil)
		var mu sync.Mutex
		seen := map[int64]bool{}
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				for range 10 {
					var n int64
					err := d.Write(t.Context(), func(tx *db.Tx) (err error) {
						n, err = store.NextCounter(t.Context(), tx, tables.Instance())
						return err
					})
					mu.Lock()
					if err != nil || seen[n] {
						t.Errorf("counter %d: %v", n, err)
					}
					seen[n] = true
					mu.Unlock()
				}
			})
		}
		wait.Wait()
		if n := tables.Counter(t, d); n != 40 {
			t.Errorf("the counter is %d, want 40", n)
		}
	})
}

func TestNextCounterEnds(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tables.Env(t, d)
		tables.Load(t, d, counter.Greatest, nil)
		next := func(instance string) error {
			return d.Write(t.Context(), func(tx *db.Tx) error {
				_, err := store.NextCounter(t.Context(), tx, instance)
				return err
			})
		}
		if err := next(tables.Instance()); !errors.Is(err, store.ErrCounterSpent) {
			t.Errorf("above the greatest counter: %v", err)
		}
		if err := next(id("a", 1)); err == nil || errors.Is(err, store.ErrCounterSpent) {
			t.Errorf("of an unknown instance: %v", err)
		}
	})
}

// claimAll stores claims.
func claimAll(t *testing.T, d *db.DB, claims counter.ByPartition) {
	t.Helper()
	tables.Write(t, d, func(tx *db.Tx) error {
		own, err := store.OwnInstances(t.Context(), tx)
		if err != nil {
			return err
		}
		return store.Claim(t.Context(), tx, claims, own)
	})
}

// Whatever is claimed in whatever order: nothing falls, everything possible holds
// afterwards, nothing else does, and a second time nothing is written.
func TestClaimsOnlyRise(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tables.Env(t, d)
		claims := rapid.MapOfN(rapid.SampledFrom([]string{"", "p", "p:a", "p:ab", "q", "%", "é"}),
			rapid.MapOfN(rapid.SampledFrom([]string{id("a", 1), id("a", 2), tables.Instance()}), rapid.Int64Range(0, 9), 0, 3), 0, 4)
		rapid.Check(t, func(r *rapid.T) {
			tables.Load(t, d, 7, nil)
			want := counter.ByPartition{}
			for range rapid.IntRange(1, 3).Draw(r, "rounds") {
				round := counter.ByPartition{}
				for prefix, counters := range claims.Draw(r, "claims") {
					round[prefix] = counters
					for instance, n := range counters {
						if instance != tables.Instance() || n <= 7 {
							want = want.Max(counter.ByPartition{prefix: {instance: n}})
						}
					}
				}
				claimAll(t, d, round)
				once := read(t, d)
				claimAll(t, d, round)
				if diff := cmp.Diff(once, read(t, d)); diff != "" {
					r.Errorf("the same claims again changed: %s", diff)
				}
			}
			got := read(t, d)
			for prefix, counters := range want.Max(got) {
				for instance := range counters {
					if g, w := held(got, prefix, instance), held(want, prefix, instance); g != w {
						r.Errorf("claim on %q of %s is %d, want %d", prefix, instance, g, w)
					}
				}
			}
			for prefix, counters := range got {
				for instance, n := range counters {
					if n == 0 {
						r.Errorf("a claim of 0 on %q of %s", prefix, instance)
					}
				}
			}
		})
	})
}

// A wider claim makes a narrower one unnecessary; many partitions and very long ones
// are no trouble.
func TestClaimWritesNoMoreThanNeeded(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tables.Env(t, d)
		tables.Load(t, d, 7, nil)
		long := strings.Repeat("é", 200)
		many := counter.ByPartition{"p": {id("a", 1): 5}, long: {id("a", 1): 9}, "p:wide": {id("a", 1): 6}}
		for n := range 250 {
			many[fmt.Sprintf("p:%d", n)] = counter.Counters{id("a", 1): 5}
		}
		claimAll(t, d, many)
		want := counter.ByPartition{"p": {id("a", 1): 5}, "p:wide": {id("a", 1): 6}}
		if diff := cmp.Diff(want, read(t, d)); diff != "" {
			t.Errorf("claims (-want +got): %s", diff)
		}
	})
}

// OwnClaimed says whether ClaimOwn has nothing to write.
func TestOwnClaimed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tables.Env(t, d)
		tables.Load(t, d, 7, nil)
		claimed := func(prefixes ...string) (all bool) {
			tables.Write(t, d, func(tx *db.Tx) (err error) {
				all, err = store.OwnClaimed(t.Context(), tx, partition.Of(prefixes...))
				return err
			})
			return all
		}
		claim := func(prefixes ...string) {
			tables.Write(t, d, func(tx *db.Tx) error { return store.ClaimOwn(t.Context(), tx, partition.Of(prefixes...)) })
		}
		long := strings.Repeat("é", 200) // a claim on it cannot be stored
		claim("p")
		for _, c := range []struct {
			prefixes []string
			want     bool
		}{{[]string{"p"}, true}, {[]string{"p:narrow", long}, true}, {[]string{"p", "q"}, false}, {nil, false}} {
			if got := claimed(c.prefixes...); got != c.want {
				t.Errorf("%q is claimed: %v, want %v", c.prefixes, got, c.want)
			}
		}
		tables.Write(t, d, func(tx *db.Tx) error {
			_, err := store.NextCounter(t.Context(), tx, tables.Instance())
			return err
		})
		if claimed("p") {
			t.Error("a counter that has risen since is claimed")
		}
		if claim(); !claimed() {
			t.Error("everything is claimed, and it says no")
		}
	})
}

// ClaimOwn claims every instance that this database used, under every prefix.
func TestClaimOwn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tables.Env(t, d)
		for _, c := range []struct {
			filter partition.Filter
			want   counter.ByPartition
		}{
			{partition.Filter{}, counter.ByPartition{"": {tables.Instance(): 7}}},
			{partition.Of("p", "q"), counter.ByPartition{"p": {tables.Instance(): 7}, "q": {tables.Instance(): 7}}},
		} {
			tables.Load(t, d, 7, nil)
			tables.Write(t, d, func(tx *db.Tx) error {
				moved := machine
				moved.NodeID = "other"
				if _, err := store.CurrentInstance(t.Context(), tx, moved, nil); err != nil {
					return err // a second instance, which never saved
				}
				return store.ClaimOwn(t.Context(), tx, c.filter)
			})
			if diff := cmp.Diff(c.want, read(t, d)); diff != "" {
				t.Errorf("claims for %q (-want +got): %s", c.filter, diff)
			}
		}
	})
}
