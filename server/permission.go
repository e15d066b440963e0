package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

// permit checks that a filter lies in the scopes of both certificates of a sync
// session for the direction of a transfer. It is asked at each request, so that a
// certificate that is gone ends what it allowed.
func (s *Server) permit(ctx context.Context, tx *db.Tx, sync session.Within, filter partition.Filter, push bool) error {
	defs, err := session.Definitions(ctx, tx)
	if err != nil {
		return err
	}
	clients, servers, err := session.Two(ctx, tx, sync.ClientCertificateID, sync.ServerCertificateID)
	if errors.Is(err, session.ErrNotFound) {
		return forbidden("A certificate of this sync session is no longer known. Start a new sync session.")
	}
	if err != nil {
		return err
	}
	client, err := scopeOf(clients, defs)
	if err != nil {
		return err
	}
	server, err := scopeOf(servers, defs)
	if err != nil {
		return err
	}
	switch {
	case push && !filter.SubsetOf(server.Read):
		return forbidden(wire.TextServerNoReceive)
	case push && !filter.SubsetOf(client.Write):
		return forbidden(wire.TextClientNoPush)
	case !push && !filter.SubsetOf(server.Write):
		return forbidden(wire.TextServerNoRespond)
	case !push && !filter.SubsetOf(client.Read):
		return forbidden(wire.TextClientNoPull)
	}
	return nil
}

func scopeOf(c *cert.Certificate, defs cert.Definitions) (partition.Scope, error) {
	scope, err := c.Scope(defs)
	if err != nil {
		return partition.Scope{}, fmt.Errorf("scope of certificate %s: %w", c.ID, err)
	}
	return scope, nil
}

// usable reads an active transfer session of an active sync session of ours and
// checks that it is permitted still; session.ErrNotFound when it is not active.
func (s *Server) usable(ctx context.Context, id string) (t session.Transfer, err error) {
	err = s.env.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if t, err = session.ActiveTransfer(ctx, tx, id); err != nil {
			return err
		}
		switch {
		case !t.Within.Active:
			return fmt.Errorf("sync session %s: %w", t.SyncSessionID, session.ErrNotFound)
		case !t.Within.IsServer:
			return notFound()
		}
		return s.permit(ctx, tx, t.Within, partition.Parse(t.Filter), t.Push)
	})
	return t, err
}
