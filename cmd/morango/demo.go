package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/server"
)

//go:embed demo.yaml
var demoProfile []byte

// demoCmd lets two databases sync.
type demoCmd struct {
	Records int  `default:"1000" help:"Records that the school begins with."`
	Keep    bool `help:"Leave the two databases where they are, to look at."`
}

// Validate refuses impossible values.
func (f *demoCmd) Validate() error {
	if f.Records < 20 || f.Records > 10_000_000 {
		return fmt.Errorf("--records %d: a number from 20 to 10000000 is needed", f.Records)
	}
	return nil
}

// demo is a running demonstration: a school's hub that serves, and a tablet that syncs
// with it.
type demo struct {
	console
	folder      string
	profile     *model.Profile
	hub, tablet peer
	url         string
	server      *http.Server // the hub's; nil until it serves
	failed      bool
}

// peer is one side: the node, and the application's own connection to the database.
type peer struct {
	name string
	file string
	node *morango.Node
	app  *school
}

const demoUser, demoPassword = "teacher", "chalk and duster"

// Run runs the demonstration.
func (f *demoCmd) Run(ctx context.Context, c console) (err error) {
	folder, err := os.MkdirTemp("", "morango-demo-")
	if err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	d := &demo{console: c, folder: folder}
	defer func() {
		err = errors.Join(err, d.close())
		if f.Keep {
			fmt.Fprintf(c.out, "\nThe databases are in %s.\n", folder)
			return
		}
		err = errors.Join(err, os.RemoveAll(folder))
	}()
	if d.profile, err = model.Load("demo.yaml", bytes.NewReader(demoProfile)); err != nil {
		return err
	}
	for _, act := range []func(context.Context, int) error{d.open, d.join, d.first, d.second} {
		if err := act(ctx, f.Records); err != nil {
			return err
		}
	}
	if d.failed {
		return errors.New("the two databases differ")
	}
	return nil
}

// open makes the two databases and fills the hub's.
func (d *demo) open(ctx context.Context, records int) (err error) {
	if d.hub, err = d.newPeer(ctx, "hub"); err != nil {
		return err
	}
	if d.tablet, err = d.newPeer(ctx, "tablet"); err != nil {
		return err
	}
	root, err := d.hub.node.CreateRoot(ctx, "whole-school", nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "A school's hub and a tablet, each with a database of its own. The hub creates\nthe root certificate %s, and its\napplication, which knows nothing of Morango, writes %s records with SQL.\n\n", root.ID, count(int64(records)))
	d.hub.app.school, d.tablet.app.school = root.ID, root.ID
	return d.hub.app.fill(ctx, "Class", records)
}

func (d *demo) newPeer(ctx context.Context, name string) (p peer, err error) {
	p = peer{name: name, file: filepath.Join(d.folder, name+".db")}
	if p.node, err = morango.Open(ctx, p.file, d.profile, morango.Config{Create: true, Logger: d.log}); err != nil {
		return p, err
	}
	p.app, err = openSchool(p.file, d.profile)
	return p, err
}

// join serves the hub on loopback and lets the tablet ask for a certificate.
func (d *demo) join(ctx context.Context, _ int) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen on loopback: %w", err)
	}
	d.url = "http://" + listener.Addr().String()
	handler, err := d.hub.node.Handler(morango.ServerOptions{Users: oneUser{}})
	if err != nil {
		return err
	}
	d.server = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = d.server.Serve(listener) }() // it ends in close, with an error that says so
	got, err := d.tablet.node.Join(ctx, d.url, morango.JoinOptions{User: demoUser, Password: demoPassword})
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "The hub serves at %s. The tablet asks for a certificate in\nthe name of %q and gets %s.\n", d.url, demoUser, got.ID)
	return nil
}

// first brings everything to the tablet.
func (d *demo) first(ctx context.Context, _ int) error {
	return d.round(ctx, "First sync", nil)
}

// second changes both sides, the same records among them, and syncs again.
func (d *demo) second(ctx context.Context, records int) error {
	few := max(2, records/100)
	return d.round(ctx, "Second sync", func(ctx context.Context) error {
		fmt.Fprintf(d.out, "\nNow both are changed while apart: the tablet writes %s attempts and renames %s\nlearners; the hub renames the same learners differently and deletes %s attempts.\n",
			count(int64(few*5)), count(int64(few)), count(int64(few)))
		if err := d.tablet.app.attempts(ctx, few*5); err != nil {
			return err
		}
		if err := d.tablet.app.rename(ctx, few, "of the tablet"); err != nil {
			return err
		}
		if err := d.hub.app.rename(ctx, few, "of the hub"); err != nil {
			return err
		}
		return d.hub.app.remove(ctx, few)
	})
}

// round changes the databases, syncs them, and shows what they hold before and after.
func (d *demo) round(ctx context.Context, title string, change func(context.Context) error) error {
	if change != nil {
		if err := change(ctx); err != nil {
			return err
		}
	}
	before, err := d.holdings(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	summary, err := d.tablet.node.Sync(ctx, d.url, morango.SyncOptions{})
	if err != nil {
		return err
	}
	took := time.Since(began)
	after, err := d.holdings(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\n%s, in %s:\n\n", title, duration(took))
	return d.show(before, after, summary)
}

func (d *demo) close() error {
	var errs []error
	if d.server != nil {
		errs = append(errs, d.server.Close())
	}
	for _, p := range []peer{d.hub, d.tablet} {
		if p.app != nil {
			errs = append(errs, p.app.close())
		}
		if p.node != nil {
			errs = append(errs, p.node.Close())
		}
	}
	return errors.Join(errs...)
}

// oneUser lets the demonstration's only user have any certificate.
type oneUser struct{}

// Authenticate knows one name and one password.
func (oneUser) Authenticate(_ context.Context, args map[string]string, password string) (server.User, error) {
	if args["username"] == demoUser && password == demoPassword {
		return oneUser{}, nil
	}
	return nil, server.ErrCredentials
}

// MayCertify allows everything.
func (oneUser) MayCertify(string, map[string]any) bool { return true }
