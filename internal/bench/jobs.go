package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/morango-go/morango/db"
)

// bench measures the jobs of one size on one engine.
type bench struct {
	options
	*world
	report *report
	// What the floor takes for a row on one side, in seconds: on the clock, and of CPU
	// time, which tells more where the machine has other things to do.
	floor, floorCPU float64
	theirs          int64 // what the reference would send of all rows, once it was asked for
}

// job is one thing to measure.
type job struct {
	name  string
	apply func(b *bench) bool // whether it is measured at this size; nil: at each
	run   func(b *bench, ctx context.Context) ([]result, error)
	bare  bool // nothing of it is compared with the floor
}

// jobs are all there are, in the order in which they run.
func jobs() []job {
	return []job{
		{name: "stages", run: (*bench).stages},
		{name: "push", run: (*bench).push},
		{name: "pull", run: (*bench).pull},
		{name: "nothing", run: (*bench).nothing},
		{name: "changed", run: (*bench).changed},
		{name: "conflict", run: (*bench).conflict},
		{name: "user", run: (*bench).user},
		{name: "eight", apply: func(b *bench) bool { return b.n == b.sizes[0] }, run: (*bench).eight},
		{name: "memory-push", run: (*bench).memoryPush, bare: true},
		{name: "memory-pull", run: (*bench).memoryPull, bare: true},
		{name: "fair", apply: (*bench).slow, run: (*bench).fair},
		{name: "fair-buffers", apply: (*bench).slow, run: (*bench).fairBuffers},
		{name: "delay", apply: (*bench).slow, run: (*bench).delay},
		{name: "narrow", apply: (*bench).slow, run: (*bench).narrow},
	}
}

func names() []string {
	var all []string
	for _, j := range jobs() {
		all = append(all, j.name)
	}
	return all
}

// slow says whether slow links are measured at this size: at one will do.
func (b *bench) slow() bool { return b.n == 10_000 || len(b.sizes) == 1 }

// all runs the jobs that were chosen, after the floor that most are compared with.
func (b *bench) all(ctx context.Context) error {
	for _, j := range jobs() {
		if !contains(b.jobs, j.name) || j.apply != nil && !j.apply(b) {
			continue
		}
		if b.floor == 0 && !j.bare {
			floor, err := b.measureFloor(ctx)
			if err != nil {
				return fmt.Errorf("floor: %w", err)
			}
			b.floor, b.floorCPU = floor.Seconds/float64(floor.Records), floor.cpu()/float64(floor.Records)
			b.show(floor)
		}
		best, err := b.best(ctx, j)
		if err != nil {
			return fmt.Errorf("job %s: %w", j.name, err)
		}
		for _, r := range best {
			b.show(r)
		}
	}
	return nil
}

// best runs a job as often as was asked for, and returns the fastest of each result, but
// the longest of waits.
func (b *bench) best(ctx context.Context, j job) ([]result, error) {
	var best []result
	for range max(b.runs, 1) {
		found, err := j.run(b, ctx)
		if err != nil {
			return nil, err
		}
		if best == nil {
			best = found
		}
		for i := range found {
			if faster := found[i].Seconds < best[i].Seconds; faster == (found[i].Waits == nil) {
				best[i] = found[i]
			}
		}
	}
	return best, nil
}

func (b *bench) show(r result) {
	r.Engine, r.Rows = b.engine, b.n
	if r.Sides > 0 && r.Records > 0 {
		times := float64(r.Records) * float64(r.Sides)
		r.Floors, r.FloorsCPU = r.Seconds/(b.floor*times), r.cpu()/(b.floorCPU*times)
	}
	b.report.add(r)
}

// profileOf is where a process's CPU profile goes.
func (b *bench) profileOf(job, who string) string {
	if b.profiles == "" {
		return ""
	}
	return filepath.Join(b.profiles, fmt.Sprintf("%s-%d-%s-%s.pprof", b.engine, b.n, job, who))
}

// push sends fresh rows to a hub that has none of them.
func (b *bench) push(ctx context.Context) ([]result, error) {
	return b.whole(ctx, setting{job: "push", hub: hubEmpty, client: clientFull, order: order{Push: true}, push: b.n})
}

// pull fetches the hub's rows into a client that has none of them.
func (b *bench) pull(ctx context.Context) ([]result, error) {
	return b.whole(ctx, setting{job: "pull", hub: hubFull, client: clientEmpty, order: order{Pull: true}, pull: b.n})
}

