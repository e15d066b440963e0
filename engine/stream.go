package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/stream"
	"github.com/morango-go/morango/store"
	"github.com/morango-go/morango/store/lacking"
	"github.com/morango-go/morango/wire"
)

// TermsOf returns the terms of two peers that share these capabilities.
func TermsOf(both wire.Set) Terms {
	t := Terms{V2: both.Has(wire.FSICv2Format), Async: both.Has(wire.AsyncOperations)}
	t.Stream = t.V2 && t.Async && both.Has(wire.MoranGo) && both.Has(wire.Stream1)
	return t
}

// StreamOptions say how much of a transfer session a stream is to hold. The zero value of
// a field is its default.
type StreamOptions struct {
	After   string        // cursor after which it begins
	Records int64         // the most records; default: no bound
	Time    time.Duration // after which it ends with more to come; default StreamTime
	// Sent hears how many records the stream holds, after each page. Nil: nobody does.
	Sent func(records int64)
}

// StreamTime is how long a sender goes on with one request: many a proxy ends those that
// last for more than half a minute.
const StreamTime = 20 * time.Second

// pageRows is how many records are read at a time, if they are not long.
const pageRows = 500

// errEnough ends the reading of pages.
var errEnough = errors.New("enough for one request")

// StreamOut writes the records of the transfer session that t shows, which this side sends, compressed, and
// returns how the stream ended. What it writes to must not wait for ever.
func (e *Engine) StreamOut(ctx context.Context, t session.Transfer, o StreamOptions, to io.Writer) (wire.StreamEnd, error) {
	end, err := e.streamOut(ctx, t, o, to)
	if err != nil {
		return end, fmt.Errorf("send records of transfer session %s: %w", t.ID, err)
	}
	return end, nil
}

// outgoing is a stream that is being written.
type outgoing struct {
	e     *Engine
	t     session.Transfer
	left  session.LeftOut // when it begins
	side  side
	job   lacking.Job
	o     StreamOptions
	began time.Time
	rows  int // of a page
	w     *wire.FrameWriter
	end   wire.StreamEnd // how it would end now
	quiet bool           // what leaves has been told already
}

func (e *Engine) streamOut(ctx context.Context, t session.Transfer, o StreamOptions, to io.Writer) (end wire.StreamEnd, err error) {
	out := &outgoing{e: e, t: t, left: t.LeftOut(), side: sideOf(t), o: o, began: e.env.Now(), rows: pageRows}
	header, a, ahead, err := out.begin(ctx)
	if err != nil {
		return end, err
	}
	compress := wire.Compress
	if !ahead && out.empty() {
		compress = wire.CompressLittle
	}
	zip, err := compress(to)
	if err != nil {
		return end, err
	}
	if out.w, err = wire.NewFrameWriter(zip, header); err != nil {
		return end, err
	}
	if o.After == "" { // else it was told at the beginning
		if err := tellRows(out.w, out.left.Unsent); err != nil {
			return end, err
		}
	}
	if ahead {
		err = out.ahead(ctx, a)
	} else {
		err = out.pages(ctx)
	}
	if err != nil && !errors.Is(err, errEnough) {
		return out.end, err
	}
	if end = out.end; ahead && !end.More {
		end.Claim = out.t.ClientFSIC
	}
	end.Records = out.w.Records()
	return end, errors.Join(out.w.End(end), zip.Close())
}

// pages sends all that the job wants.
func (out *outgoing) pages(ctx context.Context) error {
	if out.empty() {
		return nil
	}
	return lacking.Pages(ctx, out.e.env.DB, out.job, out.rows, func(p lacking.Page) error { return out.page(ctx, p) })
}

// empty says whether no record is going to travel: the peer has everything, or nothing was there to travel
// when it was counted, so nothing is that the claim covers.
func (out *outgoing) empty() bool {
	total := out.t.RecordsTotal
	return out.job.After == wire.CursorEnd || total != nil && *total == 0
}

