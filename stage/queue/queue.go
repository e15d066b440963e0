// Package queue fills the buffer of a transfer session on the sending side with
// every record of the filter that the receiver does not yet have.
//
// It belongs to the stages layer. It imports the words and tables layers and
// package stage. On a row's path it leads from the store into the buffer.
package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store/lacking"
)

// Job says what to queue, of the profile of the environment. Receiver is the receiver's claim,
// expanded to the prefixes of the filter; empty means that it has nothing. The zero Filter stands
// for everything.
type Job struct {
	TransferSession string
	Filter          partition.Filter
	Receiver        counter.ByPartition
	// Sift says which records can be sent, and which no receiver would take: those are
	// counted as left out. Nil is all can.
	Sift func([]record.Record) (sound []record.Record, left []session.Omitted)
}

// A buffer is filled in parts of so many pages, so that nobody who wants to write waits for more.
const (
	pageRows  = 500
	partPages = 4
)

// errQueued says that the session's stage is complete.
var errQueued = errors.New("everything is queued")

// Run fills the session's buffer in transactions of bounded length, each of which also notes how
// far it is, so that whoever runs it again goes on there. It returns the number of records in the buffer,
// which is that of session.Transfer.Queued unless others fill it too.
//
// What our own FSIC says plays no part: a version that we hold without claiming it
// has to travel too, or it hides an older one that the receiver then claims.
//
// Two processes can run it for one session. Each puts all that it reads into the buffer unless it is there,
// so that is complete when the first of them ends; the other then finds the stage complete, and stops.
// Versions that are saved meanwhile may travel or not: the claim that goes with the transfer is older.
func Run(ctx context.Context, env stage.Env, job Job) (records int64, err error) {
	f := filling{env: env, job: job, rows: pageRows}
	return f.run(ctx)
}

// filling is a run.
type filling struct {
	env     stage.Env
	job     Job
	rows    int // of a page, at most
	pages   int // read, and not in the buffer yet
	records []record.Record
	after   string // cursor of the last of them
	done    int64  // how many records are in the buffer
}

func (f *filling) run(ctx context.Context) (records int64, err error) {
	f.env.Emit(f.event(stage.Started, 0))
	var t session.Transfer
	err = f.env.DB.Read(ctx, func(tx *db.Tx) (err error) {
		t, err = f.look(ctx, tx)
		return err
	})
	if err == nil {
		err = f.fill(ctx, t.Queued().After)
	}
	if err != nil && !errors.Is(err, errQueued) {
		return 0, fmt.Errorf("queue transfer session %s: %w", f.job.TransferSession, err)
	}
	f.env.Emit(f.event(stage.Completed, f.done))
	return f.done, nil
}

// look returns the session, and notes how much its buffer has. errQueued when that is all: the stage is complete, or
// will be when a hook has had its say. Then a peer may count on the buffer as it is.
func (f *filling) look(ctx context.Context, tx *db.Tx) (session.Transfer, error) {
	t, err := session.ActiveTransfer(ctx, tx, f.job.TransferSession)
	f.done = t.Queued().Records
	if err == nil && (stage.Reached(t, stage.Queuing) || t.RecordsTotal != nil) {
		err = errQueued
	}
	return t, err
}

// fill reads what the receiver lacks, after a cursor.
func (f *filling) fill(ctx context.Context, after string) error {
	from := lacking.Job{Profile: f.env.Profile, Filter: f.job.Filter, Receiver: f.job.Receiver, After: after}
	page := func(p lacking.Page) error { return f.page(ctx, p) }
	err := lacking.Pages(ctx, f.env.DB, from, f.rows, page)
	if from.After != "" && errors.Is(err, lacking.ErrCursor) { // another version of the program has begun
		from.After = ""
		err = lacking.Pages(ctx, f.env.DB, from, f.rows, page)
	}
	return err
}

// page takes a page, and puts all that it has into the buffer when that is worth a transaction.
func (f *filling) page(ctx context.Context, p lacking.Page) error {
	f.records, f.after = append(f.records, p.Records...), p.After
	if f.pages++; f.pages < partPages && !p.Last {
		return nil
	}
	records := f.records
	f.pages, f.records = 0, nil
	if len(records) == 0 {
		return nil
	}
	return f.put(ctx, once(records))
}

// once leaves one of the records with the same id, and puts them into the order of ids, which is that of
// the buffer. That a record comes twice is rare: a page can show a row that has moved since the one before.
func once(records []record.Record) []record.Record {
	slices.SortFunc(records, func(a, b record.Record) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(records, func(a, b record.Record) bool { return a.ID == b.ID })
}

// put puts records into the buffer, and notes how far it is.
func (f *filling) put(ctx context.Context, records []record.Record) error {
	var left []session.Omitted
	if f.job.Sift != nil {
		records, left = f.job.Sift(records)
	}
	err := f.env.DB.WritePart(ctx, f.job.TransferSession, func(tx *db.Tx) error {
		// Whoever else fills this buffer now waits here, and does not run into what this one puts into it.
		if err := session.Touch(ctx, tx, f.job.TransferSession, f.env.Now()); err != nil {
			return err
		}
		t, err := f.look(ctx, tx)
		if err != nil {
			return err
		}
		added, err := buffer.Add(ctx, tx, t.ID, records)
		if err != nil {
			return err
		}
		before, was := t, t.Queued()
		f.done = was.Records + added
		err = t.SetQueued(session.Queued{After: max(was.After, f.after), Records: f.done})
		if err == nil && len(left) > 0 {
			err = t.ChangeLeftOut(func(all *session.LeftOut) error {
				all.Unsent.Note(left)
				return nil
			})
		}
		if err != nil {
			return err
		}
		return session.Write(ctx, tx, before, &t, f.env.Now())
	})
	if err == nil {
		f.env.Emit(f.event(stage.Started, 0))
	}
	return err
}

// event says how far the stage is. A total of 0 is not known.
func (f *filling) event(status stage.Status, total int64) stage.Event {
	return stage.Event{TransferSession: f.job.TransferSession, Stage: stage.Queuing, Status: status, Done: f.done, Total: total}
}
