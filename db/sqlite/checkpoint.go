package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// checkpoints copies what was committed from the WAL into the file, beside the writer and on a
// connection of its own. In a large database a commit changes thousands of pages, and to copy
// them would take a sixth of the writer's time, or on a slow disk more.
//
// What is committed while it copies is left for the next time, so the WAL does not begin anew as long
// as somebody writes without a rest. When it has grown to 16,000 pages the writer's own checkpoint, at the end of
// a commit, copies what is left (see writing): mostly the pages of that commit.
type checkpoints struct {
	pool   *sql.DB // of one connection, which is made when there is something to do
	wake   chan struct{}
	looked time.Time // when it was last woken
	stop   context.CancelFunc
	ended  chan struct{}
}

const (
	backlog   = 4000                  // pages that are worth a checkpoint
	lookEvery = 50 * time.Millisecond // at most, while there are many short transactions
)

func newCheckpoints(path string) (*checkpoints, error) {
	pool, err := sql.Open("sqlite", dsn(path, copying))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	pool.SetMaxOpenConns(1)
	ctx, stop := context.WithCancel(context.Background())
	c := &checkpoints{pool: pool, wake: make(chan struct{}, 1), stop: stop, ended: make(chan struct{})}
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
	}
}

// begun says that the writer has begun a transaction: what was committed before can be copied.
func (c *checkpoints) begun() {
	now := time.Now()
	if now.Sub(c.looked) < lookEvery {
		return
	}
	c.looked = now
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *checkpoints) close() error {
	c.stop()
	<-c.ended
	return c.pool.Close()
}
