//go:build linux

package crashtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the application's driver on PostgreSQL
	_ "modernc.org/sqlite"             // and on SQLite

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/wire"
)

// The sides.
const (
	hub    = "hub"
	tablet = "tablet"
)

// peer is one side: the node with its application, in this process.
type peer struct {
	side   string
	target string // of the database
	told   func(word, id, text string)

	node *morango.Node
	app  *app
	http *http.Server
}

// verbs are what a side can be told to do. What they return is for the one who told.
var verbs = map[string]func(p *peer, ctx context.Context, args []string) (string, error){
	"open": func(p *peer, ctx context.Context, _ []string) (string, error) { return "", p.open(ctx) },
	"reopen": func(p *peer, ctx context.Context, _ []string) (string, error) {
		return "", errors.Join(p.close(), p.open(ctx))
	},
	"mend":      (*peer).mend,
	"root":      (*peer).root,
	"serve":     (*peer).serve,
	"join":      (*peer).join,
	"introduce": (*peer).introduce,
	"sync":      (*peer).sync,
	"afresh":    (*peer).sync,
	"pull":      (*peer).sync,
	"push":      (*peer).sync,
	"edit": func(p *peer, ctx context.Context, args []string) (string, error) {
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return "", err
		}
		return "", p.app.edit(ctx, n)
	},
	"begin": func(p *peer, ctx context.Context, _ []string) (string, error) { return "", p.app.begin(ctx) },
	"serialize": func(p *peer, ctx context.Context, _ []string) (string, error) {
		_, err := p.node.Serialize(ctx, morango.Filter{})
		return "", err
	},
	"checkpoint": func(p *peer, ctx context.Context, _ []string) (string, error) {
		if strings.Contains(p.target, "://") {
			return "", nil
		}
		_, err := p.app.db.ExecContext(ctx, `PRAGMA wal_checkpoint(RESTART)`)
		return "", err
	},
}

// do does what a line says.
func (p *peer) do(ctx context.Context, line string) (string, error) {
	words := strings.Fields(line)
	verb, ok := verbs[words[0]]
	if !ok {
		return "", fmt.Errorf("nobody knows how to %q", line)
	}
	if p.app != nil && p.app.world == "" {
		if err := p.learn(ctx); err != nil {
			return "", err
		}
	}
	answer, err := verb(p, ctx, words)
	if err != nil {
		err = fmt.Errorf("%s: %s: %w", p.side, line, err)
	}
	return answer, err
}

// open opens the database, and makes what is missing in it.
func (p *peer) open(ctx context.Context) error {
	prof, err := profile()
	if err != nil {
		return err
	}
	rows := 0
	if p.side == tablet {
		rows = 3 // its pushes begin before all is serialized
	}
	p.node, err = morango.Open(ctx, p.target, prof, morango.Config{
		SerializeRows: rows,
		Create:        true, Logger: slog.New(slog.DiscardHandler),
		Getenv: func(name string) string {
			return map[string]string{"MORANGO_SYSTEM_ID": p.side, "MORANGO_NODE_ID": "0123456789ab"}[name]
		},
	})
	if err != nil {
		return err
	}
	driver, address := "sqlite", "file:"+p.target+"?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=synchronous(full)&_txlock=immediate"
	if strings.Contains(p.target, "://") {
		driver, address = "pgx", p.target
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		return err
	}
	db.SetMaxIdleConns(0) // a server that went down does not concern the next transaction
	p.app = &app{db: db, side: p.side, told: p.told}
	return nil
}

// mend opens what could not be opened.
func (p *peer) mend(ctx context.Context, _ []string) (string, error) {
	if p.node != nil && p.app != nil {
		return "", nil
	}
	return "", errors.Join(p.close(), p.open(ctx))
}

// learn finds the id of the root certificate, when it is there.
func (p *peer) learn(ctx context.Context) error {
	owned, err := p.node.Certificates(ctx)
	if err != nil || len(owned) == 0 {
		return err
	}
	chain, err := p.node.CertificateChain(ctx, owned[0].ID)
	if err != nil {
		return err
	}
	p.app.world = chain[0].ID
	return nil
}

// root makes the root certificate, once.
func (p *peer) root(ctx context.Context, _ []string) (string, error) {
	owned, err := p.node.Certificates(ctx)
	if err != nil || len(owned) > 0 {
		return "", err
	}
	_, err = p.node.CreateRoot(ctx, "world", nil)
	return "", err
}

// serve serves at an address, unless it serves already, and returns the URL. It does so
// without streams when that is said.
func (p *peer) serve(ctx context.Context, args []string) (string, error) {
	if p.http != nil {
		return "http://" + args[1], nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", args[1])
	if err != nil {
		return "", err
	}
	o := morango.ServerOptions{Users: everybody{}, AllowCertificatePushing: true}
	if args[2] == "true" {
		o.Hide = []wire.Capability{wire.Stream1}
	}
	handler, err := p.node.Handler(o)
	if err != nil {
		return "", err
	}
	p.http = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = p.http.Serve(listener) }() // it ends in close, with an error that says so
	return "http://" + listener.Addr().String(), nil
}

// join gets a certificate from the peer at a URL, once.
func (p *peer) join(ctx context.Context, args []string) (string, error) {
	joined, err := p.node.Joined(ctx, args[1])
	if err != nil || joined {
		return "", err
	}
	_, err = p.node.Join(ctx, args[1], morango.JoinOptions{User: "somebody", Password: "something"})
	return "", err
}

// introduce pushes a certificate to the peer at a URL.
func (p *peer) introduce(ctx context.Context, args []string) (string, error) {
	owned, err := p.node.Certificates(ctx)
	if err != nil {
		return "", err
	}
	_, err = p.node.PushCertificate(ctx, args[1], morango.PushOptions{Parent: owned[0].ID})
	return "", err
}

// sync syncs with the peer at a URL, and says whether it went on with an earlier sync,
// which it leaves aside when it is to sync afresh.
func (p *peer) sync(ctx context.Context, args []string) (string, error) {
	o := morango.SyncOptions{ChunkSize: 10, Retries: -1, Pull: args[0] == "pull", Push: args[0] == "push", Fresh: args[0] == "afresh"}
	summary, err := p.node.Sync(ctx, args[1], o)
	if err == nil && summary.Failing() > 0 {
		err = fmt.Errorf("%d records could not be applied or sent: %v", summary.Failing(), summary.Problems)
	}
	return strconv.FormatBool(summary.Resumed), err
}

func (p *peer) close() error {
	var errs []error
	if p.http != nil {
		errs = append(errs, p.http.Close())
	}
	if p.app != nil {
		errs = append(errs, p.app.db.Close())
	}
	if p.node != nil {
		errs = append(errs, p.node.Close())
	}
	p.http, p.app, p.node = nil, nil, nil
	return errors.Join(errs...)
}

// everybody may have any certificate.
type everybody struct{}

// Authenticate lets anybody in.
func (everybody) Authenticate(context.Context, map[string]string, string) (server.User, error) {
	return everybody{}, nil
}

// MayCertify allows everything.
func (everybody) MayCertify(string, map[string]any) bool { return true }
