package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/engine"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

// postSyncSession opens a sync session with a client that proves its certificate by
// signing a nonce of ours, and proves ours to it in the same way.
func (s *Server) postSyncSession(r *http.Request) (answer, error) {
	text, err := s.json(r)
	if err != nil {
		return answer{}, err
	}
	request, err := wire.ParseSyncSessionRequest(text)
	if err != nil {
		return answer{}, err
	}
	chain, err := cert.ParseChain([]byte(request.CertificateChain))
	if err != nil {
		return answer{}, badRequest(wire.TextChainFailed + ": " + oneLine(err))
	}
	row, database, err := s.newSync(r, request)
	if err != nil {
		return answer{}, err
	}
	var refused error // kept apart: chain and nonce are dealt with also when the rest fails
	var signature string
	err = s.env.DB.Write(r.Context(), func(tx *db.Tx) (err error) {
		signature, refused, err = s.openSync(r.Context(), tx, request, chain, row, database)
		return err
	})
	if err == nil {
		err = refused
	}
	if err == nil {
		err = s.charge(r.Context(), chain[len(chain)-1].ID, len(row.ClientInstanceJSON))
	}
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: wire.SyncSessionAnswer{
		Signature: signature, ServerInstance: row.ServerInstanceJSON,
	}}, nil
}

// newSync is the row of a sync session as far as the request tells it, and the id of our database. The
// row's id is checked once the signature over it is.
func (s *Server) newSync(r *http.Request, request wire.SyncSessionRequest) (row session.Sync, database string, err error) {
	instance, err := s.engine.Instance(r.Context())
	if err != nil {
		return row, "", err
	}
	ours, err := s.engine.JSONOf(instance)
	if err != nil {
		return row, "", err
	}
	theirs, err := wire.InstanceID(request.Instance)
	if err != nil {
		return row, "", wire.FieldErrors{"instance": {oneLine(err)}}
	}
	now := s.env.Now()
	row = session.Sync{
		StartTime: now, LastTime: now, Active: true, IsServer: true,
		ConnectionKind: "network", ConnectionPath: request.ConnectionPath,
		ClientIP: s.clientIP(r), ServerIP: request.ServerIP,
		ClientInstanceID: theirs, ClientInstanceJSON: request.Instance,
		ServerInstanceID: instance.ID, ServerInstanceJSON: ours,
	}
	return row, instance.DatabaseID, fits(map[string]bounded{
		"connection_path": {row.ConnectionPath, 1000}, "server_ip": {row.ServerIP, 100}, "instance": {request.Instance, 1 << 16},
	})
}

// bounded is a text of a peer that goes into a column of so many characters.
type bounded struct {
	text   string
	length int
}

