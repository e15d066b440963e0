package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"time"
)

// checkpoints copies what was committed from the WAL into the file, beside the writer and on a
// connection of its own. In a large database a commit changes thousands of pages, and to copy
// them would take a sixth of the writer's time, or on a slow disk more.
//
// What is committed while it copies is left for the next time, so the WAL does not begin anew as long
// as somebody writes without a rest. When it has grown to the bound that suits the file the writer's own
// checkpoint, at the end of a commit, copies what is left: mostly the pages of that commit.
type checkpoints struct {
	pool   *sql.DB // of one connection, which is made when there is something to do
	wake   chan struct{}
	looked time.Time // when it was last woken
	stop   context.CancelFunc
	ended  chan struct{}

	suits atomic.Pointer[bounds] // the file as it is now
	set   bounds                 // for the writer
}

const (
	backlog   = 4000                  // pages that are worth a checkpoint
	lookEvery = 50 * time.Millisecond // at most, while there are many short transactions
)

// bounds are how long a WAL becomes.
type bounds struct {
	pages int // before the writer's own checkpoint
	bytes int // that it keeps when it begins anew
}

// boundsOf gives a larger file a longer WAL: a transaction that brings many records then changes thousands of pages all over it, half
// of which the next does too, and to copy each one time less is worth a tenth of all. Nor is such a WAL cut off when it begins
// anew, to be made as long again at once. It is a quarter of the file, and what one transaction adds to that.
func boundsOf(pages, pageBytes int) bounds {
	small := bounds{16_000, 64 << 20} // of up to half a gigabyte
	const most, step = 32_000, 4000   // in steps, for the bounds are set anew for each
	b := bounds{pages: min(pages/4/step*step, most)}
	if b.pages <= small.pages {
		return small
	}
	b.bytes = b.pages * pageBytes * 3 / 2
	return b
}

// settings has a new connection begin with the bounds.
func (b bounds) settings() string {
	return fmt.Sprintf("&_pragma=wal_autocheckpoint(%d)&_pragma=journal_size_limit(%d)", b.pages, b.bytes)
}

func newCheckpoints(path string) (*checkpoints, error) {
	pool, err := sql.Open("sqlite", dsn(path, copying))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	pool.SetMaxOpenConns(1)
	ctx, stop := context.WithCancel(context.Background())
	least := boundsOf(0, 0)
	c := &checkpoints{pool: pool, wake: make(chan struct{}, 1), stop: stop, ended: make(chan struct{}), set: least}
	c.suits.Store(&least)
	go c.run(ctx)
	return c, nil
}

// run copies whenever it is woken, until ctx ends. What cannot be copied now can be the next time; and
// what never can, the writer finds out.
func (c *checkpoints) run(ctx context.Context) {
	defer close(c.ended)
	for {
		select {
		case <-c.wake:
		case <-ctx.Done():
			return
		}
		var busy, pages, copied int
		err := c.pool.QueryRowContext(ctx, `PRAGMA wal_checkpoint(NOOP)`).Scan(&busy, &pages, &copied)
		if err == nil && pages-copied >= backlog {
			_, _ = c.pool.ExecContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`)
		}
		var file, pageBytes int
		if c.pool.QueryRowContext(ctx, `SELECT page_count, page_size FROM pragma_page_count, pragma_page_size`).Scan(&file, &pageBytes) == nil {
			suits := boundsOf(file, pageBytes)
			c.suits.Store(&suits)
		}
	}
}

// begun says that the writer has begun a transaction: what was committed before can be copied.
func (c *checkpoints) begun(ctx context.Context, tx *sql.Tx) error {
	now := time.Now()
	if now.Sub(c.looked) < lookEvery {
		return nil
	}
	c.looked = now
	select {
	case c.wake <- struct{}{}:
	default:
	}
	suits := *c.suits.Load()
	if suits == c.set {
		return nil
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA wal_autocheckpoint=%d; PRAGMA journal_size_limit=%d`, suits.pages, suits.bytes))
	if err != nil {
		return fmt.Errorf("set how long the WAL becomes: %w", err)
	}
	c.set = suits
	return nil
}

func (c *checkpoints) close() error {
	c.stop()
	<-c.ended
	return c.pool.Close()
}
