package stream

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
)

// Chunk is a part of what a sender sends: its records between two ids, in the order of
// theirs. They have been checked: see record.Check.
type Chunk struct {
	Before  string // id after which the chunk begins; "" is the beginning
	After   string // id up to which it reaches, at least that of its last record
	Last    bool   // the sender has nothing beyond
	Records []record.Record
}

// Report counts what became of a chunk's records. The conflicting ones are counted by
// who merged them. Took is how long nobody else could write because of it.
type Report struct {
	New, FastForwards, Stale int64
	Took                     time.Duration
}

// Merger merges records into the store that are in conflict with what it holds, or differ
// from it in nothing but their version, in the transaction of the chunk.
type Merger func(ctx context.Context, tx *db.Tx, records []record.Record) error

// Receive merges a chunk into the store and moves the transfer session's cursor, in one
// transaction. What came before is passed over. With the last chunk the stage of
// transferring is complete; a chunk that comes after that is accepted and changes nothing.
// ErrGap when records are missing before the chunk.
func Receive(ctx context.Context, env stage.Env, have session.Transfer, c Chunk, merge Merger) (t session.Transfer, r Report, err error) {
	var began time.Time
	err = env.DB.WritePart(ctx, have.ID, func(tx *db.Tx) (err error) {
		began = env.Now() // and not before: it may have had to wait
		if err := tx.Lock(ctx, partition.Parse(have.Filter), false); err != nil {
			return err
		}
		if t, err = session.ActiveTransfer(ctx, tx, have.ID); err != nil {
			return err
		}
		r = Report{}
		if stage.Reached(t, stage.Transferring) {
			return nil
		}
		if !stage.Reached(t, stage.Queuing) {
			return ErrNotReady
		}
		fresh, err := c.fresh(ctx, tx, t)
		if err != nil {
			return err
		}
		if r, err = mergeRecords(ctx, tx, t.ID, fresh, merge); err != nil {
			return err
		}
		t.BytesSent, t.BytesReceived = have.BytesSent, have.BytesReceived
		return c.note(ctx, tx, env, &t, len(fresh))
	})
	if err != nil {
		return have, Report{}, fmt.Errorf("merge %d records of transfer session %s: %w", len(c.Records), have.ID, err)
	}
	r.Took = env.Now().Sub(began)
	return t, r, nil
}

// fresh returns those of the chunk's records that have not come before.
func (c Chunk) fresh(ctx context.Context, tx *db.Tx, t session.Transfer) ([]record.Record, error) {
	sync, err := session.GetSync(ctx, tx, t.SyncSessionID)
	if err != nil {
		return nil, err
	}
	cursor, _ := sync.Cursor(t.ID)
	if c.Before > cursor {
		return nil, fmt.Errorf("the transfer stands at %.32q, the chunk begins after %.32q: %w", cursor, c.Before, ErrGap)
	}
	from, _ := slices.BinarySearchFunc(c.Records, cursor, func(r record.Record, id string) int { return strings.Compare(r.ID, id) })
	if from < len(c.Records) && c.Records[from].ID == cursor {
		from++
	}
	return c.Records[from:], session.SetCursor(ctx, tx, t, max(cursor, c.After))
}

// note keeps the count, and the stage when that is complete.
func (c Chunk) note(ctx context.Context, tx *db.Tx, env stage.Env, t *session.Transfer, fresh int) error {
	t.RecordsTransferred += int64(fresh)
	total := max(t.RecordsTransferred, valueOf(t.RecordsTotal)) // it was counted before the first page
	t.Stage, t.Status = string(stage.Transferring), string(stage.Pending)
	if c.Last {
		total, t.Status = t.RecordsTransferred, string(stage.Completed)
	}
	if t.RecordsTotal == nil || *t.RecordsTotal != total {
		t.RecordsTotal = &total
		if err := session.SetTotal(ctx, tx, t.ID, total); err != nil {
			return err
		}
	}
	progress := session.Progress{RecordsTransferred: t.RecordsTransferred, BytesSent: t.BytesSent, BytesReceived: t.BytesReceived}
	if err := session.SetProgress(ctx, tx, t.ID, progress, env.Now()); err != nil {
		return err
	}
	return session.SetStage(ctx, tx, t.ID, t.Stage, t.Status, env.Now())
}

func valueOf(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}
