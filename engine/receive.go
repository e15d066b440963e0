package engine

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/dequeue"
	"github.com/morango-go/morango/stage/deserialize"
	"github.com/morango-go/morango/stage/stream"
	"github.com/morango-go/morango/stage/transfer"
	"github.com/morango-go/morango/wire"
)

// incoming is a stream that is being read into a transfer session.
type incoming struct {
	e      *Engine
	t      session.Transfer
	side   side
	filter partition.Filter
	bytes  func() (sent, received int64)
	pace   pace
	chunk  stream.Chunk // what has come and is not merged yet
	apply  *deserialize.Arrivals

	receiver stream.Receiver
}

// StreamIn reads a stream, compressed as it comes, into the transfer session that t shows, which
// receives here, and merges it chunk by chunk into the store, of at most records records each (0: as
// suits the database). It returns the session as it is then, and how the stream ended; when
// it broke off, what came of it is merged all the same. bytes tells what the session has
// carried so far, each way; nil where nobody counts. The next chunk is read while one is
// merged; when StreamIn returns an error, from is closed if it can be, to end that.
//
// Errors of what is in the stream are *wire.FormatError, wire.ErrTooLarge, wire.ErrOrder,
// transfer.ErrInvalid and stream.ErrGap.
func (e *Engine) StreamIn(ctx context.Context, t session.Transfer, from io.Reader, records int, bytes func() (sent, received int64)) (_ session.Transfer, end wire.StreamEnd, err error) {
	in := &incoming{e: e, t: t, filter: partition.Parse(t.Filter), side: sideOf(t), bytes: bytes, pace: newPace(e.env.DB.Kind(), records)}
	if in.side.producer {
		return t, end, fmt.Errorf("transfer session %s: %w", t.ID, ErrWrongDirection)
	}
	in.apply = e.arrivals(t.ID)
	in.receiver = stream.Receiver{Env: e.env, Apply: in.apply, Merge: func(ctx context.Context, tx *db.Tx, records []record.Record) (stream.Report, error) {
		r, err := dequeue.Merge(ctx, tx, e.env, t.ID, records)
		return stream.Report{Conflicts: r.Conflicts, Joined: r.Joined}, err
	}}
	unzip, err := wire.Decompress(from)
	if err != nil {
		return t, end, err
	}
	defer unzip.Close()
	end, err = in.read(ctx, unzip, from)
	if err != nil {
		return in.t, end, fmt.Errorf("receive records of transfer session %s: %w", t.ID, err)
	}
	if end.More {
		e.rest(t.ID, in.apply)
	}
	return in.t, end, nil
}

// resting is what is known of the targets of a transfer session whose stream goes on with the next request.
type resting struct {
	session string
	apply   *deserialize.Arrivals
}

// arrivals applies the records that come to a session: with what was learned from the part of its stream before, if no other
// has ended since.
func (e *Engine) arrivals(session string) *deserialize.Arrivals {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.resting; r.session == session {
		e.resting = resting{}
		return r.apply
	}
	return deserialize.NewArrivals(e.env)
}

// rest keeps what was learned until the next part comes. It takes some megabytes, so there is one at most.
func (e *Engine) rest(session string, apply *deserialize.Arrivals) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.resting = resting{session, apply}
}

// read reads the stream to its end. Raw is what it comes from.
func (in *incoming) read(ctx context.Context, from, raw io.Reader) (end wire.StreamEnd, err error) {
	r, err := wire.NewFrameReader(from)
	if err != nil {
		return end, err
	}
	if err := in.begin(ctx, r.Header()); err != nil {
		return end, err
	}
	in.chunk.Before, in.chunk.After = r.Header().After, r.Header().After
	next := in.readAhead(ctx, r, raw)
	defer next.stop()
	for {
		p, err := next.take(ctx)
		if err == nil {
			err = in.takeAll(ctx, p.frames, &end)
		}
		switch {
		case err != nil:
			if !p.last() {
				next.close()
			}
			return end, err
		case p.broken != nil:
			panic(p.broken)
		case p.ended():
			return end, nil
		case errors.Is(p.err, io.ErrUnexpectedEOF): // what is whole need not come again
			return end, errors.Join(p.err, in.flush(ctx, true))
		case p.err != nil:
			return end, p.err
		}
	}
}

// takeAll takes frames, and notes how the stream ends.
func (in *incoming) takeAll(ctx context.Context, frames []checkedFrame, end *wire.StreamEnd) error {
	for _, f := range frames {
		if err := in.take(ctx, f); err != nil {
			return err
		}
		if f.End != nil {
			*end = *f.End
		}
	}
	return nil
}

// begin holds the stream's header against the session. A claim that the sender had not told
// before comes with it, or at the end.
func (in *incoming) begin(ctx context.Context, h wire.StreamHeader) error {
	if h.TransferSession != in.t.ID || h.Profile != in.e.env.Profile.Name || partition.Parse(h.Filter).String() != in.filter.String() {
		return fmt.Errorf("a stream of transfer session %.40q, profile %.40q and filter %.200q: %w: %w",
			h.TransferSession, h.Profile, h.Filter, transfer.ErrInvalid, ErrNotReady)
	}
	if stage.Reached(in.t, stage.Queuing) {
		return nil
	}
	if !in.side.server {
		return ErrNotReady
	}
	var u Update
	if h.Claim != "" {
		u.ClientFSIC = &h.Claim
	}
	if h.Records >= 0 && h.Records <= counter.Greatest {
		u.RecordsTotal = &h.Records
	}
	t, _, err := in.e.Queue(ctx, in.t, u, Terms{V2: true, Async: true, Stream: true})
	if err == nil && !stage.Reached(t, stage.Queuing) {
		err = ErrNotReady
	}
	in.t = t
	return err
}

