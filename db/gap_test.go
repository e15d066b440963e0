package db

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever has written without a gap for long leaves one before it writes again, where others have the database open.
func TestWhoLeavesAGap(t *testing.T) {
	short := func(ctx context.Context, p *turns) error {
		defer p.give()
		return p.takeShort(ctx)
	}
	part := func(ctx context.Context, p *turns) error {
		defer p.give()
		_, err := p.takePart(ctx, "another")
		return err
	}
	for name, c := range map[string]struct {
		gap, ended time.Duration // so long ago
		little     bool          // was written since
		alone      bool
		do         func(ctx context.Context, p *turns) error
		want       time.Duration
	}{
		"short, soon enough":    {gap: gapsApart - shortMost, do: short},
		"short, too late":       {gap: gapsApart - shortMost + 1, do: short, want: gapLeast},
		"a part, soon enough":   {gap: gapsApart - partLeast, do: part},
		"a part, too late":      {gap: gapsApart - partLeast + 1, do: part, want: gapLeast},
		"half of it was there":  {gap: gapsApart, ended: gapLeast / 2, do: short, want: gapLeast / 2},
		"all of it was there":   {gap: gapsApart, ended: gapLeast, do: part},
		"little was written":    {gap: gapsApart, little: true, do: part},
		"nobody is to be heard": {gap: time.Hour, do: part, alone: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			rest(t.Context(), time.Hour)
			p := newTurns(func() bool { return !c.alone })
			p.gap, p.ended, p.spent = time.Now().Add(-c.gap), time.Now().Add(-c.ended), c.gap/gapFree
			if c.little {
				p.spent--
			}
			if is := took(t, func() error { return c.do(t.Context(), p) }); is != c.want {
				t.Errorf("%s: it waits for %v, want %v", name, is, c.want)
			}
			began := p.begin()
			if left := p.gap.Equal(began); left != (c.ended+c.want >= gapLeast || c.little) {
				t.Errorf("%s: it is noted that there was a gap, or as much room: %v", name, left)
			}
		})
	}
}

// crowd is all who write in a process, beside programs that do too.
type crowd struct {
	*turns
	held          atomic.Bool // somebody writes
	parts, shorts atomic.Int64
}

// write writes for a time, in the turn that was taken, and gives it back.
func (c *crowd) write(length func() time.Duration, count *atomic.Int64) {
	began := c.begin()
	c.held.Store(true)
	rest(context.Background(), length())
	c.held.Store(false)
	c.end(began)
	c.give()
	count.Add(1)
}

// long is a job that writes part after part.
func (c *crowd) long(ctx context.Context, job any) {
	for {
		shared, err := c.takePart(ctx, job)
		if err != nil {
			return
		}
		c.write(func() time.Duration { return c.most(shared) }, &c.parts)
	}
}

// short is many short transactions, with a moment between them.
func (c *crowd) short(ctx context.Context, length, moment time.Duration) {
	for ctx.Err() == nil {
		c.count(1)
		if c.takeShort(ctx) == nil {
			c.write(func() time.Duration { return length }, &c.shorts)
		}
		c.count(-1)
		rest(ctx, moment)
	}
}

// wait is how long a program waits that looks as SQLite does.
func (c *crowd) wait(ctx context.Context) time.Duration {
	asked := time.Now()
	for _, ms := range []int{1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100, 100, 100} {
		if !c.held.Load() {
			break
		}
		rest(ctx, time.Duration(ms)*time.Millisecond)
	}
	return time.Since(asked)
}

// However much this process writes, a program that looks as SQLite does finds the database free before it begins to
// look seldom; and those who write go on. It makes no difference that it wrote little before, for however long.
func TestNobodyWaitsForLong(t *testing.T) {
	for _, before := range []time.Duration{0, 200 * time.Millisecond, 10 * time.Second} {
		nobodyWaits(t, before)
	}
}

// nobodyWaits lets all write and one wait, for some seconds after only short transactions have been written for a time.
func nobodyWaits(t *testing.T, before time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		rest(t.Context(), time.Hour)
		c := &crowd{turns: newTurns(func() bool { return true })}
		c.others = time.Now().Add(time.Hour)
		ctx, stop := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		writers.Go(func() { c.short(ctx, 4*time.Millisecond, 12*time.Millisecond) })
		rest(ctx, before)
		for job := range 2 {
			writers.Go(func() { c.long(ctx, job) })
		}
		for _, ms := range []int{1, 2, 3, 4} {
			writers.Go(func() { c.short(ctx, time.Duration(ms)*time.Millisecond, time.Duration(5-ms)*time.Millisecond) })
		}
		longest, began := time.Duration(0), time.Now()
		for n := range 2000 {
			longest = max(longest, c.wait(ctx))
			rest(ctx, time.Duration(n%37)*time.Millisecond)
		}
		if most := 128 * time.Millisecond; longest > most {
			t.Errorf("after %v of little it waits for up to %v, want %v", before, longest, most)
		}
		all := time.Since(began)
		if parts, shorts := c.parts.Load(), c.shorts.Load(); parts < int64(all/(300*time.Millisecond)) || shorts < int64(all/(20*time.Millisecond)) {
			t.Errorf("%d parts and %d short transactions in %v", parts, shorts, all)
		}
		stop()
		writers.Wait()
	})
}
