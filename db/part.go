package db

import (
	"context"
	"time"
)

// On SQLite there is one writer, and programs that wait for their turn do not stand in a
// queue: they look again after 1, 2, 5, 10, 15, 20, then 25 milliseconds, and after an
// eighth of a second only every 50 and 100. Whoever writes one transaction after the
// other keeps them out for as long as it likes. So a long job is done in parts of about
// PartTime, and when parts have held the database for a while there is a pause, in which
// everybody who has waited for less than an eighth of a second looks once. It is longer,
// and comes sooner, where others have been writing lately: on a busy machine they oversleep.
// Where nobody else has, a part may take partAlone, after which whoever came at its
// beginning still looks in the pause.
const (
	PartTime     = 50 * time.Millisecond
	partAlone    = 90 * time.Millisecond
	heldAlone    = 75 * time.Millisecond
	pauseAlone   = 25 * time.Millisecond
	heldAmong    = 40 * time.Millisecond
	pauseAmong   = 45 * time.Millisecond
	othersLately = 10 * time.Second
)

// parts keeps the parts of long jobs apart.
type parts struct {
	turn    chan struct{} // whose it is holds the one place in it
	held    time.Duration // how long parts wrote since the last pause
	jobs    map[any]bool  // whose parts these were
	ended   time.Time     // of the last part
	version int64         // changes when others write; 0 before the first part
	others  time.Time     // when they were seen to have written
}

// WritePart is Write for one of the many transactions of a long job, each of which should
// not take much longer than PartTime. On SQLite it lets other programs, short transactions
// of this one, and other jobs, write in between. What the parts of a job have in common,
// a pointer or an id, is job. On PostgreSQL a part looks rows up by indexes, however few a
// table had when the server planned that: see Tx.lookUp.
func (d *DB) WritePart(ctx context.Context, job any, f func(*Tx) error) error {
	if d.kind != SQLite {
		return d.Write(ctx, func(tx *Tx) error {
			if err := tx.lookUp(ctx); err != nil {
				return err
			}
			return f(tx)
		})
	}
	p := d.parts
	if err := p.enter(ctx, job); err != nil {
		return err
	}
	defer func() { <-p.turn }()
	var began time.Time
	defer func() {
		p.ended = time.Now()
		if !began.IsZero() {
			p.held += p.ended.Sub(began)
			p.jobs[job] = true
		}
	}()
	return d.Write(ctx, func(tx *Tx) error {
		began = time.Now()
		if err := p.look(ctx, tx); err != nil {
			return err
		}
		if !p.among() {
			tx.most = partAlone
		}
		return f(tx)
	})
}

// look finds out whether others have written since the last part.
func (p *parts) look(ctx context.Context, tx *Tx) error {
	fresh := tx.fresh
	var version int64
	if err := tx.QueryRow(ctx, `PRAGMA data_version`).Scan(&version); err != nil {
		return err
	}
	tx.fresh = fresh // nothing of the database was read
	if p.version != 0 && p.version != version {
		p.others = time.Now()
	}
	p.version = version
	return nil
}

// among reports whether others have been seen to write lately.
func (p *parts) among() bool { return time.Since(p.others) < othersLately }

// PartTime is how long this transaction should take at most, in all, if it is a part of a
// long job that can choose: PartTime, or more where nobody else has written lately.
func (t *Tx) PartTime() time.Duration { return max(t.most, PartTime) }

// enter waits for the job's turn. It pauses before, so that others have their chance, if it
// is time for that.
func (p *parts) enter(ctx context.Context, job any) error {
	for {
		select {
		case p.turn <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		rest := p.pause(job)
		if rest <= 0 {
			return nil
		}
		<-p.turn
		select {
		case <-time.After(rest):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pause tells for how long a job has to wait now. One that has done nothing since the last
// pause is one of those for whom the others wait.
func (p *parts) pause(job any) time.Duration {
	most, least := heldAlone, pauseAlone
	if p.among() {
		most, least = heldAmong, pauseAmong
	}
	rest := least - time.Since(p.ended)
	if rest > 0 && (p.held < most || !p.jobs[job]) {
		return 0
	}
	p.held = 0
	clear(p.jobs)
	return rest
}
