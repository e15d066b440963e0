package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/deserialize"
	"github.com/morango-go/morango/stage/stream"
	"github.com/morango-go/morango/store/lacking"
	"github.com/morango-go/morango/wire"
)

// streamOut writes all records as a stream into the file.
func (w *walk) streamOut(ctx context.Context) error {
	if err := errors.Join(w.rewind(), w.spool.Truncate(0)); err != nil {
		return err
	}
	out := bufio.NewWriter(w.spool)
	zip, err := wire.Compress(out)
	if err != nil {
		return err
	}
	frames, err := wire.NewFrameWriter(zip, wire.StreamHeader{TransferSession: w.session, Profile: w.from.Profile.Name, Records: -1})
	if err != nil {
		return err
	}
	err = lacking.Pages(ctx, w.from.DB, lacking.Job{Profile: w.from.Profile, Filter: partition.All()}, chunk, func(p lacking.Page) error {
		for _, r := range p.Records {
			if err := frames.Record(r); err != nil {
				return err
			}
		}
		return frames.Reach(p.After)
	})
	if err == nil {
		err = errors.Join(frames.End(wire.StreamEnd{}), zip.Close(), out.Flush())
	}
	if err == nil {
		w.bytes, err = w.spool.Seek(0, io.SeekCurrent)
	}
	return err
}

func (w *walk) rewind() error {
	_, err := w.spool.Seek(0, io.SeekStart)
	return err
}

// streamIn merges the stream into the store of a database.
func (w *walk) streamIn(ctx context.Context) error { return w.stream(ctx, w.streamed, nil) }

// streamApplied merges the stream into the store of a database, and applies what it can.
func (w *walk) streamApplied(ctx context.Context) error {
	return w.stream(ctx, w.applied, deserialize.NewArrivals(w.applied))
}

func (w *walk) deserializeStreamed(ctx context.Context) error { return apply(ctx, w.streamed) }
func (w *walk) deserializeLeft(ctx context.Context) error     { return apply(ctx, w.applied) }

// streamChunk is how many records are merged in one transaction.
const streamChunk = 1000

// stream reads the stream from the file. apply may be nil.
func (w *walk) stream(ctx context.Context, env stage.Env, apply *deserialize.Arrivals) error {
	t, err := w.begin(ctx, env, stage.Queuing)
	if err == nil {
		err = env.DB.Write(ctx, func(tx *db.Tx) error { return session.MarkStream(ctx, tx, t) })
	}
	if err != nil {
		return err
	}
	if err := w.rewind(); err != nil {
		return err
	}
	unzip, err := wire.Decompress(bufio.NewReader(w.spool))
	if err != nil {
		return err
	}
	defer unzip.Close()
	frames, err := wire.NewFrameReader(unzip)
	if err != nil {
		return err
	}
	receiver := &stream.Receiver{Env: env, Merge: func(_ context.Context, _ *db.Tx, records []record.Record) (r stream.Report, err error) {
		return r, fmt.Errorf("record %s is in conflict", records[0].ID)
	}}
	if apply != nil {
		receiver.Apply = apply
	}
	var c stream.Chunk
	for !c.Last {
		f, err := frames.Next()
		switch {
		case err != nil:
			return err
		case f.End != nil:
			c.After, c.Last = f.End.After, true
		default:
			c.After, c.Pages = f.After, append(c.Pages, stream.Page{Records: f.Records, After: f.After})
		}
		if !c.Last && c.Records() < streamChunk {
			continue
		}
		last := c.Last
		for more := true; more; more = c.Records() > 0 {
			if t, c, err = receive(ctx, receiver, t, c, apply); err != nil {
				return err
			}
		}
		c.Last = last
	}
	return nil
}

// receive merges a chunk, and returns what is left of it.
func receive(ctx context.Context, receiver *stream.Receiver, t session.Transfer, c stream.Chunk, apply *deserialize.Arrivals) (_ session.Transfer, rest stream.Chunk, err error) {
	t, r, err := receiver.Receive(ctx, t, c)
	if apply != nil {
		apply.Committed()
	}
	_, rest = c.Cut(r.Pages)
	return t, rest, err
}

// begin makes a session in which a stage is complete.
func (w *walk) begin(ctx context.Context, env stage.Env, s stage.Stage) (session.Transfer, error) {
	now := env.Now()
	t := session.Transfer{ID: w.session, SyncSessionID: w.session, Push: true, Active: true,
		StartTime: now, LastTime: now, Stage: string(s), Status: string(stage.Completed)}
	if s == stage.Queuing {
		t.RecordsTotal = &w.total
	}
	err := env.DB.Write(ctx, func(tx *db.Tx) error {
		sync := session.Sync{ID: w.session, StartTime: now, LastTime: now, Active: true, IsServer: true, Profile: env.Profile.Name}
		return errors.Join(session.CreateSync(ctx, tx, sync), session.CreateTransfer(ctx, tx, t))
	})
	return t, err
}
