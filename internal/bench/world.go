package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/store"
	"github.com/morango-go/morango/verify"
)

// world makes the databases that jobs of one size start from, each when it is first
// asked for. Jobs work on copies.
type world struct {
	*places
	kind
	n int // rows of learners, or notes

	ready map[string]string // what was made, by name
	root  string            // id of the dataset and of the root certificate
}

// newWorld makes no database yet. notes: with notes instead of learners' rows.
func newWorld(p *places, project string, notes bool, n int) (*world, error) {
	k, err := loadKind(project, notes)
	return &world{places: p, kind: k, n: n}, err
}

// The databases to start from.
const (
	hubEmpty     = "hub with the school alone"
	hubFull      = "hub with the learners' rows in its store"
	clientEmpty  = "client with the school alone"
	clientFull   = "client with changed rows of the learners"
	clientUser   = "client of one learner, empty"
	clientSynced = "client with all that the full hub has"

	clientOther      = "client with changed rows of other learners"
	clientUserSynced = "client of one learner, with its rows"
	clientSmall      = "client with the school and a few learners of its own"
)

// get returns a copy of one of the databases to start from.
func (w *world) get(ctx context.Context, name string) (string, error) {
	from, err := w.template(ctx, name)
	if err != nil {
		return "", fmt.Errorf("make a %s: %w", name, err)
	}
	return w.copy(ctx, from)
}

// template makes a database to start from, once.
func (w *world) template(ctx context.Context, name string) (string, error) {
	if target, ok := w.ready[name]; ok {
		return target, nil
	}
	if w.ready == nil {
		w.ready = map[string]string{}
		if err := w.makeHub(ctx); err != nil {
			return "", err
		}
		// Before the hub is copied: what it has told to others it must know, or its copies
		// would be found to be copies.
		if _, err := w.template(ctx, clientEmpty); err != nil {
			return "", err
		}
		return w.template(ctx, name)
	}
	var target string
	var err error
	switch name {
	case hubFull:
		if target, err = w.get(ctx, hubEmpty); err == nil {
			err = w.fill(ctx, target, seedLearners, w.n, true)
		}
	case clientFull:
		if target, err = w.get(ctx, clientEmpty); err == nil {
			err = w.fill(ctx, target, seedLearners, w.n, false)
		}
	case clientEmpty:
		target, err = w.join(ctx, hubEmpty, "", morango.JoinOptions{ScopeDefinition: w.scope})
	case clientUser:
		target, err = w.join(ctx, hubEmpty, "", morango.JoinOptions{ScopeDefinition: "single-user",
			Params: map[string]string{"user_id": firstLearner(w.profile, w.root)}})
	case clientOther:
		// A client of its own: copies of one would be found to be copies.
		if target, err = w.join(ctx, hubEmpty, "", morango.JoinOptions{ScopeDefinition: w.scope}); err == nil {
			err = w.fill(ctx, target, seedOther, w.n, false)
		}
	case clientSmall:
		if target, err = w.join(ctx, hubEmpty, "", morango.JoinOptions{ScopeDefinition: w.scope}); err == nil {
			err = w.fill(ctx, target, seedSmall, rowsOfUser, false)
		}
	case clientUserSynced:
		target, err = w.join(ctx, hubFull, clientUser, morango.JoinOptions{})
	case clientSynced:
		target, err = w.join(ctx, hubFull, clientEmpty, morango.JoinOptions{})
	}
	if err == nil {
		err = sumUp(ctx, target)
	}
	if err == nil {
		err = w.settle(ctx, target)
	}
	w.ready[name] = target
	return target, err
}

// sumUp sums up all partitions, which later syncs would do by and by.
func sumUp(ctx context.Context, target string) error {
	d, err := db.Open(ctx, target, db.Options{})
	if err != nil {
		return err
	}
	for left := true; left && err == nil; {
		if _, err = verify.Keep(ctx, d, partition.All(), nil, time.Now); err == nil {
			err = d.Read(ctx, func(tx *db.Tx) (err error) {
				left, err = store.AnyStale(ctx, tx, partition.All())
				return err
			})
		}
	}
	return errors.Join(err, d.Close())
}

