// Package queue fills the buffer of a transfer session on the sending side with
// every record of the filter that the receiver does not yet have.
//
// It belongs to the stages layer. It imports the words and tables layers and
// package stage. On a row's path it leads from the store into the buffer.
package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store"
)

// Job says what to queue, of the profile of the environment. Receiver is the receiver's claim,
// expanded to the prefixes of the filter; empty means that it has nothing. The zero Filter stands
// for everything.
type Job struct {
	TransferSession string
	Filter          partition.Filter
	Receiver        counter.ByPartition
	// Unsound returns those of a page of records that no receiver would take: they are counted as left out. Nil is none.
	Unsound func([]record.Record) []session.Omitted
}

// How many records of the store are looked at in one transaction. On PostgreSQL nobody waits for it.
const (
	partRows         = 2000
	partRowsPostgres = 20_000
)

// How long a list of the records that are to travel may be, and up to how many records
// under a narrow filter one is made. See store.Lacking.Find. Under a filter with more of them, which is
// narrow all the same, it is as long as that, and there is one after the other: see store.Lacking.Windows.
const (
	maxChanged = 20_000
	maxUnder   = 100_000
)

// errQueued says that the session's stage is complete.
var errQueued = errors.New("everything is queued")

// Run fills the session's buffer, and returns the number of records in it. It goes through the
// store in the order of ids, in transactions of bounded length, each of which also notes how far the buffer
// is filled: whoever runs it again, or another process at the same time, goes on there.
//
// What our own FSIC says plays no part: a version that we hold without claiming it
// has to travel too, or it hides an older one that the receiver then claims.
// Versions that are saved meanwhile may travel or not: the claim that goes with the transfer is older.
func Run(ctx context.Context, env stage.Env, job Job) (records int64, err error) {
	f := filling{env: env, job: job, rows: partRows, changed: maxChanged, under: maxUnder}
	if env.DB.Kind() == db.Postgres {
		f.rows = partRowsPostgres
	}
	if env.SerializeRows > 0 {
		f.rows = env.SerializeRows
	}
	return f.run(ctx)
}

// filling is a run.
type filling struct {
	env  stage.Env
	job  Job
	rows int // of the store, in one transaction

	changed, under int64    // how long a list may be
	listed         bool     // there is one:
	ids            []string // sorted
	end            string   // up to where it lists
	window         int64    // it is one after the other, of so many ids; 0: there is one for all
	done           session.Queued
}

func (f *filling) run(ctx context.Context) (records int64, err error) {
	f.env.Emit(f.event(stage.Started, 0))
	err = f.env.DB.Read(ctx, func(tx *db.Tx) error { return f.look(ctx, tx) })
	for err == nil && !f.done.All() {
		if f.window > 0 && f.done.After >= f.end {
			err = f.env.DB.Read(ctx, func(tx *db.Tx) error { return f.nextWindow(ctx, tx) })
		}
		if err == nil {
			err = f.env.DB.WritePart(ctx, f.job.TransferSession, func(tx *db.Tx) error { return f.part(ctx, tx) })
		}
		if err == nil {
			f.env.Emit(f.event(stage.Started, 0))
		}
	}
	if err != nil && !errors.Is(err, errQueued) {
		return 0, fmt.Errorf("queue transfer session %s: %w", f.job.TransferSession, err)
	}
	f.env.Emit(f.event(stage.Completed, f.done.Records))
	return f.done.Records, nil
}

// look looks how far the buffer is filled, and makes a list of what is to travel where that is little.
func (f *filling) look(ctx context.Context, tx *db.Tx) error {
	if _, err := f.open(ctx, tx); err != nil {
		return err
	}
	var err error
	f.ids, f.listed, err = f.lacking().Find(ctx, tx, f.changed, f.under)
	if f.end = ident.Highest; f.listed && len(f.ids) == 0 {
		f.done.After = f.end // and there is nothing to be noted
	}
	if err != nil || f.listed {
		return err
	}
	if f.window == 0 {
		narrow, err := f.lacking().Windows(ctx, tx, f.under)
		if err != nil || !narrow {
			return err
		}
		f.window = f.under
	}
	f.listed = true
	return f.nextWindow(ctx, tx)
}