// take adds a frame to the chunk, and merges as much as is worth a transaction.
func (in *incoming) take(ctx context.Context, f checkedFrame) error {
	if err := in.leaveOut(ctx, f); err != nil {
		return err
	}
	if f.After != "" {
		in.chunk.After = f.After
		in.chunk.Pages = append(in.chunk.Pages, stream.Page{Records: f.Records, After: f.After})
	}
	if f.End != nil {
		in.chunk.After, in.chunk.Last = f.End.After, !f.End.More
		if in.chunk.Last && f.End.Claim != "" {
			if err := in.takeClaim(ctx, f.End.Claim); err != nil {
				return err
			}
		}
	}
	return in.flush(ctx, f.End != nil)
}

// takeClaim keeps the claim with which a push ends, where its sender had told none before. It
// is looked at as in Confirm, and nothing of what was left out before is claimed.
func (in *incoming) takeClaim(ctx context.Context, text string) error {
	if !in.side.server || in.t.ClientFSIC != untold {
		return nil
	}
	if _, err := in.e.Confirm(ctx, in.t, text); err != nil {
		return err
	}
	return in.e.env.DB.Write(ctx, func(tx *db.Tx) error {
		t, err := session.ActiveTransfer(ctx, tx, in.t.ID)
		if err != nil || t.ClientFSIC != untold || stage.Reached(t, stage.Transferring) {
			return err
		}
		left := t.LeftOut()
		return errors.Join(session.SetClientFSIC(ctx, tx, t.ID, text),
			claimLess(ctx, tx, t, in.side, left.Unsent.Lowest), claimLess(ctx, tx, t, in.side, left.Refused.Lowest))
	})
}

// untold is the claim of a side that has told none.
const untold = "{}"

// leaveOut notes the records of a frame that this side does not take, and what the sender
// says it could not send. It claims nothing of either.
func (in *incoming) leaveOut(ctx context.Context, f checkedFrame) error {
	if len(f.left) == 0 && len(f.LeftOut) == 0 {
		return nil
	}
	return in.e.env.DB.Write(ctx, func(tx *db.Tx) error {
		if err := doWithout(ctx, tx, in.t, in.side, f.left, f.LeftOut); err != nil {
			return err
		}
		now, err := session.GetTransfer(ctx, tx, in.t.ID)
		in.t.Within = now.Within
		return err
	})
}

// flush merges what has come in chunks of the size that suits: all of it, or as long as
// there is a whole chunk, or more than may wait in memory.
func (in *incoming) flush(ctx context.Context, all bool) error {
	for {
		n := in.chunk.Records()
		moved := all && (in.chunk.Last || in.chunk.After != in.chunk.Before)
		if n == 0 && !moved || n > 0 && n < in.pace.size && !all && weight(in.chunk) <= in.pace.bytes {
			return nil
		}
		first, _ := in.chunk.Cut(pagesOf(in.chunk, in.pace.size))
		pages, err := in.merge(ctx, first)
		if err != nil {
			return err
		}
		_, in.chunk = in.chunk.Cut(pages)
	}
}

// merge merges one chunk, or its first pages, and says how many. Before that it looks at what the
// records have seen of this database's own instances: see Confirm.
func (in *incoming) merge(ctx context.Context, c stream.Chunk) (pages int, err error) {
	defer in.apply.Decode(c.All())()
	known := counter.Counters{}
	for r := range c.All() {
		for instance, n := range r.History {
			known[instance] = max(known[instance], n)
		}
	}
	if _, err := in.e.confirm(ctx, in.t, known); err != nil {
		return 0, err
	}
	if c.Records() > 0 {
		if err := in.e.serializeFirst(ctx, &in.t, in.side); err != nil {
			return 0, err
		}
	}
	if in.bytes != nil {
		in.t.BytesSent, in.t.BytesReceived = in.bytes()
	}
	t, r, err := in.receiver.Receive(ctx, in.t, c)
	if err == nil {
		in.apply.Committed()
	} else if in.apply.Refused(err) { // then the stage finds out which row it is
		plain := stream.Receiver{Env: in.receiver.Env, Merge: in.receiver.Merge}
		t, r, err = plain.Receive(ctx, in.t, c)
	}
	if err != nil {
		return 0, err
	}
	in.t = t
	come, _ := c.Cut(r.Pages)
	in.pace.took(come.Records(), r.Took, r.Bound)
	in.e.note(t.ID, in.side, func(all *Report) {
		all.Dequeued = all.Dequeued.Plus(dequeue.Report{New: r.New, FastForwards: r.FastForwards, Stale: r.Stale,
			Conflicts: r.Conflicts, Joined: r.Joined})
		all.Deserialized.Applied += r.Applied
	})
	transfer.Emit(in.e.env, t)
	return r.Pages, nil
}
