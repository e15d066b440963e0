package morango

import (
	"context"
	"net/http"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/server"
)

// ServerOptions say how a node serves peers; see server.Config. The engine and the
// logger are the node's where they are not set.
type ServerOptions = server.Config

// Handler returns what serves peers over HTTP, under /api/morango/v1/. It is an error
// to give options that are no use, such as a base path that is none.
func (n *Node) Handler(o ServerOptions) (http.Handler, error) {
	o.Engine = n.engine
	if o.Logger == nil {
		o.Logger = n.config.Logger
	}
	return server.New(o)
}

// Digest returns one hash over everything that travels of the profile's rows, as they
// stand in the application's tables: nodes with equal rows have equal digests. It reads
// all rows.
func (n *Node) Digest(ctx context.Context) (digest string, err error) {
	err = n.db.Read(ctx, func(tx *db.Tx) error {
		digest, err = app.Digest(ctx, tx, n.Profile())
		return err
	})
	return digest, err
}
