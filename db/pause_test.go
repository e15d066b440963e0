package db

import (
	"testing"
	"testing/synctest"
	"time"
)

// pausing is a state after a job and others have written for as long as is said, which ended
// so long ago. Others write in the database now and then.
func pausing(held, since time.Duration) *turns {
	p := newTurns(func() bool { return true })
	p.held, p.ended, p.jobs["long"] = held, time.Now().Add(-since), true
	p.others, p.gap = p.ended.Add(-othersLately), p.ended
	return p
}

// took is how long something takes on the clock of the test.
func took(t *testing.T, do func() error) time.Duration {
	t.Helper()
	began := time.Now()
	if err := do(); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// part takes the turn for a job and gives it back, and tells how long that took.
func (t *turns) part(tt *testing.T, job any) time.Duration {
	return took(tt, func() error {
		_, err := t.takePart(tt.Context(), job)
		if err == nil {
			t.give()
		}
		return err
	})
}

// A job that has held the database for long pauses before its next part, where others have it
// open and there was no pause by itself; once, and longer where they write. One that has just come does not.
func TestWhoPauses(t *testing.T) {
	for name, c := range map[string]struct {
		held, since time.Duration
		change      func(p *turns)
		job         string
		want, next  time.Duration // before its next part, and before the one after it
	}{
		"others have it open":      {held: heldBefore, job: "long", want: pauseIdle},
		"others write":             {held: heldBefore, change: func(p *turns) { p.others = time.Now() }, job: "long", want: pauseAmong},
		"little was written":       {held: heldBefore - 1, job: "long"},
		"half the pause was there": {held: heldBefore, since: 10 * time.Millisecond, job: "long", want: pauseIdle - 10*time.Millisecond},
		"it was there":             {held: time.Second, since: pauseIdle, job: "long"},
		"others used it for long":  {held: time.Second, change: func(p *turns) { p.used = usedMost }, job: "long"},
		"nobody has it open":       {held: time.Hour, change: func(p *turns) { p.shared = func() bool { return false } }, job: "long"},
		"it has just come":         {held: time.Second, job: "short", next: pauseIdle},
	} {
		synctest.Test(t, func(t *testing.T) {
			rest(t.Context(), time.Hour)
			p := pausing(c.held, c.since)
			if c.change != nil {
				c.change(p)
			}
			for i, want := range []time.Duration{c.want, c.next} {
				if is := p.part(t, c.job); is != want {
					t.Errorf("%s: before part %d it waits for %v, want %v", name, i, is, want)
				}
			}
		})
	}
}

// What others do in a pause makes it longer by twice their time, so that half of it stays free.
func TestAPauseGrowsByWhatIsDoneInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rest(t.Context(), time.Hour)
		p := pausing(heldBefore, 0)
		go func() {
			rest(t.Context(), time.Millisecond)
			if is := p.part(t, "short"); is != 0 {
				t.Errorf("a job that has just come waits for %v", is)
			}
			_ = p.take(t.Context())
			rest(t.Context(), 5*time.Millisecond)
			p.held, p.used, p.ended = p.held+5*time.Millisecond, p.used+5*time.Millisecond, time.Now()
			p.give()
		}()
		if is, want := p.part(t, "long"), pauseIdle+10*time.Millisecond; is != want {
			t.Errorf("the pause takes %v, want %v", is, want)
		}
		if p.held != 0 || p.used != 0 || !p.resting.IsZero() || len(p.jobs) != 1 {
			t.Errorf("after the pause: %+v", p)
		}
	})
}

// A part lets short transactions go first, the next of a chain too, but not for ever.
func TestPartsYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTurns(func() bool { return false })
		p.part(t, "long")
		rest(t.Context(), time.Hour)
		yields := func(least, most time.Duration) {
			t.Helper()
			began := time.Now()
			p.yield(t.Context(), "long")
			if took := time.Since(began); took < least || took > most {
				t.Errorf("it yields for %v, want %v to %v", took, least, most)
			}
		}
		yields(0, 0)
		p.count(1)
		go func() {
			rest(t.Context(), 5*time.Millisecond)
			p.count(-1)
		}()
		yields(5*time.Millisecond+yieldStep, 5*time.Millisecond+2*yieldStep)
		p.count(1)
		yields(yieldMost, yieldMost)
		if is := p.part(t, "another"); is != 0 {
			t.Errorf("another job yields for %v", is)
		}
		p.count(-1)
	})
}

// How long a part may take depends on who else wants to write.
func TestHowLongPartsMayTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		others := false
		p := newTurns(func() bool { return others })
		rest(t.Context(), time.Hour)
		p.begin()
		want := func(alone, shared time.Duration) {
			t.Helper()
			open := alone // for a part that can end
			if alone == partAlone {
				open = partOpen
			}
			others = false
			if is := p.mostOpen(); is != open {
				t.Errorf("alone a part that can end may take %v, want %v", is, open)
			}
			others = true
			if is := p.mostOpen(); is != shared {
				t.Errorf("beside others a part that can end may take %v, want %v", is, shared)
			}
			if is := p.most(false); is != alone {
				t.Errorf("alone a part may take %v, want %v", is, alone)
			}
			if is := p.most(true); is != shared {
				t.Errorf("beside others a part may take %v, want %v", is, shared)
			}
		}
		want(partAlone, partIdle)
		p.others = time.Now()
		want(PartTime, PartTime)
		rest(t.Context(), othersLately)
		want(partAlone, partIdle)
		if err := p.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		go func() {
			rest(t.Context(), longWait)
			others = false
			if is := p.mostOpen(); is != PartTime {
				t.Errorf("while somebody waits a part that can end may take %v, want %v", is, PartTime)
			}
			p.give()
		}()
		if err := p.take(t.Context()); err != nil { // somebody had to wait
			t.Fatal(err)
		}
		want(PartTime, PartTime)
		rest(t.Context(), contendedLately)
		want(partAlone, partIdle)
		p.ended, p.gap, p.spent = time.Now(), time.Now().Add(-gapsApart/2), gapsApart/2
		p.begin()
		rest(t.Context(), time.Second)
		want(partAlone, gapsApart/2)
		p.ended, p.gap, p.spent = time.Now(), time.Now().Add(-gapsApart), gapsApart
		p.begin()
		want(partAlone, partLeast)
	})
}
