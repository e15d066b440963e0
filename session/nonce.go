package session

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
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
func CreateNonce(ctx context.Context, tx *db.Tx, n Nonce) error {
	_, err := tx.Exec(ctx, `INSERT INTO morango_nonce (id, timestamp, ip) VALUES ($1, $2, $3)`, n.ID, tx.Time(n.Time), n.IP)
	if err != nil {
		return fmt.Errorf("storing nonce %s: %w", n.ID, err)
	}
	return nil
}

// UseNonce uses a nonce up, and one that has expired too: ErrNonceUnknown, ErrNonceExpired.
// Of two write transactions that use the same nonce only one succeeds. A nonce
// from the future counts as expired: the clock was set back.
func UseNonce(ctx context.Context, tx *db.Tx, id string, now time.Time) error {
	id, err := ident.Parse(id)
	if err != nil {
		return ErrNonceUnknown // and PostgreSQL would not look for it
	}
	var given db.Time
	err = tx.QueryRow(ctx, `DELETE FROM morango_nonce WHERE id = $1 RETURNING timestamp`, id).Scan(&given)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNonceUnknown
	}
	if err != nil {
		return fmt.Errorf("using nonce %s: %w", id, err)
	}
	// Stored times have microseconds, so a nonce used at once may seem younger than now.
	age := now.Truncate(time.Microsecond).Sub(given.Time.Truncate(time.Microsecond))
	if age < 0 || age > NonceLife {
		return ErrNonceExpired
	}
	return nil
}

// NoncesKept bounds how many nonces are kept at a time.
type NoncesKept struct{ All, OfAddress int }

// LimitNonces deletes the nonces that can no longer be used, and the oldest beyond a number of them, of
// one address and of all. Whoever asks for many takes its own away first, not others'.
func LimitNonces(ctx context.Context, tx *db.Tx, ip string, keep NoncesKept, now time.Time) error {
	const beyond = `DELETE FROM morango_nonce WHERE timestamp < $1 OR timestamp > $2
		OR ip = $3 AND timestamp <= (SELECT timestamp FROM morango_nonce WHERE ip = $3 AND timestamp <= $2 ORDER BY timestamp DESC, id LIMIT 1 OFFSET $4)
		OR timestamp <= (SELECT timestamp FROM morango_nonce WHERE timestamp <= $2 ORDER BY timestamp DESC, id LIMIT 1 OFFSET $5)`
	if _, err := tx.Exec(ctx, beyond, tx.Time(now.Add(-NonceLife)), tx.Time(now.Add(NonceLife)), ip, keep.OfAddress, keep.All); err != nil {
		return fmt.Errorf("limit the nonces: %w", err)
	}
	return nil
}

// PurgeNonces deletes the nonces that can no longer be used and returns how many
// there were.
func PurgeNonces(ctx context.Context, tx *db.Tx, now time.Time) (int64, error) {
	n, err := tx.Exec(ctx, `DELETE FROM morango_nonce WHERE timestamp < $1 OR timestamp > $2`,
		tx.Time(now.Add(-NonceLife)), tx.Time(now.Add(NonceLife)))
	if err != nil {
		return 0, fmt.Errorf("purging nonces: %w", err)
	}
	return n, nil
}
