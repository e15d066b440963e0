package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

// getBuffers shows the records of a pull: a page when a limit is given, else all in
// a plain list.
func (s *Server) getBuffers(r *http.Request) (answer, error) {
	t, err := s.readable(r)
	if err != nil {
		return answer{}, err
	}
	query := r.URL.Query()
	limit := positive(query.Get(wire.QueryLimit))
	if limit == 0 {
		return answer{status: http.StatusOK, stream: func(w io.Writer) error {
			return s.streamAll(r.Context(), w, t.ID)
		}}, nil
	}
	offset := positive(query.Get(wire.QueryOffset))
	count, err := s.count(r.Context(), t)
	if err != nil {
		return answer{}, err
	}
	p := page{session: t.ID, offset: offset, limit: min(limit, max(count-offset, 0)), count: count}
	p.next, p.previous = s.neighbours(r, count, offset, limit)
	return answer{status: http.StatusOK, stream: func(w io.Writer) error {
		return s.streamPage(r.Context(), w, p)
	}}, nil
}

// positive reads a number of a query; 0 when it is none, or less.
func positive(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// noBuffers answers all methods that there are not for buffers: whoever tries is told
// what a stranger is told.
func (s *Server) noBuffers(*http.Request) (answer, error) {
	return answer{}, forbidden(wire.Detail{Detail: wire.TextNoCredentials})
}

// readable finds the pull whose records are asked for. Whoever asks for anything else
// learns nothing.
func (s *Server) readable(r *http.Request) (session.Transfer, error) {
	denied := forbidden(wire.Detail{Detail: wire.TextNoCredentials})
	id, err := ident.Parse(r.URL.Query().Get(wire.QueryTransferSession))
	if err != nil {
		return session.Transfer{}, denied
	}
	t, err := s.usable(r.Context(), id)
	if errors.Is(err, session.ErrNotFound) || err == nil && t.Push {
		return t, denied
	}
	return t, err
}

// count is the number of records in the whole buffer.
func (s *Server) count(ctx context.Context, t session.Transfer) (n int64, err error) {
	if t.RecordsTotal != nil {
		return *t.RecordsTotal, nil
	}
	err = s.env.DB.Read(ctx, func(tx *db.Tx) error {
		n, err = buffer.Count(ctx, tx, t.ID)
		return err
	})
	return n, err
}

// neighbours are the URLs of the pages after and before.
func (s *Server) neighbours(r *http.Request, count, offset, limit int64) (next, previous *string) {
	link := func(to int64) *string {
		query := r.URL.Query()
		query.Set(wire.QueryLimit, fmt.Sprint(limit))
		query.Set(wire.QueryOffset, fmt.Sprint(to))
		if to <= 0 {
			query.Del(wire.QueryOffset)
		}
		where := url.URL{Path: r.URL.Path, RawQuery: query.Encode()}
		text := s.origin(r) + where.String()
		return &text
	}
	if offset+limit < count {
		next = link(offset + limit)
	}
	if offset > 0 {
		previous = link(offset - limit)
	}
	return next, previous
}

// postBuffers takes a chunk of a push: whole or not at all.
func (s *Server) postBuffers(r *http.Request) (answer, error) {
	chunk, bytes, err := s.chunk(r)
	if err != nil {
		return answer{}, err
	}
	id := chunk[0].TransferSession
	for _, b := range chunk {
		if b.TransferSession != id {
			return answer{}, forbidden(wire.TextOneSession)
		}
	}
	t, err := s.writable(r, id)
	if err != nil {
		return answer{}, err
	}
	leave, err := s.chunks.enter(r.Context(), t.ID)
	if err != nil {
		return answer{}, err
	}
	defer leave()
	if err := s.chargePush(r.Context(), t, bytes); err != nil {
		return answer{}, err
	}
	records := make([]record.Record, len(chunk))
	for i, b := range chunk {
		if records[i], err = s.incoming(b); err != nil {
			return answer{}, err
		}
	}
	if _, err := s.engine.Receive(r.Context(), t.ID, records); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated}, nil
}

// chunk reads the records of the body, and counts their bytes.
func (s *Server) chunk(r *http.Request) (records []wire.BufferRecord, bytes int64, err error) {
	known := []string{wire.ContentJSON}
	if s.capabilities.Has(wire.GzipBufferPost) {
		known = append(known, wire.ContentGzip)
	}
	kind, err := contentType(r, known...)
	if err != nil {
		return nil, 0, err
	}
	body := wire.Bounded(r.Body, s.limits.Buffers)
	if kind == wire.ContentGzip {
		if body, err = wire.Inflate(body, s.limits.Buffers); err != nil {
			return nil, 0, err
		}
	}
	weighed := s.weigh(r, body)
	records, err = wire.ParseBuffers(weighed, s.limits.Records)
	return records, weighed.bytes, err
}

// writable finds the push that the records belong to.
func (s *Server) writable(r *http.Request, text string) (session.Transfer, error) {
	gone := badRequest("Requested transfersession does not exist or is no longer active!")
	id, err := ident.Parse(text)
	if err != nil {
		return session.Transfer{}, gone
	}
	t, err := s.usable(r.Context(), id)
	if errors.Is(err, session.ErrNotFound) {
		return t, gone
	}
	if err == nil && !t.Push {
		return t, forbidden(wire.TextNoPush)
	}
	return t, err
}

// incoming checks what only the wire form shows. The engine checks the rest.
func (s *Server) incoming(b wire.BufferRecord) (record.Record, error) {
	refused := func(format string, args ...any) (record.Record, error) {
		return record.Record{}, badRequest([]string{fmt.Sprintf(format, args...)})
	}
	for _, c := range b.RMCBList {
		if c.TransferSession != b.TransferSession {
			return refused("Transfer session on RMCB (%.64s) does not match Buffer's TransferSession (%.64s)", c.TransferSession, b.TransferSession)
		}
		if c.ModelUUID != b.ModelUUID {
			return refused("Model UUID on RMCB (%.64s) does not match Buffer's Model UUID (%.64s)", c.ModelUUID, b.ModelUUID)
		}
	}
	if b.Profile != "" && b.Profile != s.env.Profile.Name {
		return refused("Record %.64s is of profile %.64q, not of this session's %q", b.ModelUUID, b.Profile, s.env.Profile.Name)
	}
	r := b.Record()
	if len(r.History) != len(b.RMCBList) {
		return refused("Record %.64s names an instance twice in its RMCB list", b.ModelUUID)
	}
	return r, nil
}
