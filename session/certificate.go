package session

import (
	"context"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
)

// SaveCertificate stores a certificate that has been checked, after its parent.
// A certificate that is here already is left as it is, but gets its private key
// when it had none. The tree columns that Django reads are kept right.
func SaveCertificate(ctx context.Context, tx *db.Tx, c *cert.Certificate) error {
	panic("not written")
}

// SaveChain checks a presented chain against what is stored here and stores
// what is new of it. It returns the last certificate, as stored. Errors are
// those of cert.CheckChain; then nothing has been stored.
func SaveChain(ctx context.Context, tx *db.Tx, chain []*cert.Certificate, expectedLastID string) (*cert.Certificate, error) {
	panic("not written")
}

// Certificate reads one certificate; ErrNotFound.
func Certificate(ctx context.Context, tx *db.Tx, id string) (*cert.Certificate, error) {
	panic("not written")
}

// Owned lists the certificates of a profile ("" for all) whose private key is here,
// in tree order.
func Owned(ctx context.Context, tx *db.Tx, profile string) ([]*cert.Certificate, error) {
	panic("not written")
}

// Ancestors reads a certificate's chain, root first, itself last; ErrNotFound.
func Ancestors(ctx context.Context, tx *db.Tx, id string) ([]*cert.Certificate, error) {
	panic("not written")
}

// DescendantsOwned lists the certificates at and below the one named (the
// primary partition) whose private key is here; of a profile when that is not
// "". An unknown id gives none.
func DescendantsOwned(ctx context.Context, tx *db.Tx, primaryPartition, profile string) ([]*cert.Certificate, error) {
	panic("not written")
}
