package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/morango-go/morango/wire"
)

// idleTimeout ends a stream that stands still.
const idleTimeout = time.Minute

// PullStream has read read the records of a pull as a stream, compressed as it comes, from
// after a cursor of the peer's on ("" is the beginning). limit bounds their number, 0 does not. What read is
// given can be closed, so that a Read of it returns.
func (p *Peer) PullStream(ctx context.Context, transferID, after string, limit int64, read func(io.Reader) error) error {
	query := url.Values{}
	if after != "" {
		query.Set(wire.QueryAfter, after)
	}
	if limit > 0 {
		query.Set(wire.QueryLimit, strconv.FormatInt(limit, 10))
	}
	r := request{method: http.MethodGet, path: wire.Item(wire.PathStreams, transferID), query: query, answers: wire.ContentStream}
	var failed error // of ours, while the answer is fine
	err := watch(ctx, func(ctx context.Context, moved func()) error {
		ctx, end := context.WithCancel(ctx)
		defer end()
		return p.do(ctx, r, maxStream, func(body io.Reader) error {
			seen := &moving{Reader: body, moved: moved, end: end}
			if failed = read(seen); seen.err != nil && !seen.closed {
				return seen.err
			}
			if failed == nil { // the connection is used again only when the body was read to its end
				_, err := io.Copy(io.Discard, seen)
				return err
			}
			return nil
		})
	})
	return errors.Join(err, failed)
}

// maxStream bounds the bytes of one stream as they come. A peer ends it after some time.
const maxStream = 1 << 40

// PushStream hands records over as a stream that write writes, compressed as it goes. The
// answer tells how far the peer has come; write may be cut short by it, and its context ends.
func (p *Peer) PushStream(ctx context.Context, transferID string, write func(context.Context, io.Writer) error) (wire.TransferSession, error) {
	var t wire.TransferSession
	from, to := io.Pipe()
	var failed error
	err := watch(ctx, func(ctx context.Context, moved func()) error {
		var said error // of write, once it is written
		written := make(chan struct{})
		writing, end := context.WithCancel(ctx)
		defer end()
		go func() {
			said = write(writing, to)
			close(written)
			to.CloseWithError(said)
		}()
		r := request{
			method: http.MethodPost, path: wire.Item(wire.PathStreams, transferID), content: wire.ContentStream,
			stream: &moving{Reader: from, moved: moved},
		}
		err := p.do(ctx, r, maxSmall, jsonInto(&t))
		select {
		case <-written: // before the request ended, or with it
			if ctx.Err() == nil {
				failed = said
			}
		default:
			end()
			from.CloseWithError(errAnswered)
			<-written // it failed because of that, if it did
		}
		return err
	})
	if failed != nil {
		return t, failed // the request broke off because of it
	}
	return t, err
}

// errAnswered ends the writing of a stream that the peer reads no further.
var errAnswered = errors.New("the peer has answered")

// watch runs a request and ends it when moved is not called for too long.
func watch(ctx context.Context, run func(ctx context.Context, moved func()) error) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(idleTimeout, func() { cancel(errStill) })
	defer timer.Stop()
	err := run(inner, func() { timer.Reset(idleTimeout) })
	if err != nil && errors.Is(context.Cause(inner), errStill) {
		return fmt.Errorf("%w: %w", ErrUnreachable, errStill)
	}
	return err
}

var errStill = fmt.Errorf("no byte has moved for %s", idleTimeout)

// moving tells of every part that is read. Close ends a read that waits.
type moving struct {
	io.Reader
	moved  func()
	end    func()
	closed bool
	err    error // but the end
}

// Close implements io.Closer.
func (m *moving) Close() error {
	m.closed = true
	if m.end != nil {
		m.end()
	}
	return nil
}

// Read implements io.Reader.
func (m *moving) Read(b []byte) (int, error) {
	n, err := m.Reader.Read(b)
	m.moved()
	if err != nil && err != io.EOF {
		m.err = err
	}
	return n, err
}
