package client

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/morango-go/morango/wire"
)

// What a caller may decide on, with errors.Is. ErrScope also holds when the peer
// says that a filter lies outside the certificates.
var (
	// ErrUnreachable: no answer came from the peer's address.
	ErrUnreachable = errors.New("the peer cannot be reached")
	// ErrNotMorango: something answered that does not speak the protocol.
	ErrNotMorango = errors.New("this is not a Morango peer")
	// ErrCredentials: the peer does not accept the user or the password.
	ErrCredentials = errors.New("the user or the password is wrong")
	// ErrForbidden: the user is known but may not have the certificate asked for.
	ErrForbidden = errors.New("the user may not have this certificate")
	// ErrBusy: the peer asked to come again later.
	ErrBusy = errors.New("the peer is busy")
	// ErrNonce: the nonce was used or waited for too long; a new try gets a new one.
	ErrNonce = errors.New("the nonce has expired or was used before")
)

// StatusError is an answer of the peer that refuses a request.
type StatusError struct {
	Status  int    // HTTP status
	Method  string // of the request
	Path    string // of the request, without host and query
	Message string // the peer's own words; "" when it gave none
	Hint    string // what to do; "" when there is nothing to say beyond the message
	// RetryAfter is when the peer wants to be asked again, at most two minutes; 0 when it
	// did not say.
	RetryAfter time.Duration
	kind       error // sentinel it belongs to, or nil
}

// Error says what was asked, what the peer answered, and what to do.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s %s: the peer answered %d %s", e.Method, e.Path, e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Unwrap returns the sentinel that the answer belongs to, or nil.
func (e *StatusError) Unwrap() error { return e.kind }

// IsNotFound says whether the peer answered that the thing asked for is not there
// (any more).
func IsNotFound(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Status == http.StatusNotFound
}

// longestBusy bounds what a peer may ask us to wait.
const longestBusy = 2 * time.Minute

// retryAfter reads the header of that name, seconds or a moment.
func retryAfter(text string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), longestBusy)
}

// refused makes the error of an answer.
func refused(status int, method, path string, header http.Header, body []byte) error {
	e := &StatusError{Status: status, Method: method, Path: path, Message: wire.ErrorText(body)}
	e.RetryAfter = retryAfter(header.Get("Retry-After"), time.Now())
	switch {
	case status >= 300 && status < 400:
		e.Hint = "the address is not the peer's own: use the one it points to, " + quoted(header.Get("Location"))
	case status == http.StatusServiceUnavailable && header.Get("Retry-After") != "":
		e.kind, e.Hint = ErrBusy, "try again later"
	case status == http.StatusUnauthorized:
		e.kind, e.Hint = ErrCredentials, "check the user's name and password on the peer"
	case status == http.StatusForbidden && path == wire.PathCertificates:
		e.kind, e.Hint = ErrForbidden, "ask the peer's administrator, or ask for a narrower scope"
	case e.Message == wire.TextBadNonce || e.Message == wire.TextBadSaltNonce:
		e.kind, e.Hint = ErrNonce, "try again; a nonce lives for a minute"
	case isScopeText(e.Message):
		e.kind, e.Hint = ErrScope, "use a filter within both certificates, or get a wider certificate"
	case status == http.StatusRequestEntityTooLarge:
		e.Hint = "use a smaller chunk size, or allow larger bodies on the proxy in between"
	case status == http.StatusBadGateway || status == http.StatusGatewayTimeout:
		e.Hint = "a proxy in between gave up: the peer behind it is down or slow"
	case status >= 500:
		e.Hint = "the peer failed; its log says why"
	case path == wire.Item(wire.PathInfo, wire.InfoItem):
		e.kind, e.Hint = ErrNotMorango, "check the address and the path before "+wire.Base
	}
	return e
}

func isScopeText(message string) bool {
	switch message {
	case wire.TextClientNoPush, wire.TextServerNoReceive, wire.TextClientNoPull, wire.TextServerNoRespond:
		return true
	}
	return false
}

func quoted(location string) string { return fmt.Sprintf("%.200q", location) }
