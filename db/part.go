package db

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// On SQLite there is one writer, and programs that wait for their turn do not stand in a
// queue: they look again after 1, 2, 5, 10, 15, 20, then 25 milliseconds, and after an
// eighth of a second only every 50 and 100. Whoever writes one transaction after the
// other keeps them out for as long as it likes. So a long job is done in parts of about
// PartTime, and where others have the database open a job that has written pauses before its
// next part, when this process has held the database for heldBefore since the last pause. Everybody
// who has waited for less than an eighth of a second looks once in a pause. It is longer where others have been
// writing lately: on a busy machine they oversleep. Short transactions, and jobs that have just
// come, go on in the pause, and make it longer by twice their time, up to usedMost.
// Whoever looks just then, again and again, would soon look seldom. So there is a gap, in which nobody of this
// process writes for as long as gapLeast, at least every gapsApart: nobody waits for an eighth of a second before one.
// Where the process has written for less than a third of that time none is needed: nobody misses nine looks then.
// Where nobody else has the database open there is no pause, and a part may take partAlone: whoever
// opens it meanwhile waits for one part and one pause. A part that can end at any moment may take
// partOpen, and ends when somebody comes.
const (
	PartTime  = 50 * time.Millisecond
	partIdle  = 80 * time.Millisecond  // others have it open, but have not written lately
	partAlone = 150 * time.Millisecond // nobody else has it open
	partOpen  = 600 * time.Millisecond // the same, and the part ends when that changes

	heldBefore   = 20 * time.Millisecond
	usedMost     = 100 * time.Millisecond
	pauseIdle    = 30 * time.Millisecond
	pauseAmong   = 45 * time.Millisecond
	gapLeast     = 30 * time.Millisecond
	gapsApart    = 120 * time.Millisecond
	gapFree      = 3                     // who writes for less than such a part of the time need not leave any
	partLeast    = 25 * time.Millisecond // a part that has less time until the next gap waits for that
	shortMost    = 5 * time.Millisecond  // the same for short transactions
	othersLately = 10 * time.Second
)

// In this process all wait for one turn. A job that had the last part lets short transactions
// go before its next, of which a small sync has many, one soon after the other; but no longer
// than yieldMost. And when somebody had to wait for longWait lately, parts take PartTime.
const (
	yieldStep       = 500 * time.Microsecond
	yieldMost       = 8 * time.Millisecond
	longWait        = 5 * time.Millisecond
	contendedLately = 2 * time.Second
)

// turns keeps the write transactions of this process apart, and lets others write in between.
type turns struct {
	turn   chan struct{} // whose it is holds the one place in it
	shared func() bool   // whether others have the database open

	mu      sync.Mutex
	waiting int       // who wait for the turn
	short   int       // short transactions that wait, or run
	last    time.Time // when a short one ended
	job     any       // that had the last part

	// Of whoever has the turn:
	held      time.Duration // how long this process wrote since the last pause
	jobs      map[any]bool  // whose parts these were
	ended     time.Time     // when it last wrote
	gap       time.Time     // when the last gap ended
	spent     time.Duration // how long this process wrote since then
	bound     time.Duration // how long what began last may take, because of the next gap
	resting   time.Time     // when the pause began; zero outside of one
	used      time.Duration // of the pause, by others than those who wait for its end
	contended time.Time     // when somebody had to wait
	version   int64         // changes when others write; 0 before the first part
	others    time.Time     // when they were seen to have written
}

func newTurns(shared func() bool) *turns {
	return &turns{turn: make(chan struct{}, 1), shared: shared, jobs: map[any]bool{}}
}

// WritePart is Write for one of the many transactions of a long job, each of which should
// not take much longer than its PartTime. On SQLite it lets other programs, short transactions
// of this one, and other jobs, write in between. What the parts of a job have in common, a
// pointer or an id, is job; it is kept until another job has a part. On PostgreSQL see server.
func (d *DB) WritePart(ctx context.Context, job any, f func(*Tx) error) error {
	t := d.turns
	if t == nil {
		return d.server.part(ctx, d, f)
	}
	shared, err := t.takePart(ctx, job)
	if err != nil {
		return err
	}
	defer t.give()
	return d.hold(ctx, func(tx *Tx) error {
		if err := t.look(ctx, tx); err != nil {
			return err
		}
		tx.turns, tx.most = t, t.most(shared)
		return f(tx)
	})
}

// writeShort is Write on SQLite.
func (d *DB) writeShort(ctx context.Context, f func(*Tx) error) error {
	t := d.turns
	t.count(1)
	defer t.count(-1)
	if err := t.takeShort(ctx); err != nil {
		return err
	}
	defer t.give()
	return d.hold(ctx, f)
}

// hold runs a transaction and notes for how long nobody else could write.
func (d *DB) hold(ctx context.Context, f func(*Tx) error) error {
	var began time.Time
	defer func() { d.turns.end(began) }()
	return d.write(ctx, func(tx *Tx) error {
		began = d.turns.begin()
		return f(tx)
	})
}

// begin notes that nobody else can write from now on.
func (t *turns) begin() (now time.Time) {
	t.bound = max(t.untilGap(), partLeast)
	return time.Now()
}

// end notes that others can write again; they could since the last end if there was no beginning.
func (t *turns) end(began time.Time) {
	if began.IsZero() {
		return
	}
	t.ended = time.Now()
	took := t.ended.Sub(began)
	t.spent += took
	if t.held += took; !t.resting.IsZero() {
		t.used += took
	}
}

