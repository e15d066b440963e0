package session

import "errors"

// What a caller decides on.
var (
	// ErrNotFound: no such row, or it is no longer active where activity was asked for.
	ErrNotFound = errors.New("not found")
	// ErrExists: a row with that id exists already.
	ErrExists = errors.New("exists already")
	// ErrNonceUnknown: the nonce was never given out, or has been used.
	ErrNonceUnknown = errors.New("nonce is unknown or used already: ask for a new one")
	// ErrNonceExpired: the nonce is older than NonceLife.
	ErrNonceExpired = errors.New("nonce has expired: ask for a new one")
)
