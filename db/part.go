package db

import (
	"context"
	"time"
)

// On SQLite there is one writer, and programs that wait for their turn do not stand in a
// queue: they look again after 1, 2, 5, 10, 15, 20, then 25 milliseconds, and after an
// eighth of a second only every 50 and 100. Whoever writes one transaction after the
// other would keep them out for as long as it likes. So a long job is done in parts of
// about PartTime, and when parts have held the database for that long there is a pause
// in which everybody who has waited for less than an eighth of a second looks once.
const (
	PartTime  = 50 * time.Millisecond
	partPause = 25 * time.Millisecond
)

// parts keeps the parts of long jobs apart.
type parts struct {
	turn  chan struct{} // whose it is holds the one place in it
	held  time.Duration // how long parts wrote since the last pause
	ended time.Time     // of the last part
}

// WritePart is Write for one of the many transactions of a long job, each of which should
// not take much longer than PartTime. On SQLite it lets other programs, and short
// transactions of this one, write in between.
func (d *DB) WritePart(ctx context.Context, f func(*Tx) error) error {
	if d.kind != SQLite {
		return d.Write(ctx, f)
	}
	p := d.parts
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := p.pause(ctx); err != nil {
		return err
	}
	var began time.Time
	defer func() {
		p.ended = time.Now()
		if !began.IsZero() {
			p.held += p.ended.Sub(began)
		}
	}()
	return d.Write(ctx, func(tx *Tx) error {
		began = time.Now()
		return f(tx)
	})
}

// pause waits until others have had their chance, if it is time for that.
func (p *parts) pause(ctx context.Context) error {
	rest := partPause - time.Since(p.ended)
	if rest <= 0 {
		p.held = 0
		return nil
	}
	if p.held < PartTime {
		return nil
	}
	p.held = 0
	select {
	case <-time.After(rest):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
