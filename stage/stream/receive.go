package stream

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
)

// Chunk is a part of what a sender sends, between two of its cursors. The records have been
// checked: see record.Check. Cursors are compared as texts: what they mean only the sender knows.
type Chunk struct {
	Before string // cursor after which the chunk begins; "" is the beginning
	Pages  []Page // each with a cursor greater than the one before; Last does not count
	After  string // cursor up to which it reaches, at least that of its last page
	Last   bool   // the sender has nothing beyond
}

// Records returns how many records the chunk has.
func (c Chunk) Records() (n int) {
	for _, p := range c.Pages {
		n += len(p.Records)
	}
	return n
}

// All goes through the chunk's records.
func (c Chunk) All() iter.Seq[*record.Record] {
	return func(yield func(*record.Record) bool) {
		for _, p := range c.Pages {
			for i := range p.Records {
				if !yield(&p.Records[i]) {
					return
				}
			}
		}
	}
}

// Report counts what became of a chunk's records; the last two are what the Merger says.
// Applied are those of the new ones that the application has already. Took is how long
// nobody else could write because of it, and Bound how long that should be at most.
type Report struct {
	New, FastForwards, Stale, Applied int64
	Conflicts, Joined                 int64
	Took, Bound                       time.Duration
}

func (r Report) plus(more Report) Report {
	r.New += more.New
	r.FastForwards += more.FastForwards
	r.Stale += more.Stale
	r.Applied += more.Applied
	r.Conflicts += more.Conflicts
	r.Joined += more.Joined
	return r
}

// Merger merges records into the store that are in conflict with what it holds, or differ
// from it in nothing but their version, in the transaction of the chunk. It reports how many
// were merged under a new version, and how many joined.
type Merger func(ctx context.Context, tx *db.Tx, records []record.Record) (Report, error)

// Applier applies new records in the transaction that merges them.
type Applier interface {
	// Begin is called when the transaction holds its locks, and has not written.
	Begin(ctx context.Context, tx *db.Tx) error
	// Apply writes those of the records into the application's tables of which there is no
	// doubt, and says which these are. The store has none of them yet; changed are those of
	// which it is about to get another version. On an error the transaction is rolled back.
	Apply(ctx context.Context, tx *db.Tx, fresh, changed []record.Record) (applied []bool, err error)
	// End is called when the transaction writes nothing more.
	End(ctx context.Context, tx *db.Tx) error
}

// Receive merges a chunk into the store and moves the transfer session's cursor, in one
// transaction. What came before is passed over. With the last chunk the stage of
// transferring is complete; a chunk that comes after that is accepted and changes nothing.
// ErrGap when records are missing before the chunk. apply may be nil.
func Receive(ctx context.Context, env stage.Env, have session.Transfer, c Chunk, merge Merger, apply Applier) (t session.Transfer, r Report, err error) {
	if c.Records() == 0 {
		t, err = c.end(ctx, env, have)
		return t, Report{}, err
	}
	var began time.Time
	var part *db.Tx
	err = env.DB.WritePart(ctx, have.ID, func(tx *db.Tx) (err error) {
		began, part = env.Now(), tx // and not before: it may have had to wait
		if err := tx.Lock(ctx, partition.Parse(have.Filter), false); err != nil {
			return err
		}
		if apply != nil {
			if err := apply.Begin(ctx, tx); err != nil {
				return err
			}
		}
		r = Report{}
		var all bool
		t, all, err = c.take(ctx, tx, env, have, func(fresh []record.Record) error {
			for _, records := range turns(fresh) {
				one, err := mergeRecords(ctx, tx, have.ID, records, merge, apply)
				if err != nil {
					return err
				}
				r = r.plus(one)
			}
			return nil
		})
		if err != nil || all || apply == nil {
			return err
		}
		return apply.End(ctx, tx)
	})
	if err != nil {
		return have, Report{}, fmt.Errorf("merge %d records of transfer session %s: %w", c.Records(), have.ID, err)
	}
	r.Took, r.Bound = env.Now().Sub(began), part.PartTime()
	return t, r, nil
}

// end is Receive of a chunk without records: nothing is merged, and nobody has to wait.
func (c Chunk) end(ctx context.Context, env stage.Env, have session.Transfer) (t session.Transfer, err error) {
	err = env.DB.Write(ctx, func(tx *db.Tx) error {
		t, _, err = c.take(ctx, tx, env, have, func([]record.Record) error { return nil })
		return err
	})
	if err != nil {
		return have, fmt.Errorf("note the end of what transfer session %s brings: %w", have.ID, err)
	}
	return t, nil
}

// take has the records merged that have not come before, and notes in the same transaction that
// the chunk has come. all says that all chunks had: then nothing is done. ErrNotReady, ErrGap.
func (c Chunk) take(ctx context.Context, tx *db.Tx, env stage.Env, have session.Transfer, merge func(fresh []record.Record) error) (t session.Transfer, all bool, err error) {
	if t, err = session.ActiveTransfer(ctx, tx, have.ID); err != nil {
		return t, false, err
	}
	if !stage.Reached(t, stage.Queuing) {
		return t, false, ErrNotReady
	}
	if stage.Reached(t, stage.Transferring) {
		return t, true, nil
	}
	before := t
	fresh, err := c.fresh(&t)
	if err == nil {
		err = merge(fresh)
	}
	if err != nil {
		return t, false, err
	}
	t.BytesSent, t.BytesReceived = have.BytesSent, have.BytesReceived
	c.note(&t, len(fresh))
	return t, false, session.Write(ctx, tx, before, &t, env.Now())
}

// turns puts records into groups in which no two have the same id: the first version of each
// that came, then the second, and so on.
func turns(records []record.Record) (groups [][]record.Record) {
	times := make(map[string]int, len(records))
	for _, r := range records {
		n := times[r.ID]
		times[r.ID] = n + 1
		if n == len(groups) {
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], r)
	}
	return groups
}

// fresh returns those of the chunk's records that have not come before, and moves the cursor.
func (c Chunk) fresh(t *session.Transfer) ([]record.Record, error) {
	cursor, _ := t.Cursor()
	if c.Before > cursor {
		return nil, fmt.Errorf("the transfer stands at %.200q, the chunk begins after %.200q: %w", cursor, c.Before, ErrGap)
	}
	var fresh []record.Record
	for _, p := range c.Pages {
		if p.After > cursor {
			fresh = append(fresh, p.Records...)
		}
	}
	return fresh, t.SetCursor(max(cursor, c.After))
}

// note notes the count, and the stage when that is complete.
func (c Chunk) note(t *session.Transfer, fresh int) {
	t.RecordsTransferred += int64(fresh)
	total := max(t.RecordsTransferred, valueOf(t.RecordsTotal)) // it was counted before the first page
	t.Stage, t.Status = string(stage.Transferring), string(stage.Pending)
	if c.Last {
		total, t.Status = t.RecordsTransferred, string(stage.Completed)
	}
	t.RecordsTotal = &total
}

func valueOf(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}