func (w *world) open(ctx context.Context, target string, create bool) (*morango.Node, error) {
	return morango.Open(ctx, target, w.profile, morango.Config{Create: create, Logger: slog.New(slog.DiscardHandler)})
}

// makeHub makes the dataset: its root certificate and the school.
func (w *world) makeHub(ctx context.Context) error {
	target, err := w.fresh(ctx)
	if err != nil {
		return err
	}
	node, err := w.open(ctx, target, true)
	if err != nil {
		return err
	}
	root, err := node.CreateRoot(ctx, w.scope, nil)
	if err = errors.Join(err, node.Close()); err != nil {
		return err
	}
	w.root, w.ready[hubEmpty] = root.ID, target
	return w.write(ctx, target, true, func(d *db.DB) error {
		if err := w.begin(ctx, d, w.root); err != nil {
			return err
		}
		return d.Write(ctx, func(tx *db.Tx) error { return store.Claim(ctx, tx, w.bygone(), nil) })
	})
}

// bygone are claims about devices of which no record is left, for all that they saved
// was saved again by others since: every database that has been in use for some years
// has some, and looks for them in vain.
func (w *world) bygone() counter.ByPartition {
	counters := counter.Counters{}
	for i := range 20 {
		counters[fmt.Sprintf("%032x", 0xb19011e0+i)] = int64(100 + i)
	}
	return counter.ByPartition{w.root: counters}
}

// fill adds n rows of learners to a database, and if it is told to its store.
func (w *world) fill(ctx context.Context, target string, seed byte, n int, serialize bool) error {
	return w.write(ctx, target, serialize, func(d *db.DB) error {
		return w.kind.fill(ctx, d, w.root, seed, n)
	})
}

// write does something to a database as its application.
func (w *world) write(ctx context.Context, target string, serialize bool, change func(*db.DB) error) error {
	d, err := db.Open(ctx, target, db.Options{})
	if err != nil {
		return err
	}
	if err := errors.Join(change(d), d.Close()); err != nil || !serialize {
		return err
	}
	node, err := w.open(ctx, target, false)
	if err != nil {
		return err
	}
	report, err := node.Serialize(ctx, morango.Filter{})
	if err == nil && report.LeftOutTotal > 0 {
		err = fmt.Errorf("%d rows were left out, the first because: %s", report.LeftOutTotal, report.LeftOut[0].Reason)
	}
	return errors.Join(err, node.Close())
}

// join makes a client that has a certificate of a hub's, and pulls all that it may have:
// a fresh one, or one that has joined already.
func (w *world) join(ctx context.Context, hub, client string, o morango.JoinOptions) (target string, err error) {
	from, err := w.template(ctx, hub)
	if err != nil {
		return "", err
	}
	served, err := w.open(ctx, from, false)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, served.Close()) }()
	address, stop, err := serve(ctx, served)
	if err != nil {
		return "", err
	}
	defer stop()
	if client == "" {
		target, err = w.fresh(ctx)
	} else {
		target, err = w.get(ctx, client)
	}
	if err != nil {
		return "", err
	}
	node, err := w.open(ctx, target, client == "")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	if client == "" {
		o.User = "anyone"
		if _, err := node.Join(ctx, address, o); err != nil {
			return "", err
		}
	}
	if o.ScopeDefinition == "single-user" {
		return target, nil
	}
	_, err = node.Pull(ctx, address, morango.SyncOptions{})
	return target, err
}

// anyone may have a certificate.
type anyone struct{}

// Authenticate implements server.Authenticator.
func (anyone) Authenticate(context.Context, map[string]string, string) (server.User, error) {
	return anyone{}, nil
}

// MayCertify implements server.User.
func (anyone) MayCertify(string, map[string]any) bool { return true }

// serve serves a node on loopback until stop is called.
func serve(ctx context.Context, node *morango.Node) (address string, stop func(), err error) {
	handler, err := node.Handler(morango.ServerOptions{Users: anyone{}})
	if err != nil {
		return "", nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(listener) // ends with Close
	}()
	return "http://" + listener.Addr().String(), func() { _ = s.Close(); <-done }, nil
}
