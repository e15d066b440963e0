package session

import (
	"context"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
)

// SharedKey returns the key that clients sign pushed certificates for. The first
// time generate makes it.
func SharedKey(ctx context.Context, tx *db.Tx, generate func() (cert.Key, error)) (cert.Key, error) {
	panic("not written")
}

// CurrentSharedKey reads the shared key without making one; ErrNotFound.
func CurrentSharedKey(ctx context.Context, tx *db.Tx) (cert.Key, error) { panic("not written") }

// FindSharedKey finds the private key to a public key (canonical form) among all
// shared keys there ever were; ErrNotFound.
func FindSharedKey(ctx context.Context, tx *db.Tx, publicKey string) (cert.Key, error) {
	panic("not written")
}
