package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/engine"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage/stream"
	"github.com/morango-go/morango/stage/transfer"
	"github.com/morango-go/morango/store/lacking"
	"github.com/morango-go/morango/wire"
)

// refusal is an answer that a handler gives in place of what was asked for.
type refusal struct {
	status int
	body   any
	header http.Header // nil for none
}

// Error is for the log.
func (r *refusal) Error() string {
	text, err := wire.Marshal(r.body)
	if err != nil {
		return http.StatusText(r.status)
	}
	return http.StatusText(r.status) + ": " + wire.ErrorText(text)
}

// refuse answers with a status and a body, a string or one of the bodies of package
// wire.
func refuse(status int, body any) error { return &refusal{status: status, body: body} }

func badRequest(body any) error { return refuse(http.StatusBadRequest, body) }

func forbidden(body any) error { return refuse(http.StatusForbidden, body) }

func notFound() error {
	return refuse(http.StatusNotFound, wire.Detail{Detail: wire.TextNotFound})
}

// peersFault lists the errors of the engine that a peer's request caused.
func peersFault() []error {
	return []error{
		engine.ErrBadClaim, engine.ErrBadCount, engine.ErrNotReady, engine.ErrWrongDirection,
		transfer.ErrInvalid, transfer.ErrTooMany, transfer.ErrNotReady, buffer.ErrDifferentContent,
		session.ErrTooMuchLeftOut,
		stream.ErrGap, stream.ErrNotReady, lacking.ErrCursor, wire.ErrOrder, io.ErrUnexpectedEOF,
	}
}

// refusalOf turns any error into an answer. What is nobody's fault outside is 500,
// and its text stays in the log.
func refusalOf(err error) *refusal {
	var ready *refusal
	var fields wire.FieldErrors
	var format *wire.FormatError
	var tooMuch *http.MaxBytesError
	var body *bodyError
	switch {
	case errors.As(err, &ready):
		return ready
	case errors.As(err, &fields):
		return &refusal{status: http.StatusBadRequest, body: fields}
	case errors.As(err, &format):
		return &refusal{status: http.StatusBadRequest, body: wire.Detail{Detail: format.Reason}}
	case errors.Is(err, wire.ErrTooLarge), errors.As(err, &tooMuch):
		return &refusal{status: http.StatusRequestEntityTooLarge, body: wire.Detail{
			Detail: "Request body is too large for this server. Send fewer records at a time.",
		}}
	case errors.Is(err, os.ErrDeadlineExceeded) && errors.As(err, &body):
		return &refusal{status: http.StatusRequestTimeout, body: wire.Detail{
			Detail: "Request body took too long to arrive. Send fewer records at a time.",
		}}
	case errors.As(err, &body):
		return &refusal{status: http.StatusBadRequest, body: wire.Detail{Detail: "Request body did not arrive whole."}}
	case errors.Is(err, session.ErrNotFound):
		return &refusal{status: http.StatusNotFound, body: wire.Detail{Detail: wire.TextNotFound}}
	case errors.Is(err, engine.ErrClosed), errors.Is(err, context.Canceled):
		return &refusal{
			status: http.StatusServiceUnavailable,
			body:   wire.Detail{Detail: "Server is shutting down. Try again in a minute."},
			header: http.Header{"Retry-After": {"60"}},
		}
	}
	for _, fault := range peersFault() {
		if errors.Is(err, fault) {
			return &refusal{status: http.StatusBadRequest, body: []string{oneLine(err)}}
		}
	}
	return internal()
}

func internal() *refusal {
	return &refusal{status: http.StatusInternalServerError, body: wire.Detail{
		Detail: "Server failed on this request. Its log says why.",
	}}
}

// oneLine is an error's text with joined errors on one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", ": ") }
