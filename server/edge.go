package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/morango-go/morango/wire"
)

// ServeHTTP answers one request: it bounds the body, keeps a panic within the
// request, and logs one line. Neither bodies nor headers nor queries are logged,
// for they carry keys and passwords.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	seen := &watched{ResponseWriter: w}
	defer func() {
		if broken := recover(); broken != nil {
			if err, ok := broken.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(broken) // net/http's own way to break a connection off
			}
			s.log.ErrorContext(r.Context(), "panic", "method", r.Method, "path", r.URL.Path,
				"panic", fmt.Sprint(broken), "stack", string(debug.Stack()))
			if seen.status == 0 {
				s.write(seen, r, answer{}, internal())
			}
		}
		s.log.LogAttrs(r.Context(), levelOf(seen.status), "request",
			slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", seen.status),
			slog.Int64("received", max(r.ContentLength, 0)), slog.Int64("sent", seen.sent),
			slog.Duration("took", time.Since(start)), slog.String("client", s.clientIP(r)),
			slog.String("error", seen.reason))
	}()
	// One byte more than the readers take, so that it is they who say what is too much.
	limit := max(s.limits.Body, s.limits.Buffers)
	if strings.Contains(r.URL.Path, wire.PathStreams) {
		limit = s.limits.StreamBytes
	}
	r.Body = incomingBody{http.MaxBytesReader(seen, r.Body, limit+1)}
	// Where the connection takes no deadlines, as in tests without one, there is none.
	_ = http.NewResponseController(seen).SetReadDeadline(start.Add(s.limits.Read))
	leave, err := s.requests.enter(r.Context(), s.clientIP(r))
	if err != nil {
		s.write(seen, r, answer{}, err)
		return
	}
	defer leave()
	r, end := withEndings(r)
	defer end()
	s.mux.ServeHTTP(seen, r)
}

// incomingBody marks what goes wrong while a body arrives, which is not our fault.
type incomingBody struct{ io.ReadCloser }

// Read implements io.Reader.
func (b incomingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var tooMuch *http.MaxBytesError
	if err != nil && err != io.EOF && !errors.As(err, &tooMuch) {
		err = &bodyError{err}
	}
	return n, err
}

type bodyError struct{ cause error }

func (e *bodyError) Error() string { return "the body did not arrive: " + e.cause.Error() }

func (e *bodyError) Unwrap() error { return e.cause }

// control is the key of a request's connection.
type control struct{}

// connection is what can be done about a request's connection: its deadlines, and the
// headers of its answer.
type connection struct {
	*http.ResponseController
	header http.Header
}

func withControl(w http.ResponseWriter, r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), control{}, &connection{http.NewResponseController(w), w.Header()}))
}

// allow puts the connection's deadlines off: the answer may take as long as wait, and
// a minute more to be written. The body must have been read.
func allow(r *http.Request, wait time.Duration) {
	if c, ok := r.Context().Value(control{}).(*connection); ok {
		end := time.Now().Add(wait + time.Minute)
		// The reading one too, for net/http ends the request's context when it passes.
		_, _ = c.SetWriteDeadline(end), c.SetReadDeadline(end)
	}
}