func (f *filling) lacking() store.Lacking {
	return store.Lacking{Profile: f.env.Profile.Name, Filter: f.job.Filter, Receiver: f.job.Receiver}
}

// nextWindow lists what is to travel next.
func (f *filling) nextWindow(ctx context.Context, tx *db.Tx) (err error) {
	f.ids, f.end, err = f.lacking().Window(ctx, tx, f.done.After, f.window)
	return err
}

// open returns the session, and sees how far its buffer is filled. errQueued when the stage is complete, or will
// be when a hook has had its say: then a peer may count on the buffer as it is.
func (f *filling) open(ctx context.Context, tx *db.Tx) (session.Transfer, error) {
	t, err := session.ActiveTransfer(ctx, tx, f.job.TransferSession)
	f.done = t.Queued()
	if err == nil && (stage.Reached(t, stage.Queuing) || t.RecordsTotal != nil) {
		err = errQueued
	}
	return t, err
}

// part fills the buffer from where it stands with what the next of the store's records has that is to travel.
func (f *filling) part(ctx context.Context, tx *db.Tx) error {
	// Whoever else fills this buffer now waits here, and then goes on after what this one puts into it.
	if err := session.Touch(ctx, tx, f.job.TransferSession, f.env.Now()); err != nil {
		return err
	}
	t, err := f.open(ctx, tx)
	if err != nil || f.done.All() {
		return err
	}
	before, from := t, f.done.After
	if f.window > 0 && from >= f.end { // somebody else has filled it so far
		return nil
	}
	if from == "" { // what an earlier version of the program, or the reference, has left
		if err := buffer.Drop(ctx, tx, t.ID); err != nil {
			return err
		}
	}
	to, err := f.next(ctx, tx, from)
	if err != nil {
		return err
	}
	added, left, err := f.put(ctx, tx, from, to)
	if err != nil {
		return err
	}
	done := session.Queued{After: to, Records: f.done.Records + added}
	err = errors.Join(t.SetQueued(done), t.ChangeLeftOut(func(all *session.LeftOut) error {
		all.Unsent.Note(left)
		return nil
	}))
	if err == nil {
		err = session.Write(ctx, tx, before, &t, f.env.Now())
	}
	f.done = done
	return err
}

// next says up to which id the part goes: ident.Highest is the end.
func (f *filling) next(ctx context.Context, tx *db.Tx, from string) (to string, err error) {
	if f.listed {
		if rest := f.ids[f.upTo(from):]; len(rest) > f.rows {
			return rest[f.rows-1], nil
		}
		return f.end, nil
	}
	var id db.ID
	err = tx.QueryRow(ctx, `SELECT id FROM morango_store s WHERE `+after("s.id", 1, from)+` ORDER BY id LIMIT 1 OFFSET $2`, fromID(from), f.rows-1).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return ident.Highest, nil
	}
	return string(id), err
}

// upTo is how many ids of the list are not after one.
func (f *filling) upTo(id string) int {
	n, there := slices.BinarySearch(f.ids, id)
	if there {
		n++
	}
	return n
}

// after is a condition that a column is an id after another, "" at the beginning, which is a parameter: see fromID.
func after(column string, parameter int, from string) string {
	if from == "" {
		return fmt.Sprintf("%s >= $%d", column, parameter)
	}
	return fmt.Sprintf("%s > $%d", column, parameter)
}

// fromID is an id to compare with: PostgreSQL would not compare with "".
func fromID(from string) string { return max(from, ident.Lowest) }

func (f *filling) event(status stage.Status, total int64) stage.Event {
	return stage.Event{
		TransferSession: f.job.TransferSession, Stage: stage.Queuing, Status: status,
		Done: f.done.Records, Total: total,
	}
}