// page sends a page. It ends with errEnough when that is enough for one request.
func (out *outgoing) page(ctx context.Context, p lacking.Page) error {
	if !out.quiet {
		// What leaves can be newer than what was told when the transfer was queued.
		if err := out.e.tellAhead(ctx, func(*db.Tx) error { return nil }); err != nil {
			return err
		}
	}
	if err := out.e.writePage(ctx, out.t.ID, out.w, p, out.job.Filter); err != nil {
		return err
	}
	out.end.After, out.end.More = p.After, !p.Last
	if out.o.Sent != nil {
		out.o.Sent(out.w.Records())
	}
	if out.o.Records > 0 && out.w.Records() >= out.o.Records || out.e.env.Now().Sub(out.began) >= out.o.Time {
		return errEnough
	}
	return nil
}

// tellUnsent tells what is known to be left out of the stream.
func (out *outgoing) tellUnsent(ctx context.Context) error {
	left, err := out.e.LeftOut(ctx, out.t)
	if err != nil {
		return err
	}
	return tellRows(out.w, left.Unsent)
}

// writePage writes a frame of the page's records, and before it tells of those that cannot be sent.
func (e *Engine) writePage(ctx context.Context, id string, w *wire.FrameWriter, p lacking.Page, filter partition.Filter) error {
	sound, left := e.unsound(p.Records, filter)
	for _, r := range sound {
		if err := w.Record(r); errors.Is(err, wire.ErrUnencodable) {
			left = append(left, omitted(r, err))
		} else if err != nil {
			return err
		}
	}
	if len(left) > 0 {
		if err := e.tellLeft(ctx, id, w, left); err != nil {
			return err
		}
	}
	return w.Reach(p.After)
}

// tellLeft notes records that cannot be sent, and tells of them.
func (e *Engine) tellLeft(ctx context.Context, id string, w *wire.FrameWriter, left []session.Omitted) error {
	err := e.env.DB.Write(ctx, func(tx *db.Tx) error {
		t, err := session.GetTransfer(ctx, tx, id)
		if err != nil {
			return err
		}
		return noteUnsent(ctx, tx, t, left)
	})
	if err != nil {
		return err
	}
	told := make([]wire.LeftOut, len(left))
	for i, r := range left {
		told[i] = wire.LeftOut{ID: r.ID, Model: r.Model, Reason: r.Reason, Instance: r.Version.Instance, Counter: r.Version.Counter}
	}
	for part := range slices.Chunk(told, wire.MaxLeftOut) {
		if err := w.LeftOut(part); err != nil {
			return err
		}
	}
	return nil
}

// begin looks at what a transfer session's stream is to hold, and says how it begins.
func (out *outgoing) begin(ctx context.Context) (h wire.StreamHeader, a session.Ahead, ahead bool, err error) {
	e, t := out.e, out.t
	a, ahead = t.Ahead()
	switch {
	case !out.side.producer:
		return h, a, false, ErrWrongDirection
	case !stage.Reached(t, stage.Queuing):
		return h, a, false, ErrNotReady
	}
	claim, err := out.side.peerClaim(t)
	if err != nil {
		return h, a, false, err
	}
	if out.o.Time <= 0 {
		out.o.Time = StreamTime
	}
	if out.o.Records > 0 {
		out.rows = int(min(out.o.Records, pageRows))
	}
	out.end.After = out.o.After
	out.job = lacking.Job{Profile: e.env.Profile, Filter: partition.Parse(t.Filter), Receiver: claim, After: out.o.After}
	h = wire.StreamHeader{TransferSession: t.ID, Profile: e.env.Profile.Name, Filter: t.Filter, After: out.o.After, Records: -1}
	if !ahead {
		h.Claim = out.side.claimText(t)
	}
	if t.RecordsTotal != nil {
		h.Records = *t.RecordsTotal
	}
	instance, err := e.Instance(ctx)
	h.Instance = instance.ID
	return h, a, ahead, err
}