func levelOf(status int) slog.Level {
	switch {
	case status >= 500:
		return slog.LevelError
	case status >= 400:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// watched notes what goes out.
type watched struct {
	http.ResponseWriter
	status int
	sent   int64
	reason string // error for the log
}

func (w *watched) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.sent += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// note keeps an error's text for the log line.
func note(w http.ResponseWriter, err error) {
	if seen, ok := w.(*watched); ok && err != nil {
		seen.reason = oneLine(err)
	}
}

// write sends an answer, or the refusal that an error stands for.
func (s *Server) write(w http.ResponseWriter, r *http.Request, a answer, err error) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err != nil {
		note(w, err)
		refused := refusalOf(err)
		for name, values := range refused.header {
			w.Header()[name] = values
		}
		a = answer{status: refused.status, body: refused.body}
	}
	if a.stream != nil {
		s.writeStream(w, r, a)
		return
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	text, err := wire.Marshal(a.body)
	if err != nil {
		note(w, err)
		a.status, text = http.StatusInternalServerError, []byte(`{"detail":"Server failed on this request. Its log says why."}`)
	}
	w.Header().Set("Content-Type", wire.ContentJSON)
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	w.WriteHeader(a.status)
	if _, err := w.Write(text); err != nil {
		note(w, err)
	}
}

// writeStream sends an answer of any length: JSON compressed when the client takes gzip,
// other content as it is.
func (s *Server) writeStream(w http.ResponseWriter, r *http.Request, a answer) {
	out := &held{w: w, status: a.status, most: heldSize}
	var to io.Writer = out
	finish := func() error { return nil }
	w.Header().Set("Content-Type", wire.ContentJSON)
	switch {
	case a.content != "":
		out.most = 32 << 10 // its reader works on it while the rest comes
		w.Header().Set("Content-Type", a.content)
	case takesGzip(r):
		zip, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
		if err == nil {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Add("Vary", "Accept-Encoding")
			to, finish = zip, zip.Close
		}
	}
	err := a.stream(to)
	if err == nil {
		err = finish()
	}
	if err == nil {
		err = out.finish()
	}
	switch {
	case err == nil:
	case out.streaming: // nobody is to take half for whole
		note(w, err)
		panic(http.ErrAbortHandler)
	default:
		w.Header().Del("Content-Encoding")
		s.write(w, r, answer{}, err)
	}
}

// heldSize is how long an answer may be to be sent with its length, in bytes.
const heldSize = 4 << 20

// held keeps an answer back until its length is known, which clients count by; one
// that is too long for that goes out as it comes.
type held struct {
	w         http.ResponseWriter
	status    int
	most      int // bytes to keep back
	kept      []byte
	streaming bool
}

func (h *held) Write(p []byte) (int, error) {
	if !h.streaming && len(h.kept)+len(p) <= h.most {
		h.kept = append(h.kept, p...)
		return len(p), nil
	}
	if !h.streaming {
		h.streaming = true
		h.w.WriteHeader(h.status)
		if _, err := h.w.Write(h.kept); err != nil {
			return 0, err
		}
		h.kept = nil
	}
	return h.w.Write(p)
}

// finish sends what was kept.
func (h *held) finish() error {
	if h.streaming {
		return nil
	}
	h.streaming = true
	h.w.Header().Set("Content-Length", fmt.Sprint(len(h.kept)))
	h.w.WriteHeader(h.status)
	_, err := h.w.Write(h.kept)
	return err
}

func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(name) == "gzip" {
			return strings.TrimSpace(quality) != "q=0"
		}
	}
	return false
}

// json reads a JSON body. No body at all reads as an empty object.
func (s *Server) json(r *http.Request) ([]byte, error) {
	kind, err := contentType(r, wire.ContentJSON)
	if err != nil {
		return nil, err
	}
	text, err := wire.ReadAll(s.weigh(r, r.Body), s.limits.Body)
	if err != nil {
		return nil, err
	}
	if kind == "" && len(text) == 0 {
		return []byte("{}"), nil
	}
	return text, nil
}

// contentType gives the media type of the body, which must be one of those given;
// "" when there is no body.
func contentType(r *http.Request, known ...string) (string, error) {
	header := r.Header.Get("Content-Type")
	if header == "" && r.ContentLength == 0 {
		return "", nil
	}
	kind, _, err := mime.ParseMediaType(header)
	if err == nil {
		for _, k := range known {
			if k == kind {
				return kind, nil
			}
		}
	}
	return "", refuse(http.StatusUnsupportedMediaType, wire.Detail{
		Detail: fmt.Sprintf("Unsupported media type %.100q in request.", header),
	})
}
