package server

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/morango-go/morango/wire"
)

// Authenticator checks credentials. userArgs holds what stood before the password:
// "username", and whatever else the client was told to send, such as "facility".
// Wrong credentials of any kind are ErrCredentials, with nothing to tell an unknown
// user from a wrong password, also not the time it takes. Other errors mean that it
// could not be found out. It must be safe for concurrent use.
type Authenticator interface {
	Authenticate(ctx context.Context, userArgs map[string]string, password string) (User, error)
}

// User is somebody whose credentials were right.
type User interface {
	// MayCertify reports whether the user may have a certificate for the scope
	// definition with these parameters.
	MayCertify(scopeDefinition string, params map[string]any) bool
}

// ErrCredentials is what an Authenticator says to credentials that are wrong.
var ErrCredentials = errors.New("wrong user or password")

// unauthorized is a 401 that says how to do better.
func unauthorized(text string) error {
	return &refusal{
		status: http.StatusUnauthorized,
		body:   wire.Detail{Detail: text},
		header: http.Header{"Www-Authenticate": {`Basic realm="api"`}},
	}
}

// authenticate finds out who asks. Nil without an error: somebody who gave no
// credentials.
func (s *Server) authenticate(r *http.Request) (User, error) {
	scheme, encoded, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if !strings.EqualFold(scheme, "Basic") || s.users == nil {
		return nil, nil
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return nil, unauthorized(wire.TextBadCredentials)
	}
	address := s.clientIP(r)
	if err := s.guesses.check(address, time.Now()); err != nil {
		return nil, err
	}
	args, password, _ := strings.Cut(latinOrUTF8(decoded), ":")
	user, err := s.users.Authenticate(r.Context(), userArgs(args), password)
	if errors.Is(err, ErrCredentials) {
		s.guesses.wrong(address)
		return nil, unauthorized(wire.TextBadCredentials)
	}
	return user, err
}

// userArgs reads the user part: a name, or several arguments as in a query string,
// which clients of the reference do not escape.
func userArgs(text string) map[string]string {
	if !strings.Contains(text, "=") {
		return map[string]string{"username": text}
	}
	args := map[string]string{}
	for part := range strings.SplitSeq(text, "&") {
		name, value, _ := strings.Cut(part, "=")
		args[name] = value
	}
	return args
}

// latinOrUTF8 reads text that is UTF-8 or else ISO 8859-1, as old clients send.
func latinOrUTF8(text []byte) string {
	if utf8.Valid(text) {
		return string(text)
	}
	runes := make([]rune, len(text))
	for i, c := range text {
		runes[i] = rune(c)
	}
	return string(runes)
}