// tellAhead notes what is about to leave, where it was not noted before. look sees what it is,
// in the same transaction.
func (e *Engine) tellAhead(ctx context.Context, look func(*db.Tx) error) error {
	told := false
	err := e.env.DB.Read(ctx, func(tx *db.Tx) error {
		if err := look(tx); err != nil {
			return err
		}
		self, err := store.ReadSelf(ctx, tx)
		if told = self.Database == ""; err != nil || told {
			return err
		}
		noted, err := session.Told(ctx, tx, self.Database)
		told = true
		for instance, n := range self.Living {
			told = told && n <= noted[instance]
		}
		return err
	})
	if err != nil || told {
		return err
	}
	return e.env.DB.Write(ctx, func(tx *db.Tx) error {
		if err := look(tx); err != nil {
			return err
		}
		return e.tell(ctx, tx)
	})
}

// countStream is queuing for a session that travels as a stream: nothing is buffered.
func (e *Engine) countStream(ctx context.Context, t *session.Transfer, s side) (stage.Status, error) {
	claim, err := s.peerClaim(*t)
	if err == nil && s.legacyClaim(*t) {
		err = fmt.Errorf("the receiver has not told its filter max counters: %w", ErrBadClaim)
	}
	if err != nil {
		return stage.Errored, err
	}
	if _, ahead := t.Ahead(); ahead { // nobody can count yet
		return stage.Completed, nil
	}
	n, err := lacking.Count(ctx, e.env.DB, lacking.Job{Profile: e.env.Profile, Filter: partition.Parse(t.Filter), Receiver: claim})
	if err != nil {
		return stage.Errored, err
	}
	e.note(t.ID, s, func(all *Report) { all.Queued = n })
	return e.env.Complete(ctx, t, stage.Queuing, nil, func(tx *db.Tx, t *session.Transfer) error {
		t.RecordsTotal = &n
		return errors.Join(e.tell(ctx, tx), t.MarkStream())
	})
}

// A chunk is as large as can be merged in the time that a part of a long job may take, and has about so many bytes in memory
// at most. On SQLite larger ones are worth their memory: see the order in which stage/stream writes them.
const (
	leastChunk = 200
	firstChunk = 1000
	mostChunk  = 2000
	chunkBytes = 2 << 20

	mostSQLite       = 9_000
	chunkBytesSQLite = 10 << 20
)

// pace finds how large a chunk should be.
type pace struct{ size, most, bytes int }

// newPace is that of a database; most is what somebody wants, 0: nobody does.
func newPace(kind db.Kind, most int) pace {
	p := pace{most: mostChunk, bytes: chunkBytes}
	if kind == db.SQLite {
		p = pace{most: mostSQLite, bytes: chunkBytesSQLite}
	}
	p.most = cmp.Or(max(most, 0), p.most)
	p.size = min(firstChunk, p.most)
	return p
}

// took learns from a chunk, which took d and should take no more than bound.
func (p *pace) took(records int, d, bound time.Duration) {
	if records < p.size/2 {
		return
	}
	next := p.most
	if d > 0 {
		next = int(int64(records) * int64(bound) / int64(d))
	}
	p.size = min(max(min(next, 2*p.size), leastChunk), p.most)
}

// weight is about how much memory chunk takes.
func weight(c stream.Chunk) (n int) {
	for _, p := range c.Pages {
		for _, r := range p.Records {
			n += len(r.Serialized) + len(r.Conflicting) + 64*len(r.History) + 500
		}
	}
	return n
}

// pagesOf is how many of a chunk's pages have at most n records together: one at least.
func pagesOf(c stream.Chunk, n int) (pages int) {
	for pages < len(c.Pages) && (pages == 0 || len(c.Pages[pages].Records) <= n) {
		n -= len(c.Pages[pages].Records)
		pages++
	}
	return pages
}
