//go:build linux

package crashtest

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
)

var (
	points = flag.Int("points", 0, "how many points of each victim and moment to try; 0 is a few, and more than there are is all")
	only   = flag.Int("at", 0, "the only point of each victim and moment to try")
	seed   = flag.Uint64("seed", 1, "of what points are tried, and of what power cuts take")
)

// TestFiles kills a side at its commits, takes its last writes away, and has its disk
// refuse writes and syncs for a while, on SQLite.
func TestFiles(t *testing.T) {
	for _, s := range daily() {
		t.Run(s.name, func(t *testing.T) {
			crashes(t, onFiles(t, s), slices.Concat(kills, outages, trouble), 1)
		})
	}
}

// TestFirstDay kills and takes writes away while the databases and certificates are made.
func TestFirstDay(t *testing.T) {
	moments := []moment{after, torn, shuffled}
	if *points > 0 {
		moments = slices.Concat(kills, outages)
	}
	crashes(t, onFiles(t, firstDay), moments, 1)
}

// TestPostgres kills a side at its commits, on PostgreSQL.
func TestPostgres(t *testing.T) {
	for _, s := range daily() {
		t.Run(s.name, func(t *testing.T) { crashes(t, onPostgres(t, s), []moment{before, after}, 1) })
	}
}

// TestServerDown has the PostgreSQL server go down under a side, which lives on.
func TestServerDown(t *testing.T) {
	crashes(t, underServer(t), []moment{before, after}, 1)
}

// stage sets up one history with a victim and its doom.
type stage func(t *testing.T, victim string, d doom) *run

// crashes plays histories that end early: a sample of so many for each victim and
// moment, or as many as the flags say.
func crashes(t *testing.T, set stage, moments []moment, sample int) {
	var tried, survived atomic.Int64
	t.Cleanup(func() { t.Logf("%d crash points; %d histories ended before theirs", tried.Load(), survived.Load()) })
	for _, victim := range []string{hub, tablet} {
		commits, ops := clean(t, set, victim)
		t.Logf("without a crash the %s commits %d times, in %d operations", victim, commits, ops)
		for _, m := range moments {
			total := commits
			if d := (doom{Moment: m}); d.outage() || d.trouble() {
				total = ops
			}
			t.Run(fmt.Sprintf("%s/%s", victim, m), func(t *testing.T) {
				t.Parallel()
				try := func(at int) (died bool) {
					d := doom{At: at, Moment: m, Seed: *seed}
					t.Run(d.String(), func(t *testing.T) {
						r := set(t, victim, d)
						if at%2 == 1 {
							r.verb = "afresh"
						}
						if died = r.play(); died {
							tried.Add(1)
						} else {
							survived.Add(1)
						}
						r.recover()
					})
					return died
				}
				for _, at := range choose(total, sample, victim, m) {
					try(at)
				}
				for at := total + 1; *points > total && try(at); at++ { // no two histories are the same to the last commit
				}
			})
		}
	}
}

// choose returns the points to try, of so many: one out of each of some parts of the
// history, or all of them.
func choose(total, sample int, victim string, m moment) (chosen []int) {
	if *only > 0 {
		return []int{*only}
	}
	if *points > 0 {
		sample = *points
	}
	chance := rand.New(rand.NewPCG(*seed, uint64(len(victim))<<32|uint64(len(m))))
	for i := range sample {
		from, to := i*total/sample, (i+1)*total/sample
		if to > from {
			chosen = append(chosen, 1+from+chance.IntN(to-from))
		}
	}
	return chosen
}

// clean plays without a crash and returns how often the victim commits, and how often
// it does something to its files.
func clean(t *testing.T, set stage, victim string) (commits, ops int) {
	t.Helper()
	t.Run(victim+"/clean", func(t *testing.T) {
		r := set(t, victim, doom{})
		if r.play() {
			t.Fatal("it died of nothing")
		}
		var err error
		commits, ops, err = r.fate.(counter).count(t.Context())
		must(t, err)
		r.recover()
		r.worth()
	})
	if commits == 0 {
		t.Fatal("a run without a crash is needed first")
	}
	return commits, ops
}

// counter is a fate that tells how much it has seen.
type counter interface {
	count(ctx context.Context) (commits, ops int, err error)
}

// onFiles sets up victims whose databases are files.
func onFiles(t *testing.T, s script) stage {
	from := prepare(t, s, func(side string) string { return filepath.Join(t.TempDir(), side+".db") })
	return func(t *testing.T, victim string, d doom) *run {
		targets := map[string]string{}
		for side, file := range from {
			targets[side] = filepath.Join(t.TempDir(), side+".db")
			if !s.fresh {
				content, err := os.ReadFile(file)
				must(t, err)
				must(t, os.WriteFile(targets[side], content, 0o600))
			}
		}
		r := newRun(t, s, victim, targets)
		c := startChild(t, role{victim, targets[victim], d}, r.hopes.of(victim))
		r.fate, r.sides[victim] = c, c
		return r
	}
}

// prepare makes databases of two sides that know each other.
func prepare(t *testing.T, s script, target func(side string) string) map[string]string {
	t.Helper()
	targets := map[string]string{hub: target(hub), tablet: target(tablet)}
	if s.fresh {
		return targets
	}
	t.Run("prepare", func(t *testing.T) {
		r := newRun(t, s, "", targets)
		r.lines([]string{"hub open", "hub root", "hub serve", "tablet open", "tablet join", "hub begin", "tablet sync"})
		for _, side := range r.sides {
			must(t, side.(*peer).close())
		}
	})
	return targets
}
