package server

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/morango-go/morango/engine"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/wire"
)

// getStream sends the records of a pull as a stream, from a cursor on.
func (s *Server) getStream(r *http.Request) (answer, error) {
	t, err := s.streamable(r, false)
	if err != nil {
		return answer{}, err
	}
	query := r.URL.Query()
	o := engine.StreamOptions{After: query.Get(wire.QueryAfter), Records: positive(query.Get(wire.QueryLimit)), Time: s.limits.Stream}
	if !wire.ValidCursor(o.After) {
		return answer{}, wire.FieldErrors{wire.QueryAfter: {"This is no cursor."}}
	}
	if !stage.Reached(t, stage.Queuing) {
		return answer{}, badRequest([]string{engine.ErrNotReady.Error()})
	}
	return answer{status: http.StatusOK, content: wire.ContentStream, stream: func(w io.Writer) error {
		out := &counted{to: &progressing{over: w, r: r, idle: s.limits.Idle}}
		end, err := s.engine.StreamOut(r.Context(), t, o, out)
		if err == nil {
			err = s.engine.Sent(r.Context(), t.ID, end.Records, out.bytes)
		}
		return err
	}}, nil
}

// postStream takes the records of a push as a stream, and merges them as they come. When
// all have come, the stages that follow run.
func (s *Server) postStream(r *http.Request) (answer, error) {
	if _, err := contentType(r, wire.ContentStream); err != nil {
		return answer{}, err
	}
	t, err := s.streamable(r, true)
	if err != nil {
		return answer{}, err
	}
	defer s.engine.KeepAlive(r.Context(), t.ID)()
	holder, err := s.holderOf(r.Context(), t)
	if err != nil {
		return answer{}, err
	}
	body := &charged{from: &progressing{over: r.Body, r: r, idle: s.limits.Idle}, s: s, r: r, id: t.ID, holder: holder}
	if t, _, err = s.engine.StreamIn(r.Context(), t, body, s.limits.Chunk, nil); err != nil {
		return answer{}, err
	}
	if stage.Reached(t, stage.Transferring) {
		if t, err = s.advance(r, t, stage.Cleanup, s.wait(r)); err != nil {
			return answer{}, err
		}
	}
	return s.transferAnswer(r, http.StatusOK, t)
}

// streamable finds the transfer session of the path, if its records may travel as a stream
// in this direction.
func (s *Server) streamable(r *http.Request, push bool) (session.Transfer, error) {
	id, err := pathID(r)
	if err != nil {
		return session.Transfer{}, err
	}
	t, err := s.usable(r.Context(), id)
	switch {
	case errors.Is(err, session.ErrNotFound), err == nil && t.Push != push, err == nil && !s.terms(r).Stream:
		return t, notFound()
	}
	return t, err
}

// transferAnswer shows a transfer session, and how far it has come if it travels as a
// stream.
func (s *Server) transferAnswer(r *http.Request, status int, t session.Transfer) (answer, error) {
	body := transferBody(t)
	if s.agreed(r).Has(wire.MoranGo) {
		body.LeftOut = engine.Omissions(t)
		if cursor, streams := t.Cursor(); streams && s.terms(r).Stream {
			body.StreamCursor = &cursor
		}
	}
	return answer{status: status, body: body}, nil
}

// counted counts what it writes.
type counted struct {
	to    io.Writer
	bytes int64
}

// Write implements io.Writer.
func (c *counted) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	c.bytes += int64(n)
	return n, err
}

// progressing puts the connection's deadlines off with every part that goes over it: a
// stream may take long, but not stand still.
type progressing struct {
	over any // io.Reader or io.Writer
	r    *http.Request
	idle time.Duration

	mu              sync.Mutex
	reading, closed bool
}

// Read implements io.Reader.
func (p *progressing) Read(b []byte) (int, error) {
	p.mu.Lock()
	closed := p.closed
	if p.reading = !closed; p.reading {
		p.goOn()
	}
	p.mu.Unlock()
	if closed {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := p.over.(io.Reader).Read(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reading = false; p.closed {
		p.goOn() // net/http ends the request's context when the deadline passes
	}
	return n, err
}

// Write implements io.Writer.
func (p *progressing) Write(b []byte) (int, error) {
	p.goOn()
	return p.over.(io.Writer).Write(b)
}

func (p *progressing) goOn() {
	if c, ok := p.r.Context().Value(control{}).(*connection); ok {
		end := time.Now().Add(p.idle)
		_, _ = c.SetWriteDeadline(end), c.SetReadDeadline(end)
	}
}

// Close ends a Read that another goroutine waits in, and all later ones. The answer can
// still be written, and is the last on this connection then: net/http takes a deadline that
// passed for the connection's end. It belongs to who writes the answer.
func (p *progressing) Close() error {
	p.mu.Lock()
	p.closed = true
	waits := p.reading
	if c, ok := p.r.Context().Value(control{}).(*connection); ok && waits {
		c.header.Set("Connection", "close")
		_ = c.SetReadDeadline(time.Now()) // where there is none, closing is enough
	}
	p.mu.Unlock()
	if c, ok := p.over.(io.Closer); ok && waits {
		return c.Close()
	}
	return nil
}
