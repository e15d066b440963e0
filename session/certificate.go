package session

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
)

const certificateColumns = `id, parent_id, profile, scope_definition_id, scope_version, scope_params,
	public_key, serialized, signature, salt, private_key`

func scanCertificate(row scanner) (*cert.Certificate, error) {
	c := &cert.Certificate{}
	err := row.Scan((*db.ID)(&c.ID), (*db.ID)(&c.ParentID), &c.Profile, &c.ScopeDefinition, &c.ScopeVersion,
		&c.ScopeParams, &c.PublicKey, &c.Serialized, &c.Signature, &c.Salt, scannedText{&c.PrivateKey})
	return c, err
}

// Certificate reads one certificate; ErrNotFound.
func Certificate(ctx context.Context, tx *db.Tx, id string) (*cert.Certificate, error) {
	row := tx.QueryRow(ctx, `SELECT `+certificateColumns+` FROM morango_certificate WHERE id = $1`, id)
	return one(row, "certificate", id, scanCertificate)
}

// The tree columns order a list as Django shows it; what is in it never depends
// on them.
const treeOrder = ` ORDER BY tree_id, lft, id`

const ownedCertificates = `SELECT ` + certificateColumns + ` FROM morango_certificate
	WHERE private_key <> '' AND ($1 = '' OR profile = $1)` + treeOrder

// Owned lists the certificates of a profile ("" for all) whose private key is here,
// in tree order.
func Owned(ctx context.Context, tx *db.Tx, profile string) ([]*cert.Certificate, error) {
	rows, err := tx.Query(ctx, ownedCertificates, profile)
	return all(rows, err, "own certificates", scanCertificate)
}

// Two reads two certificates, which may be one and the same; ErrNotFound.
func Two(ctx context.Context, tx *db.Tx, first, second string) (a, b *cert.Certificate, err error) {
	rows, err := tx.Query(ctx, `SELECT `+certificateColumns+` FROM morango_certificate WHERE id = $1 OR id = $2`, first, second)
	list, err := all(rows, err, "certificates", scanCertificate)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range list {
		if c.ID == first {
			a = c
		}
		if c.ID == second {
			b = c
		}
	}
	if a == nil {
		return nil, b, fmt.Errorf("certificate %.40q: %w", first, ErrNotFound)
	}
	if b == nil {
		return a, nil, fmt.Errorf("certificate %.40q: %w", second, ErrNotFound)
	}
	return a, b, nil
}

// Ancestors reads a certificate's chain, root first, itself last; ErrNotFound.
func Ancestors(ctx context.Context, tx *db.Tx, id string) ([]*cert.Certificate, error) {
	c, err := Certificate(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	return Chain(ctx, tx, c)
}

// Chain is Ancestors of a certificate that was read.
func Chain(ctx context.Context, tx *db.Tx, c *cert.Certificate) ([]*cert.Certificate, error) {
	chain := []*cert.Certificate{c}
	for c.ParentID != "" {
		if len(chain) == cert.MaxChain {
			return nil, fmt.Errorf("certificate %.40q has more than %d ancestors", chain[0].ID, cert.MaxChain)
		}
		var err error
		if c, err = Certificate(ctx, tx, c.ParentID); err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	slices.Reverse(chain)
	return chain, nil
}

// DescendantsOwned lists the certificates at and below the one named (the
// primary partition) whose private key is here; of a profile when that is not
// "". An unknown id gives none. It goes up from our own, which are few, and not down to the many that
// others have.
func DescendantsOwned(ctx context.Context, tx *db.Tx, primaryPartition, profile string) ([]*cert.Certificate, error) {
	owned, err := Owned(ctx, tx, profile)
	if err != nil {
		return nil, err
	}
	known := map[string]*cert.Certificate{}
	for _, c := range owned {
		known[c.ID] = c
	}
	var below []*cert.Certificate
	for _, c := range owned {
		top := c
		for depth := 0; top.ID != primaryPartition && top.ParentID != "" && depth < cert.MaxChain; depth++ {
			parent := known[top.ParentID]
			if parent == nil {
				if parent, err = Certificate(ctx, tx, top.ParentID); errors.Is(err, ErrNotFound) {
					break
				} else if err != nil {
					return nil, err
				}
				known[parent.ID] = parent
			}
			top = parent
		}
		if top.ID == primaryPartition && (profile == "" || top.Profile == profile) {
			below = append(below, c)
		}
	}
	return below, nil
}

// descendants finds the ids at and below a certificate, one level a query.
func descendants(ctx context.Context, tx *db.Tx, id string) ([]string, error) {
	ids := []string{id}
	query := `SELECT id FROM morango_certificate WHERE parent_id IN ` + tx.IDs(1)
	for level, depth := ids, 1; len(level) > 0 && depth < cert.MaxChain; depth++ {
		rows, err := tx.Query(ctx, query, db.JSONList(level))
		if level, err = all(rows, err, "certificates below "+id, scanID); err != nil {
			return nil, err
		}
		ids = append(ids, level...)
	}
	return ids, nil
}

// SaveChain checks a presented chain against what is stored here and stores
// what is new of it. It returns the last certificate, as stored, and whether that is new. Errors are
// those of cert.CheckChain; then nothing has been stored.
func SaveChain(ctx context.Context, tx *db.Tx, chain []*cert.Certificate, expectedLastID string) (last *cert.Certificate, isNew bool, err error) {
	defs, err := Definitions(ctx, tx)
	if err != nil {
		return nil, false, err
	}
	stored, err := storedOf(ctx, tx, chain)
	if err != nil {
		return nil, false, err
	}
	known := func(id string) (*cert.Certificate, bool) { c, ok := stored[id]; return c, ok }
	fresh, err := cert.CheckChain(chain, expectedLastID, defs, known)
	if err != nil {
		return nil, false, err
	}
	for _, c := range fresh {
		if err := SaveCertificate(ctx, tx, c); err != nil {
			return nil, false, err
		}
	}
	id := chain[len(chain)-1].ID
	if last := stored[id]; last != nil {
		return last, false, nil
	}
	last, err = Certificate(ctx, tx, id)
	return last, true, err
}

// storedOf reads those certificates of a chain that are kept here.
func storedOf(ctx context.Context, tx *db.Tx, chain []*cert.Certificate) (map[string]*cert.Certificate, error) {
	ids := make([]string, len(chain))
	for i, c := range chain {
		ids[i] = c.ID
	}
	query := `SELECT ` + certificateColumns + ` FROM morango_certificate WHERE id IN ` + tx.IDs(1)
	rows, err := tx.QueryKept(ctx, query, db.JSONList(ids))
	list, err := all(rows, err, "certificates", scanCertificate)
	if err != nil {
		return nil, err
	}
	stored := map[string]*cert.Certificate{}
	for _, c := range list {
		stored[c.ID] = c
	}
	return stored, nil
}

// CertificatePage lists up to limit certificates with ids greater than after, in id
// order; "" begins.
func CertificatePage(ctx context.Context, tx *db.Tx, after string, limit int) ([]*cert.Certificate, error) {
	if after == "" {
		after = ident.Lowest
	}
	rows, err := tx.Query(ctx, `SELECT `+certificateColumns+` FROM morango_certificate
		WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
	return all(rows, err, "certificates", scanCertificate)
}
