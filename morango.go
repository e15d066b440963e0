// Package morango embeds a peer of the Morango system in a Go program: it keeps the
// rows of an application's SQL tables in step with other peers that are only
// sometimes connected, over HTTP, under device certificates. A MoranGo peer syncs with
// any Morango peer, whether it runs MoranGo or the Python reference.
//
// Open makes a Node of a database and a profile; the node serves peers with Handler and
// goes to them with Sync. What happens meanwhile is told by Events.
//
// This package is the facade: it imports the layers below and only puts them together.
// A row starts here when the program calls Sync or Serialize, or when a peer's request
// comes in through Handler.
package morango

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/engine"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/deserialize"
	"github.com/morango-go/morango/store"
)

// Profile says what is synced; see LoadProfile and package model.
type Profile = model.Profile

// Filter is an ordered set of partition prefixes; see ParseFilter.
type Filter = partition.Filter

// Event tells what happens in a transfer session.
type Event = stage.Event

// LoadProfile reads a profile file. Its errors name file, line and model.
func LoadProfile(path string) (*Profile, error) { return model.LoadFile(path) }

// ParseFilter reads a filter as it travels: prefixes separated by white space.
func ParseFilter(text string) Filter { return partition.Parse(text) }

// Config is what a node needs besides its database and profile. The zero value opens
// an existing database with the real clock, randomness and machine.
type Config struct {
	// Create makes what is missing: the database file, Morango's tables, the
	// application's tables, and the triggers that capture changes. When the profile has
	// gained columns, it also brings into the tables what other peers sent for them.
	Create bool
	// Layout is the form of Morango's tables when Create makes them; "" is db.LayoutLean.
	// db.LayoutDjango makes what a Python application expects, which keeps the dirty bits
	// itself: it takes a profile with capture by the application.
	Layout db.Layout
	// Client makes the requests to peers; nil is one with sensible timeouts.
	Client *http.Client
	// Logger hears of failures that nobody else hears of; nil is slog.Default().
	Logger *slog.Logger
	// Now is the clock; nil is the real one.
	Now func() time.Time
	// Rand is the source of ids and keys; nil is the system's. It must be safe for
	// concurrent use.
	Rand io.Reader
	// Wait passes the time until a client asks or tries again, or returns the context's
	// error; nil waits for real.
	Wait func(ctx context.Context, d time.Duration) error
	// Hook is called before and after each stage of every transfer session; an error
	// aborts the stage. Nil is none. See HookEvent.
	Hook Hook
	// Merge holds the program's own merge functions, by model name: one for each model
	// whose merge rule is custom, and for no other.
	Merge map[string]MergeFunc
	// SerializeRows bounds how many rows are serialized, or queued for a peer that takes no stream, in one
	// transaction, and so what a push serializes before its records begin to leave; 0 is as many as take
	// 50 milliseconds. With a bound the rest is serialized in turns with the sending, and not beside it.
	SerializeRows int
	// Getenv finds environment variables; nil is os.Getenv. MORANGO_SYSTEM_ID and
	// MORANGO_NODE_ID override what identifies this machine.
	Getenv func(string) string
}

// Node is one peer: a database, the profile that is synced in it, and the engine.
// It is safe for concurrent use. Close it.
type Node struct {
	config Config
	db     *db.DB
	engine *engine.Engine
	events *broadcast
}