// fits checks that texts of a peer can be stored.
func fits(texts map[string]bounded) error {
	problems := wire.FieldErrors{}
	for field, b := range texts {
		switch {
		case utf8.RuneCountInString(b.text) > b.length:
			problems[field] = []string{fmt.Sprintf("Ensure this field has no more than %d characters.", b.length)}
		case strings.ContainsRune(b.text, 0):
			problems[field] = []string{"Null characters are not allowed."}
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// openSync checks certificates, signature and nonce, in this order, and creates the
// session. refused is an answer that leaves what was done in place.
func (s *Server) openSync(ctx context.Context, tx *db.Tx, request wire.SyncSessionRequest, chain []*cert.Certificate, row session.Sync, database string) (signature string, refused, err error) {
	client, refused, err := s.saveChain(ctx, tx, chain, request)
	if refused != nil || err != nil {
		return "", refused, err
	}
	if id, err := ident.Parse(request.ClientCertificateID); err != nil || id != client.ID {
		return "", badRequest(wire.TextNoCertificate), nil // a request may leave it out
	}
	server, refused, err := s.partner(ctx, tx, client, request.ServerCertificateID)
	if refused != nil || err != nil {
		return "", refused, err
	}
	message := cert.SessionMessage(request.Nonce, request.ID)
	if client.Verify(message, request.Signature) != nil {
		return "", forbidden(wire.TextBadSignature), nil
	}
	err = session.UseNonce(ctx, tx, request.Nonce, s.env.Now())
	if errors.Is(err, session.ErrNonceUnknown) || errors.Is(err, session.ErrNonceExpired) {
		return "", forbidden(wire.TextBadNonce), nil
	}
	if err != nil {
		return "", nil, err
	}
	if row.ID, err = freeID(request.ID, database); err != nil {
		return "", err, nil
	}
	row.ClientCertificateID, row.ServerCertificateID, row.Profile = client.ID, server.ID, server.Profile
	err = session.CreateSync(ctx, tx, row)
	if errors.Is(err, session.ErrExists) {
		return "", wire.FieldErrors{"id": {"Sync session with this id already exists."}}, nil
	}
	if err != nil {
		return "", nil, err
	}
	signature, err = server.Sign(message)
	return signature, nil, err
}

// saveChain checks the client's chain and keeps what is new of it. A chain of a root that
// is not that of our certificate leaves no trace: nothing may be synced between the two,
// and anybody can make as many roots as he likes.
func (s *Server) saveChain(ctx context.Context, tx *db.Tx, chain []*cert.Certificate, request wire.SyncSessionRequest) (client *cert.Certificate, refused, err error) {
	client, fresh, err := session.SaveChain(ctx, tx, chain, request.ClientCertificateID)
	if err != nil {
		return nil, chainFault(err, wire.TextChainFailed), otherFault(err)
	}
	if !fresh {
		return client, nil, nil
	}
	theirs, err := session.Ancestors(ctx, tx, client.ID)
	if err != nil {
		return nil, nil, err
	}
	ours, err := ident.Parse(request.ServerCertificateID)
	if err != nil {
		return nil, nil, badRequest(wire.TextNoCertificate)
	}
	chainOfOurs, err := session.Ancestors(ctx, tx, ours)
	if errors.Is(err, session.ErrNotFound) {
		return nil, nil, badRequest(wire.TextNoCertificate)
	}
	if err == nil && chainOfOurs[0].ID != theirs[0].ID {
		err = forbidden("The two certificates have different roots, so nothing may be synced between them.")
	}
	if err != nil {
		return nil, nil, err
	}
	return client, nil, s.roomForCertificate(ctx, tx, client.ID)
}

// freeID is a client's id for its session in canonical form. That of the database is kept
// for what the database notes of itself.
func freeID(text, database string) (string, error) {
	id, err := ident.Parse(text)
	if err != nil {
		return "", wire.FieldErrors{"id": {fmt.Sprintf("%.64q is not a valid UUID.", text)}}
	}
	if id == database {
		return "", wire.FieldErrors{"id": {"Sync session with this id already exists."}}
	}
	return id, nil
}

// partner finds our certificate for a session with a client's.
func (s *Server) partner(ctx context.Context, tx *db.Tx, client *cert.Certificate, text string) (server *cert.Certificate, refused, err error) {
	id, err := ident.Parse(text)
	if err != nil {
		return nil, badRequest(wire.TextNoCertificate), nil
	}
	server, err = session.Certificate(ctx, tx, id)
	switch {
	case errors.Is(err, session.ErrNotFound), err == nil && !server.Owned():
		return nil, badRequest(wire.TextNoCertificate), nil
	case err != nil:
		return nil, nil, err
	case server.Profile != client.Profile:
		return nil, badRequest(wire.TextOneProfile), nil
	case server.Profile != s.env.Profile.Name:
		return nil, badRequest(fmt.Sprintf("Server syncs profile %q, not %.64q", s.env.Profile.Name, server.Profile)), nil
	}
	return server, nil, nil
}

// getSyncSession shows an active sync session.
func (s *Server) getSyncSession(r *http.Request) (answer, error) {
	row, err := s.activeSync(r)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: wire.SyncSession{
		ID:                    row.ID,
		StartTimestamp:        wire.Time{Time: row.StartTime},
		LastActivityTimestamp: wire.Time{Time: row.LastTime},
		Active:                row.Active,
		ClientCertificate:     orNull(row.ClientCertificateID),
		ServerCertificate:     orNull(row.ServerCertificateID),
		Profile:               row.Profile,
		ConnectionKind:        row.ConnectionKind,
		ConnectionPath:        row.ConnectionPath,
		ClientIP:              row.ClientIP,
		ServerIP:              row.ServerIP,
		ClientInstance:        row.ClientInstanceJSON,
		ServerInstance:        row.ServerInstanceJSON,
	}}, nil
}

// deleteSyncSession closes a sync session.
func (s *Server) deleteSyncSession(r *http.Request) (answer, error) {
	row, err := s.activeSync(r)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, s.closeSync(r, row.ID)
}

// settle ends the pulls of a sync session whose client has come to something else. They are
// done for the client, whatever becomes of them here.
func (s *Server) settle(r *http.Request, pulled []session.Transfer) {
	if err := s.engine.Settle(r.Context(), pulled); err != nil {
		s.log.ErrorContext(r.Context(), "end of a pull failed", "error", oneLine(err))
	}
}

// pulled reads the pulls of a sync session that are to be settled.
func (s *Server) pulled(r *http.Request, tx *db.Tx, syncID string) ([]session.Transfer, error) {
	if !s.terms(r).Stream {
		return nil, nil
	}
	return engine.Pulled(r.Context(), tx, syncID)
}

// closeSync ends a sync session that its client has come to the end of.
func (s *Server) closeSync(r *http.Request, id string) error {
	var pulled []session.Transfer
	closing := func(tx *db.Tx) error { return session.CloseSync(r.Context(), tx, id, s.env.Now()) }
	err := s.env.DB.Write(r.Context(), func(tx *db.Tx) (err error) {
		if pulled, err = s.pulled(r, tx, id); err != nil || len(pulled) > 0 {
			return err
		}
		return closing(tx)
	})
	if err != nil || len(pulled) == 0 {
		return err
	}
	s.settle(r, pulled)
	return s.env.DB.Write(r.Context(), closing)
}

// activeSync reads the session of the path. Those in which this peer is the client
// are nobody's business.
func (s *Server) activeSync(r *http.Request) (row session.Sync, err error) {
	id, err := pathID(r)
	if err != nil {
		return row, err
	}
	err = s.env.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		row, err = session.ActiveSync(r.Context(), tx, id)
		return err
	})
	if err == nil && !row.IsServer {
		err = notFound()
	}
	return row, err
}

func orNull(id string) *string {
	if id == "" {
		return nil
	}
	return &id
}
