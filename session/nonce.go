package session

import (
	"context"
	"time"

	"github.com/morango-go/morango/db"
)

// NonceLife is how long a nonce can be used after it was given out.
const NonceLife = 60 * time.Second

// Nonce is a one-time value, a row of morango_nonce.
type Nonce struct {
	ID   string
	Time time.Time
	IP   string // of whoever asked for it; "" when unknown
}

// CreateNonce stores a fresh nonce with the given random id.
func CreateNonce(ctx context.Context, tx *db.Tx, n Nonce) error { panic("not written") }

// UseNonce uses a nonce up: ErrNonceUnknown or ErrNonceExpired when it cannot be.
// Of two transactions that use the same nonce only one succeeds. Commit tx also
// after ErrNonceExpired, so that the nonce is gone.
func UseNonce(ctx context.Context, tx *db.Tx, id string, now time.Time) error { panic("not written") }

// PurgeNonces deletes the nonces that can no longer be used and returns how many
// there were.
func PurgeNonces(ctx context.Context, tx *db.Tx, now time.Time) (int64, error) { panic("not written") }