// Open opens the database, which is a path, a "sqlite:" URL or a "postgres://" URL, as
// a peer that syncs profile. Errors wrap db.ErrNotInitialized, db.ErrNotOurs and
// db.ErrNewerSchema where they apply. A profile with columns that the database has not
// been opened with before needs Create.
func Open(ctx context.Context, database string, profile *Profile, c Config) (*Node, error) {
	if profile == nil {
		return nil, errors.New("open a node: a profile is needed; see LoadProfile")
	}
	c = c.withDefaults()
	if err := c.checkMerge(profile); err != nil {
		return nil, err
	}
	d, err := db.Open(ctx, database, db.Options{MustExist: !c.Create})
	if err != nil {
		return nil, err
	}
	n := &Node{config: c, db: d, events: newBroadcast()}
	n.engine = engine.New(stage.Env{
		DB: d, Profile: profile, Machine: c.machine(ctx, d), Now: c.Now, Rand: c.Rand, Events: n.sink, Hook: c.Hook,
		Merge: c.Merge, SerializeRows: c.SerializeRows,
	})
	if err := n.prepare(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Close stops what runs in the background and closes the database. Stages that were
// not finished go on when the session is resumed.
func (n *Node) Close() error {
	n.engine.Close()
	n.events.close()
	return n.db.Close()
}

// Database names the node's database for people: a path, or an address without
// password.
func (n *Node) Database() string { return n.db.Path() }

// Profile returns what this node syncs.
func (n *Node) Profile() *Profile { return n.engine.Env().Profile }

// prepare attaches to the database, or makes what is missing of it.
func (n *Node) prepare(ctx context.Context) error {
	if n.config.Create {
		if err := n.refuseTriggers(n.config.Layout); err != nil {
			return err
		}
		if err := n.db.Create(ctx, n.config.Layout); err != nil {
			return err
		}
	}
	layout, err := n.db.Attach(ctx)
	if err == nil {
		err = n.refuseTriggers(layout)
	}
	if err != nil {
		return err
	}
	// In Django's layout the application's migrations see to new columns.
	lean := layout == db.LayoutLean
	if err := n.db.Write(ctx, func(tx *db.Tx) error { return n.prepareTables(ctx, tx, lean) }); err != nil || !lean || !n.config.Create {
		return err
	}
	if _, err := n.db.Attach(ctx); err != nil { // the indexes of the application's tables are known now
		return err
	}
	return deserialize.GainColumns(ctx, n.engine.Env())
}

// prepareTables makes what is missing of the application's tables, or refuses when
// that is for Create to do.
func (n *Node) prepareTables(ctx context.Context, tx *db.Tx, lean bool) error {
	profile := n.Profile()
	if lean {
		if err := app.LearnColumns(ctx, tx, profile); err != nil {
			return err
		}
	}
	switch {
	case n.config.Create:
		if err := app.CreateTables(ctx, tx, profile); err != nil {
			return err
		}
		if profile.Capture == model.CaptureTriggers {
			if err := app.CreateTriggers(ctx, tx, profile); err != nil {
				return err
			}
		}
	case lean:
		if err := n.refuseNewColumns(ctx, tx); err != nil {
			return err
		}
	}
	return session.SaveScopes(ctx, tx, profile)
}

// refuseNewColumns refuses a profile with columns whose values the tables have not
// got from the store yet: what is serialized would put their defaults over them.
func (n *Node) refuseNewColumns(ctx context.Context, tx *db.Tx) error {
	fresh, err := app.NewColumns(ctx, tx, n.Profile())
	if err != nil {
		return err
	}
	for _, m := range n.Profile().Models {
		if columns := fresh[m.Name]; len(columns) > 0 {
			return fmt.Errorf("the profile %s has columns that the database %s does not know yet (of model %s: %s): "+
				"run `morango init` with this profile first", n.Profile().Name, n.Database(), m.Name, strings.Join(columns, ", "))
		}
	}
	return nil
}

// refuseTriggers refuses to sync tables in Django's layout under a profile that wants
// triggers to capture changes: nothing would be captured.
func (n *Node) refuseTriggers(layout db.Layout) error {
	if layout != db.LayoutDjango || n.Profile().Capture == model.CaptureApplication {
		return nil
	}
	return fmt.Errorf("tables in the layout %s get no triggers: write `capture: application` into the profile %s, "+
		"if the application sets the dirty bits itself", layout, n.Profile().Name)
}

func (c Config) withDefaults() Config {
	if c.Layout == "" {
		c.Layout = db.LayoutLean
	}
	if c.Now == nil {
		c.Now = func() time.Time { return time.Now().UTC() }
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// machine gathers what identifies this machine and shows it to peers.
func (c Config) machine(ctx context.Context, d *db.DB) store.Machine {
	sources := ident.System()
	sources.Getenv = c.Getenv
	systemID, nodeID := ident.Local(ctx, sources)
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "unknown" // it is shown to people, nothing depends on it
	}
	return store.Machine{
		SystemID: systemID, NodeID: nodeID, Hostname: hostname, DBPath: d.Path(),
		Platform:   runtime.GOOS + "-" + runtime.GOARCH,
		SysVersion: fmt.Sprintf("%s MoranGo %s", runtime.Version(), Version()),
	}
}