// whole is a sync of all rows, whose bytes are compared with the reference's.
func (b *bench) whole(ctx context.Context, s setting) ([]result, error) {
	theirs, err := b.referenceBytes(ctx)
	if err != nil {
		return nil, err
	}
	all, err := b.sync(ctx, s)
	for i, r := range all {
		all[i].Reference = theirs
		all[i].Note = fmt.Sprintf("bytes: %.2f of the reference's", float64(r.Sent+r.Received)/float64(theirs))
	}
	return all, err
}

// nothing syncs both ways where nothing is new.
func (b *bench) nothing(ctx context.Context) ([]result, error) {
	return b.sync(ctx, setting{job: "nothing", hub: hubFull, client: clientSynced, order: order{Pull: true, Push: true}})
}

// changed pushes one row in a hundred.
func (b *bench) changed(ctx context.Context) ([]result, error) {
	return b.sync(ctx, setting{job: "changed", hub: hubFull, client: clientSynced, order: order{Push: true}, push: b.percent(),
		before: func(_, client string) error { return b.edit(ctx, client, "changed by the client") }})
}

// conflict syncs both ways where one row in a hundred was changed on both sides.
func (b *bench) conflict(ctx context.Context) ([]result, error) {
	return b.sync(ctx, setting{job: "conflict", hub: hubFull, client: clientSynced, order: order{Pull: true, Push: true},
		pull: b.percent(), push: b.percent(),
		before: func(hub, client string) error {
			return errors.Join(b.edit(ctx, hub, "changed by the hub"), b.edit(ctx, client, "changed by the client"))
		}})
}

// user fetches what one learner's own device may have.
func (b *bench) user(ctx context.Context) ([]result, error) {
	const ofAll = 2 + classrooms // the dataset, the facility, the classrooms
	return b.sync(ctx, setting{job: "user", hub: hubFull, client: clientUser, order: order{Pull: true}, pull: rowsOfUser + ofAll})
}

// The slow links: one with 300 ms one way, and one with 1 Mbit/s.
const (
	oneWay  = 300 * time.Millisecond
	megabit = 1_000_000 / 8
)

// delay pushes and pulls over a link with a long delay, and says how many round trips
// that took more than without.
func (b *bench) delay(ctx context.Context) ([]result, error) {
	all, err := b.over(ctx, "delay", order{Delay: oneWay})
	for i := range all {
		if fast, ok := b.report.find(b.engine, b.n, []string{"push", "pull"}[i]); ok {
			all[i].Note = fmt.Sprintf("%.1f round trips of %v", (all[i].Seconds-fast.Seconds)/(2*oneWay).Seconds(), 2*oneWay)
		}
	}
	return all, err
}

// narrow pushes and pulls over a narrow link, and says what of the time its bytes need.
func (b *bench) narrow(ctx context.Context) ([]result, error) {
	all, err := b.over(ctx, "narrow", order{Rate: megabit})
	for i, r := range all {
		all[i].Note = fmt.Sprintf("of that %.1f s for its bytes", float64(max(r.Sent, r.Received))/megabit)
	}
	return all, err
}

// over pushes and pulls over a slow link.
func (b *bench) over(ctx context.Context, name string, o order) ([]result, error) {
	o.Push = true
	all, err := b.sync(ctx, setting{job: name + " push", hub: hubEmpty, client: clientFull, order: o, push: b.n})
	if err != nil {
		return nil, err
	}
	o.Pull, o.Push = true, false
	pulled, err := b.sync(ctx, setting{job: name + " pull", hub: hubFull, client: clientEmpty, order: o, pull: b.n})
	return append(all, pulled...), err
}

func (b *bench) percent() int { return max(b.n/100, 1) }

// change edits attempts, spread over all learners because ids are hashes.
const change = `UPDATE logger_attemptlog SET simple_answer = $1 WHERE id IN (
	SELECT id FROM logger_attemptlog ORDER BY id LIMIT $2)`

func (b *bench) edit(ctx context.Context, target, text string) error {
	return b.write(ctx, target, false, func(d *db.DB) error {
		return d.Write(ctx, func(tx *db.Tx) error {
			n, err := tx.Exec(ctx, change, text, b.percent())
			if err == nil && n != int64(b.percent()) {
				err = fmt.Errorf("%d rows changed instead of %d", n, b.percent())
			}
			return err
		})
	})
}

func contains(all []string, one string) bool {
	for _, have := range all {
		if have == one {
			return true
		}
	}
	return false
}
