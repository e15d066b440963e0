package db

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/morango-go/morango/db/transaction"
)

// server is what is known of a PostgreSQL server, on which nobody waits for a writer but who
// locks the same partitions, or writes the same rows. They stand in a queue: who waits, waits for
// one part. So a part may take partAlone while none was waited for lately, and PartTime
// when one was, for a small sync locks its partitions several times. The zero value knows of
// nobody.
type server struct {
	awaited atomic.Int64 // when a part was last seen to be waited for, in nanoseconds of Unix time
}

// part is WritePart on PostgreSQL. It looks rows up by indexes, however few a table had when
// the server planned that: see Tx.LookUp.
func (s *server) part(ctx context.Context, d *DB, f func(*Tx) error) error {
	return d.write(ctx, func(tx *Tx) error {
		if err := tx.LookUp(ctx); err != nil {
			return err
		}
		tx.most = s.most(time.Now())
		if err := f(tx); err != nil {
			return err
		}
		return s.look(ctx, tx)
	})
}

// most is how long a part may take.
func (s *server) most(now time.Time) time.Duration {
	if now.Sub(time.Unix(0, s.awaited.Load())) < othersLately {
		return PartTime
	}
	return partAlone
}

// look finds out, at the end of a part, whether somebody waits for it.
func (s *server) look(ctx context.Context, tx *Tx) error {
	engine, ok := tx.dialect.(interface {
		Awaited(ctx context.Context, tx *transaction.Tx) (bool, error)
	})
	if !ok {
		return nil
	}
	waits, err := engine.Awaited(ctx, tx.tx)
	if err != nil {
		return fmt.Errorf("look whether others wait: %w", err)
	}
	if waits {
		s.awaited.Store(time.Now().UnixNano())
		tx.most = PartTime // by which the job measures its next part
	}
	return nil
}