// yield waits until no short transaction has been about for a moment.
func (t *turns) yield(ctx context.Context, job any) {
	for end := time.Now().Add(yieldMost); time.Now().Before(end) && ctx.Err() == nil; {
		t.mu.Lock()
		free := t.job != job || t.short == 0 && time.Since(t.last) >= yieldStep
		t.mu.Unlock()
		if free {
			return
		}
		rest(ctx, yieldStep)
	}
}

// count counts short transactions.
func (t *turns) count(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.short += n; n < 0 {
		t.last = time.Now()
	}
}

// wait counts who wait for the turn.
func (t *turns) wait(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting += n
}

// take waits for the turn.
func (t *turns) take(ctx context.Context) error {
	asked := time.Now()
	t.wait(1)
	defer t.wait(-1)
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if now := time.Now(); now.Sub(asked) >= longWait {
		t.contended = now
	}
	return nil
}

func (t *turns) give() { <-t.turn }

// takeShort waits for the turn of a short transaction.
func (t *turns) takeShort(ctx context.Context) error {
	if err := t.take(ctx); err != nil {
		return err
	}
	return t.leaveGap(ctx, shortMost)
}

// takePart waits for the turn of a job's part, and for the end of the pause if it has to.
func (t *turns) takePart(ctx context.Context, job any) (shared bool, err error) {
	for {
		t.yield(ctx, job)
		if err := t.take(ctx); err != nil {
			return false, err
		}
		shared = t.shared()
		left := t.left(job, shared)
		if left > 0 && t.used < usedMost {
			t.give()
			rest(ctx, left)
			continue
		}
		if left > 0 {
			t.rested()
		}
		if err := t.leaveGap(ctx, partLeast); err != nil {
			return false, err
		}
		t.jobs[job] = true
		t.mu.Lock()
		t.job = job
		t.mu.Unlock()
		return shared, nil
	}
}

// left is how long a job has to wait for the end of the pause. One that has not written since
// the last is one of those for whom the others wait.
func (t *turns) left(job any, shared bool) time.Duration {
	from := t.ended
	if !t.resting.IsZero() {
		from = t.resting
	}
	left := t.rests() + 2*t.used - time.Since(from)
	if left <= 0 || !shared {
		t.rested()
		return 0
	}
	if !t.jobs[job] || t.held < heldBefore {
		return 0
	}
	t.resting = from
	return left
}

// untilGap is how long this process, which is not writing, may write before it has to leave a gap. It notes when there is
// one now, or was as much room between transactions since the last.
func (t *turns) untilGap() time.Duration {
	now := time.Now()
	since := now.Sub(t.gap)
	little := t.spent < since/gapFree
	switch left := gapsApart - since; {
	case now.Sub(t.ended) >= gapLeast || left <= 0 && little:
		t.gap, t.spent = now, 0
		return gapsApart
	case little:
		return max(left, partLeast)
	default:
		return left
	}
}

// leaveGap waits for a gap where less than least is left until one, and others have the database open. The turn is
// kept, but given back with an error.
func (t *turns) leaveGap(ctx context.Context, least time.Duration) error {
	if t.untilGap() >= least || !t.shared() {
		return nil
	}
	rest(ctx, gapLeast-time.Since(t.ended))
	if ctx.Err() != nil {
		t.give()
	}
	return ctx.Err()
}

// rested says that the pause is over.
func (t *turns) rested() {
	t.held, t.used, t.resting = 0, 0, time.Time{}
	clear(t.jobs)
}

// rests is how long a pause has to be.
func (t *turns) rests() time.Duration {
	if t.among() {
		return pauseAmong
	}
	return pauseIdle
}

// rest waits for so long, or until the context ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// look finds out whether others have written since the last part.
func (t *turns) look(ctx context.Context, tx *Tx) error {
	fresh := tx.fresh
	var version int64
	if err := tx.QueryRow(ctx, `PRAGMA data_version`).Scan(&version); err != nil {
		return err
	}
	tx.fresh = fresh // nothing of the database was read
	if t.version != 0 && t.version != version {
		t.others = time.Now()
	}
	t.version = version
	return nil
}

// among reports whether others have been seen to write lately.
func (t *turns) among() bool { return time.Since(t.others) < othersLately }

// most is how long a part may take.
func (t *turns) most(shared bool) time.Duration {
	most := partAlone
	switch {
	case t.among() || time.Since(t.contended) < contendedLately:
		most = PartTime
	case shared:
		most = partIdle
	}
	if shared {
		most = min(most, t.bound)
	}
	return most
}

// mostOpen is most for a part that can end as soon as somebody else wants to write.
func (t *turns) mostOpen() time.Duration {
	t.mu.Lock()
	waiting := t.waiting
	t.mu.Unlock()
	shared := t.shared()
	most := t.most(shared)
	switch {
	case waiting > 0:
		return min(most, PartTime)
	case most == partAlone:
		return partOpen
	}
	return most
}

// PartTime is how long this transaction should take at most, in all, if it is a part of a
// long job that can choose: PartTime, or more where nobody else wants to write. When it is
// committed, it is how long the job's next part should take.
func (t *Tx) PartTime() time.Duration { return cmp.Or(t.most, PartTime) }

// PartMost is PartTime for a part that asks again and again, and ends soon when the answer is less than
// it has taken by then: on SQLite it may take much longer, until somebody else wants to write.
func (t *Tx) PartMost() time.Duration {
	if t.turns != nil {
		t.most = t.turns.mostOpen()
	}
	return t.PartTime()
}
