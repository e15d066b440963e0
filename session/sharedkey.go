package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
)

// SharedKey returns the key that clients sign pushed certificates for. The first
// time generate makes it.
func SharedKey(ctx context.Context, tx *db.Tx, generate func() (cert.Key, error)) (cert.Key, error) {
	key, err := currentSharedKey(ctx, tx)
	if !errors.Is(err, ErrNotFound) {
		return key, err
	}
	if key, err = generate(); err != nil {
		return cert.Key{}, fmt.Errorf("making the shared key: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO morango_sharedkey (public_key, private_key, current) VALUES ($1, $2, TRUE)`,
		key.Public().String(), key.PEM())
	if err != nil {
		return cert.Key{}, fmt.Errorf("storing the shared key: %w", err)
	}
	return key, nil
}

// currentSharedKey reads the shared key without making one; ErrNotFound.
func currentSharedKey(ctx context.Context, tx *db.Tx) (cert.Key, error) {
	row := tx.QueryRow(ctx, `SELECT private_key FROM morango_sharedkey WHERE current ORDER BY public_key LIMIT 1`)
	return one(row, "shared key", "current", scanKey)
}

// FindSharedKey finds the private key to a public key (canonical form) among all
// shared keys there ever were; ErrNotFound.
func FindSharedKey(ctx context.Context, tx *db.Tx, publicKey string) (cert.Key, error) {
	row := tx.QueryRow(ctx, `SELECT private_key FROM morango_sharedkey WHERE public_key = $1 LIMIT 1`, publicKey)
	return one(row, "shared key", publicKey, scanKey)
}

func scanKey(row scanner) (cert.Key, error) {
	var text string
	if err := row.Scan(&text); err != nil {
		return cert.Key{}, err
	}
	return cert.ParsePrivate(text)
}
