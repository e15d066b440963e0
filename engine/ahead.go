package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage/stream"
	"github.com/morango-go/morango/stage/transfer"
	"github.com/morango-go/morango/wire"
)

// aheadBytes is about how much of a stream is decoded before it can be merged.
const aheadBytes = 1 << 20

// parcel is a part of a stream that has been decoded and checked: some frames, and how the
// stream ended if it did: io.EOF after its end.
type parcel struct {
	frames []checkedFrame
	weight int
	err    error
	broken any // with which the decoder panicked
}

// checkedFrame is a frame without the records that nobody takes: left says what those are.
type checkedFrame struct {
	wire.Frame
	left []session.Omitted
}

// ahead is a stream that is decoded in a goroutine of its own, while what came before is
// merged.
type ahead struct {
	mu    sync.Mutex
	next  parcel        // what nobody has taken yet
	ready chan struct{} // has something when there is something to take
	taken chan struct{} // has something when it was taken
	ended chan struct{} // is closed when the goroutine ends
	stop  context.CancelFunc
	from  io.Reader
}

// readAhead begins to decode a stream. The goroutine ends with the stream, or with close.
func (in *incoming) readAhead(ctx context.Context, r *wire.FrameReader, from io.Reader) *ahead {
	ctx, stop := context.WithCancel(ctx)
	a := &ahead{ready: make(chan struct{}, 1), taken: make(chan struct{}, 1), ended: make(chan struct{}), stop: stop, from: from}
	go func() {
		defer close(a.ended)
		for more := true; more; {
			p := in.decode(r)
			more = a.add(ctx, p) && !p.last()
		}
	}()
	return a
}

// add adds to what is to be taken, when there is room. It is false when nobody will take it.
func (a *ahead) add(ctx context.Context, p parcel) bool {
	for {
		a.mu.Lock()
		room := a.next.weight < aheadBytes
		if room {
			a.next.frames = append(a.next.frames, p.frames...)
			a.next.weight += p.weight
			a.next.err, a.next.broken = p.err, p.broken
			signal(a.ready)
		}
		a.mu.Unlock()
		if room {
			return ctx.Err() == nil
		}
		select {
		case <-a.taken:
		case <-ctx.Done():
			return false
		}
	}
}

// take waits until there is something, and returns all that there is.
func (a *ahead) take(ctx context.Context) (p parcel, err error) {
	select {
	case <-a.ready:
	case <-ctx.Done():
		return p, ctx.Err()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p, a.next = a.next, parcel{}
	signal(a.taken)
	return p, nil
}

func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default: // it is still there
	}
}

// close ends the goroutine and waits for that. It closes what the stream comes from, if it
// can be: the goroutine may be waiting for it.
func (a *ahead) close() {
	a.stop()
	if c, ok := a.from.(io.Closer); ok {
		_ = c.Close()
	}
	<-a.ended
}

// decode decodes the next frame, or finds out how the stream ends. A panic is for who takes
// the parcel: nobody would catch it here.
func (in *incoming) decode(r *wire.FrameReader) (p parcel) {
	defer func() {
		if broken := recover(); broken != nil {
			p = parcel{broken: broken}
		}
	}()
	f, err := r.Next()
	if err != nil {
		return parcel{err: err}
	}
	checked, err := in.check(f)
	if err != nil {
		return parcel{err: err}
	}
	return parcel{frames: []checkedFrame{checked}, weight: weight(stream.Chunk{Pages: []stream.Page{{Records: checked.Records}}})}
}

// check looks at a frame's records, which come from a peer and may be anything.
func (in *incoming) check(f wire.Frame) (c checkedFrame, err error) {
	for i := range f.Records {
		f.Records[i].Profile = in.e.env.Profile.Name
		if !in.filter.Contains(f.Records[i].Partition) {
			return c, fmt.Errorf("record %.40q lies outside the filter of the transfer: %w", f.Records[i].ID, transfer.ErrInvalid)
		}
	}
	f.Records, c.left = in.e.unsound(f.Records, in.filter)
	c.Frame = f
	return c, nil
}

// last says whether nothing comes after the parcel.
func (p parcel) last() bool { return p.err != nil || p.broken != nil }

// ended says whether the stream ended as it should.
func (p parcel) ended() bool {
	return errors.Is(p.err, io.EOF) && !errors.Is(p.err, io.ErrUnexpectedEOF)
}
