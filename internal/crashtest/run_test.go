//go:build linux

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/morango-go/morango"
)

// script is what happens, line by line: who does what. Lines about syncing get the
// hub's address.
type script struct {
	name     string
	fresh    bool // the sides begin with nothing
	buffered bool // records travel by way of buffers, as with peers of other make
	lines    []string
}

// day is a day of two sides that know each other.
var day = script{name: "day", lines: []string{
	"hub edit 0", "tablet edit 0",
	"tablet pull",
	"hub edit 1", "tablet edit 1",
	"hub serialize", "tablet serialize",
	"tablet push",
	"hub checkpoint", "tablet checkpoint",
	"hub edit 2", "tablet edit 2",
	"tablet sync",
	"hub reopen", "tablet reopen", "hub serve",
	"hub edit 3", "tablet edit 3",
	"tablet sync",
}}

// firstDay is how two sides come to know each other, from databases that are not there
// yet.
var firstDay = script{name: "first day", fresh: true, lines: []string{
	"hub open", "hub root", "hub serve", "tablet open", "tablet join",
	"hub begin", "tablet sync",
	"hub edit 0", "tablet edit 0",
	"tablet sync",
	"tablet introduce",
}}

// daily are the days of sides that stream, and of sides that use buffers.
func daily() []script {
	buffered := day
	buffered.name, buffered.buffered = "day with buffers", true
	return []script{day, buffered}
}

// doer is a side, here or in a process of its own.
type doer interface {
	do(ctx context.Context, line string) (string, error)
}

// run is one history with one victim.
type run struct {
	*testing.T
	script   script
	victim   string
	targets  map[string]string // of the databases, by side
	hopes    *hopes
	versions versions

	fate  fate
	sides map[string]doer
	url   string // of the hub
	verb  string // by which the sides sync in the end
}

// fate is how a victim comes to its end.
type fate interface {
	// arm begins to count.
	arm(ctx context.Context) error
	// struck waits for what has to come, when something has gone wrong, and says
	// whether it has come.
	struck(ctx context.Context) bool
	// revive lets the victim live again, to be opened or as it is.
	revive(r *run)
}

// patience is how long anything here may take.
const patience = 2 * time.Minute

func newRun(t *testing.T, s script, victim string, targets map[string]string) *run {
	r := &run{T: t, script: s, victim: victim, targets: targets, hopes: newHopes(), versions: versions{}, sides: map[string]doer{}, verb: "sync"}
	for side := range targets {
		if side != victim {
			r.sides[side] = r.here(side, targets[side])
		}
	}
	return r
}

// play plays the script, and says whether the victim has died of it.
func (r *run) play() (died bool) {
	r.Helper()
	if !r.script.fresh {
		for _, line := range []string{"hub open", "hub serve", "tablet open"} {
			must(r.T, r.line(line))
		}
	}
	must(r.T, r.fate.arm(r.Context()))
	for _, line := range r.script.lines {
		err := r.line(line)
		if err == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		if errors.Is(err, errDied) || r.fate.struck(ctx) {
			r.Logf("it came in: %s", line)
			return true
		}
		r.Fatalf("nobody died, and yet: %v", err)
	}
	return false
}

// here is a side in this process.
func (r *run) here(side, target string) *peer {
	p := &peer{side: side, target: target, told: r.hopes.of(side)}
	r.Cleanup(func() {
		if err := p.close(); err != nil {
			r.Error(err)
		}
	})
	return p
}

// line has a side do something.
func (r *run) line(line string) error {
	side, rest, _ := strings.Cut(line, " ")
	switch word, _, _ := strings.Cut(rest, " "); word {
	case "serve":
		address := "127.0.0.1:0"
		if r.url != "" {
			address = strings.TrimPrefix(r.url, "http://")
		}
		url, err := r.sides[side].do(r.Context(), fmt.Sprint("serve ", address, " ", r.script.buffered))
		if err == nil {
			r.url = url
		}
		return err
	case "sync", "afresh", "pull", "push", "join", "introduce":
		rest += " " + r.url
	}
	_, err := r.sides[side].do(r.Context(), rest)
	return err
}

// recover lets the victim live again and holds everybody to what was promised.
func (r *run) recover() {
	r.Helper()
	r.fate.revive(r)
	if !r.script.fresh {
		r.lines([]string{"hub open", "tablet open"}) // it may have come while one of them opened
	}
	states := map[string]*state{}
	for _, side := range []string{hub, tablet} {
		if p := r.sides[side].(*peer); p.node != nil {
			s := r.look(side)
			must(r.T, r.hopes.check(s, side))
			must(r.T, r.versions.see(s))
			states[side] = s
		}
	}
	if len(states) == 2 {
		must(r.T, errors.Join(states[hub].honest(states[tablet]), states[tablet].honest(states[hub])))
	}
	var lines []string
	if r.script.fresh {
		lines = []string{"hub open", "tablet open", "hub root"}
	}
	lines = append(lines, "hub serve")
	if r.script.fresh {
		lines = append(lines, "tablet join")
	}
	r.lines(lines)
	r.finish()
}

// lines has the sides do something, but opens and serves nothing twice.
func (r *run) lines(lines []string) {
	r.Helper()
	for _, line := range lines {
		side, verb, _ := strings.Cut(line, " ")
		p := r.sides[side].(*peer)
		if verb == "open" && p.node != nil || verb == "serve" && p.http != nil {
			continue
		}
		must(r.T, r.line(line))
	}
}

// finish edits on both sides once more, syncs, and wants both sides equal, with
// everything there that anybody was told is saved.
func (r *run) finish() {
	r.Helper()
	last := fmt.Sprint(" edit ", rounds-1)
	if r.script.fresh { // the rows of the beginning may be there or not
		r.again("hub")
	}
	r.lines([]string{hub + last, tablet + last})
	for range 2 { // what is resumed ends what was begun, no more
		resumed, err := r.sides[tablet].do(r.Context(), r.verb+" "+r.url)
		must(r.T, err)
		if resumed == "false" {
			break
		}
	}
	states := map[string]*state{}
	for _, side := range []string{hub, tablet} {
		s := r.look(side)
		must(r.T, r.hopes.check(s, ""))
		must(r.T, r.versions.see(s))
		states[side] = s
	}
	must(r.T, same(states[hub], states[tablet]))
}

// again writes the rows of the beginning where a crash prevented it.
func (r *run) again(side string) {
	r.Helper()
	if s := r.look(side); len(s.rows) == 0 && len(s.records) == 0 {
		must(r.T, r.line(side+" begin"))
	}
	r.lines([]string{"tablet sync"})
}

// worth refuses a history without the things that are hard to bring through a crash.
func (r *run) worth() {
	r.Helper()
	var erased, deleted, conflicts int
	for _, record := range r.look(hub).records {
		switch {
		case record.Hard:
			erased++
		case record.Deleted:
			deleted++
		case record.Conflicting != "":
			conflicts++
		}
	}
	if erased < 2 || deleted < 2 || conflicts < 2 {
		r.Errorf("only %d hard deletions, %d deletions and %d conflicts", erased, deleted, conflicts)
	}
}

// look looks at a side's database, and has it verified.
func (r *run) look(side string) *state {
	r.Helper()
	s, err := look(r.Context(), side, r.targets[side])
	must(r.T, err)
	report, err := r.sides[side].(*peer).node.Verify(r.Context(), morango.VerifyOptions{})
	must(r.T, err)
	for _, found := range report.Found {
		if !found.Harmless {
			r.Errorf("verify finds on the %s: %+v", side, found)
		}
	}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
