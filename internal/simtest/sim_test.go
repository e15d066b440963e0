package simtest

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run the history of this seed, and print it")
	seedsFlag = flag.Uint64("seeds", 0, "run as many random histories; 0 runs them for a bounded time")
	fromFlag  = flag.Uint64("from", 1, "first of the seeds; 0 takes them from the clock")
	forFlag   = flag.Duration("for", 10*time.Second, "time for random histories")
	newFlag   = flag.Duration("new", 0, "time for more histories afterwards, with seeds from the clock")
	failsFlag = flag.Int("fails", 5, "end after so many histories that failed")
	tries     = flag.Int("shrink", 150, "how often a history that fails is run again to make it shorter")
	strict    = flag.Bool("strict", false, "go on with histories of copies that cannot be told apart, which may fail")
	workers   = flag.Int("workers", 2*runtime.GOMAXPROCS(0), "histories at once")
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // a history makes much garbage, and the peers are small
	os.Exit(m.Run())
}

// TestSeed runs one history, or those that failed once.
func TestSeed(t *testing.T) {
	l := newLab(t)
	if *seedFlag != 0 {
		one(t, l, *seedFlag, true)
		return
	}
	for _, r := range regressions {
		t.Run(fmt.Sprint(r.seed), func(t *testing.T) { one(t, l, r.seed, false) })
	}
}

// one runs a history and says what was wrong with it.
func one(t *testing.T, l *lab, seed uint64, show bool) {
	t.Helper()
	h := newHistory(seed)
	lines, _, err := h.run(l)
	if err != nil {
		report(t, l, h, lines, err)
	} else if show {
		t.Logf("seed %d:\n%s", seed, strings.Join(lines, "\n"))
	}
}

// report prints a history that failed as short as it can be: one that fails only at times as it
// was then.
func report(t *testing.T, l *lab, h history, lines []string, err error) {
	t.Helper()
	steps := len(h.steps)
	h, lines, err = h.shrink(l, *tries, lines, err)
	t.Errorf("seed %d, with %d of %d steps:\n%s\n%v\nrun it again: go test ./internal/simtest -run TestSeed -seed %d",
		h.seed, len(h.steps), steps, strings.Join(lines, "\n"), err, h.seed)
}

// regressions are seeds that failed while this was built.
var regressions = []struct {
	seed uint64
	why  string
}{
	{13, "devices copied before their first sync were not told apart: what others may know was noted too late"},
	{16, "the number of a push's records was settled before its stream had ended"},
	{75, "a stream of which more had come than were counted was refused for ever"},
	{377, "the simulator took a copy that had just noticed what it lacks for one that had all"},
	{1329, "the model did not know that a sync applies what waited under its own prefixes only"},
	{1789, "the simulator took for a fault that digests tell apart copies that no counter can"},
	{2047, "the simulator left a peer alone whose row waited for one that had come after it"},
	{898483545, "the simulator went on, in its last sync, with copies that nobody can tell apart"},
	{637437934, "a deletion took along rows of another filter that the application had written and nobody serialized"},
	{637437874, "a stage that a request had begun went on beside the simulator, which took it for another"},
	{637437092, "the simulator wanted rows applied that two peers had made each other's ancestors"},
	{1783, "the model wanted the claim of a push that runs ahead at the end of its stream, when others had saved more"},
	{1974, "likewise of any other sender"},
	{112484940, "the simulator had all sync in the same order, and two texts chased each other round a ring, as by the reference's rule they can"},
	{706575177, "the simulator did not count what a version had seen that was joined with one of equal content"},
	{706574736, "the simulator judged a peer after it had found that copies of it cannot be told apart"},
	{215812468, "a pull that was settled had nothing to carry, when its server died before it was closed, and its client claimed all"},
	{215812395, "the same, in another way to it"},
	{215811405, "the simulator took a session that a full disk had not let begin for one that was at work"},
	{779474152, "the simulator took the claim of a push that ran ahead for one of the stage that it had heard of last"},
	{594110997, "the simulator forgot, when a copy was copied, that it had been interrupted while it told"},
	{434, "a server asked who pushes beside the merge, for each piece of a stream, and the simulator took that for a rest"},
	{1050, "the model did not know that a copied device goes on with what its original began"},
	{622705393, "the simulator took rows that a push saved while it ran ahead for those of another session's filter"},
	{954499483, "the simulator did not count what a version had seen whose merge by a rule gave itself, so that no row was written"},
	{513288236, "a page that nobody wanted any more was read on beside the simulator, after its reader had ended"},
	{24966871, "the model did not know that pages merged one by one in one transaction take a counter each"},
	{24398941, "what the application saved while a peer was asked after records was taken for lost, when another was looked at again"},
}

// TestSimulate runs random histories, each from a seed of its own.
func TestSimulate(t *testing.T) {
	l := newLab(t)
	first := *fromFlag
	if first == 0 {
		first = fromClock()
	}
	if *seedsFlag > 0 {
		several(t, l, first, func(n uint64) bool { return n < *seedsFlag })
	} else {
		several(t, l, first, forSome(*forFlag))
	}
	if *newFlag > 0 && !t.Failed() {
		several(t, l, fromClock(), forSome(*newFlag))
	}
}

func fromClock() uint64 { return uint64(time.Now().UnixNano()) % 1_000_000_000 }

// forSome goes on for some time.
func forSome(d time.Duration) func(n uint64) bool {
	end := time.Now().Add(d)
	return func(uint64) bool { return time.Now().Before(end) }
}

// several runs histories from a seed on while more agrees to the next, the how manieth
// that is.
func several(t *testing.T, l *lab, first uint64, more func(n uint64) bool) {
	t.Helper()
	var mu sync.Mutex
	var total counts
	next, failed := first, 0
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		if !more(next-first) || failed >= *failsFlag {
			return 0, false
		}
		next++
		return next - 1, true
	}
	var group sync.WaitGroup
	for range *workers {
		group.Go(func() {
			for seed, more := take(); more; seed, more = take() {
				h := newHistory(seed)
				lines, count, err := h.run(l)
				mu.Lock()
				total.add(count)
				if err != nil {
					failed++
				}
				mu.Unlock()
				if err != nil {
					report(t, l, h, lines, err)
				}
			}
		})
	}
	group.Wait()
	t.Logf("seeds %d to %d: %s", first, next-1, total)
	if total.histories == 0 || total.syncs == 0 {
		t.Error("nothing was simulated")
	}
}

// TestSameAgain holds that a history follows from its seed alone.
func TestSameAgain(t *testing.T) {
	l := newLab(t)
	const seed = 30139 // two peers, faults, a crash, a copy
	first, _, err := newHistory(seed).run(l)
	again, _, errAgain := newHistory(seed).run(l)
	if err != nil || errAgain != nil {
		t.Fatal(err, errAgain)
	}
	for i := range min(len(first), len(again)) {
		if first[i] != again[i] {
			t.Fatalf("line %d:\n%s\n%s", i, first[i], again[i])
		}
	}
	if len(first) != len(again) {
		t.Errorf("%d lines, and %d", len(first), len(again))
	}
}
