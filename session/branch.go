package session

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
)

// Branch returns the certificate under which a certificate's holder stands as a peer of
// this database: the first one from the root down whose private key is not here. All
// that was issued below it counts as one holder, who can issue as many as he likes.
// It is the certificate itself when the whole chain is ours; ErrNotFound.
func Branch(ctx context.Context, tx *db.Tx, id string) (*cert.Certificate, error) {
	chain, err := Ancestors(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	for _, c := range chain {
		if !c.Owned() {
			return c, nil
		}
	}
	return chain[len(chain)-1], nil
}

// Below lists the ids of the certificates at and below one.
func Below(ctx context.Context, tx *db.Tx, id string) ([]string, error) {
	return descendants(ctx, tx, id)
}

// Used is what one sync session in which this peer is the server takes up.
type Used struct {
	ID     string
	Active bool
	Bytes  int64 // of the texts that its peer gave, those of its transfer sessions among them
}

const used = `SELECT s.id, s.active, octet_length(s.client_instance_json) + octet_length(s.connection_path) + COALESCE((
		SELECT SUM(octet_length(t.filter) + octet_length(t.client_fsic) + octet_length(t.server_fsic))
		FROM morango_transfersession t WHERE t.sync_session_id = s.id), 0)
	FROM morango_syncsession s WHERE s.is_server`

// Usage lists the sync sessions of the holders of certificates, of all when there are
// none given: the active ones first, the latest activity first.
func Usage(ctx context.Context, tx *db.Tx, certificates []string) ([]Used, error) {
	query, args := used, []any(nil)
	if len(certificates) > 0 {
		query, args = used+` AND s.client_certificate_id IN `+tx.IDs(1), []any{db.JSONList(certificates)}
	}
	rows, err := tx.Query(ctx, query+` ORDER BY s.active DESC, s.last_activity_timestamp DESC, s.id`, args...)
	return all(rows, err, "what sync sessions take up", func(row scanner) (u Used, err error) {
		return u, row.Scan((*db.ID)(&u.ID), &u.Active, &u.Bytes)
	})
}

// CountTransfers counts the transfer sessions of a sync session, open or closed.
func CountTransfers(ctx context.Context, tx *db.Tx, syncID string) (n int, err error) {
	err = tx.QueryRow(ctx, `SELECT COUNT(*) FROM morango_transfersession WHERE sync_session_id = $1`, syncID).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the transfer sessions of sync session %s: %w", syncID, err)
	}
	return n, nil
}

// CountRoots counts the root certificates whose private keys are elsewhere.
func CountRoots(ctx context.Context, tx *db.Tx) (n int, err error) {
	err = tx.QueryRow(ctx, `SELECT COUNT(*) FROM morango_certificate WHERE parent_id IS NULL AND COALESCE(private_key, '') = ''`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the root certificates of others: %w", err)
	}
	return n, nil
}
