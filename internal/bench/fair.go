package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/db"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// waits is how long those had to wait who had little to do beside a large sync, in
// seconds.
type waits struct {
	Count   int     `json:"count"`
	Median  float64 `json:"median"`
	Longest float64 `json:"longest"`
	Over    int     `json:"over_the_bound"`
	Bound   float64 `json:"bound"`
	// Idle is the longest of the same where nobody else wanted anything: of small syncs,
	// before the large one began; of writes, to a file of their own at the same time.
	Idle float64 `json:"longest_idle"`
}

// What a large sync may cost others.
const (
	boundOfSync  = time.Second
	boundOfWrite = 250 * time.Millisecond
)

func waitsOf(all []time.Duration, idle, bound time.Duration) waits {
	slices.Sort(all)
	w := waits{Count: len(all), Bound: bound.Seconds(), Idle: idle.Seconds()}
	if len(all) > 0 {
		w.Median, w.Longest = all[len(all)/2].Seconds(), all[len(all)-1].Seconds()
	}
	for _, one := range all {
		if one > bound {
			w.Over++
		}
	}
	return w
}

// fair lets a client push, and one pull, all rows, while others have little to do: small
// syncs with the same server, one after another, by a learner's device and by one that
// has everything; and an application on each side that writes a row every few
// milliseconds.
func (b *bench) fair(ctx context.Context) ([]result, error) {
	if err := b.templates(ctx, clientOther, clientEmpty, clientUserSynced, clientSmall); err != nil {
		return nil, err
	}
	all, err := b.sync(ctx, setting{job: "fair push", hub: hubFull, client: clientOther, order: order{Push: true}, push: b.n, beside: b.beside(ctx)})
	if err != nil {
		return nil, err
	}
	pulled, err := b.sync(ctx, setting{job: "fair pull", hub: hubFull, client: clientEmpty, order: order{Pull: true}, pull: b.n, beside: b.beside(ctx)})
	return append(all, pulled...), err
}

// fairBuffers is fair beside a client that pulls all rows as a peer of the reference does.
func (b *bench) fairBuffers(ctx context.Context) ([]result, error) {
	if err := b.templates(ctx, clientEmpty, clientUserSynced, clientSmall); err != nil {
		return nil, err
	}
	return b.sync(ctx, setting{job: "fair pull by buffers", hub: hubFull, client: clientEmpty, order: order{Pull: true, Buffers: true}, pull: b.n, beside: b.beside(ctx)})
}

// templates makes all databases of a job before the hub is copied: what it tells them its copy must know.
func (b *bench) templates(ctx context.Context, names ...string) error {
	for _, name := range names {
		if _, err := b.template(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// beside are those who have little to do.
func (b *bench) beside(ctx context.Context) func(hub, client string) ([]order, error) {
	return func(hub, client string) ([]order, error) {
		user, err := b.get(ctx, clientUserSynced)
		if err != nil {
			return nil, err
		}
		whole, err := b.get(ctx, clientSmall)
		if err != nil {
			return nil, err
		}
		orders := []order{
			{Role: "small", Name: "small sync, one learner", Database: user, Pull: true, Push: true},
			{Role: "small", Name: "small push, everything", Database: whole, Push: true},
		}
		if b.engine != "sqlite" { // rows are locked there, and not the database
			return orders, nil
		}
		idle := filepath.Join(b.folder, "idle.db")
		if err := copyFile(idle, hub); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
		return append(orders, order{Role: "write", Name: "write at the hub", Database: hub, Idle: idle},
			order{Role: "write", Name: "write at the client", Database: client, Idle: idle}), nil
	}
}

// ask hears from those beside how long they had to wait.
func (h *heat) ask(beside []*process) error {
	for i, p := range beside {
		var w waits
		if err := errors.Join(p.tell(), p.hear(&w)); err != nil {
			return err
		}
		h.waits = append(h.waits, result{Job: h.job + ": " + h.beside[i].Name, Seconds: w.Longest, Waits: &w,
			Note: fmt.Sprintf("the longest of %d, median %.3f, %d over %.2f; idle %.3f", w.Count, w.Median, w.Over, w.Bound, w.Idle)})
	}
	return nil
}

// untilTold does something again and again until the parent says that it is enough, with
// a pause in between.
func untilTold(ctx context.Context, pause time.Duration, do func() error) error {
	if err := listen(); err != nil {
		return err
	}
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	heard := make(chan error, 1)
	go func() {
		heard <- listen()
		enough()
	}()
	for ctx.Err() == nil {
		if err := do(); err != nil {
			return err
		}
		until(ctx.Done(), time.Now().Add(pause))
	}
	return <-heard
}

// smallRows is how many rows a small sync has to carry.
const smallRows = 10

// runSmall syncs a few rows again and again.
func runSmall(ctx context.Context, o order, node *morango.Node, _ *link) (err error) {
	d, err := db.Open(ctx, o.Database, db.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	count := 0
	once := func() (time.Duration, error) {
		count++
		err := d.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, change, fmt.Sprint("round ", count), smallRows)
			return err
		})
		if err != nil {
			return 0, err
		}
		began := time.Now()
		summary, err := node.Sync(ctx, o.URL, morango.SyncOptions{Pull: o.Pull, Push: o.Push})
		if err == nil && summary.Push.Records < smallRows {
			err = fmt.Errorf("a small sync carried %d records instead of %d", summary.Push.Records, smallRows)
		}
		return time.Since(began), err
	}
	var idle time.Duration
	for i := range 4 {
		took, err := once()
		if err != nil {
			return err
		}
		if i > 0 { // the first has more to do
			idle = max(idle, took)
		}
	}
	if err := say(true); err != nil {
		return err
	}
	var took []time.Duration
	err = untilTold(ctx, 10*time.Millisecond, func() error {
		one, err := once()
		took = append(took, one)
		return err
	})
	if err != nil {
		return err
	}
	return say(waitsOf(took, idle, boundOfSync))
}

// write is what an application does that knows nothing of MoranGo. It waits for its turn
// as SQLite's own busy timeout does.
const write = `UPDATE kolibriauth_collection SET name = $1 WHERE id = (SELECT MIN(id) FROM kolibriauth_collection WHERE kind = 'classroom')`

// runWrite writes a row again and again, as a program of its own.
func runWrite(ctx context.Context, o order) (err error) {
	var places [2]*sql.DB
	for i, path := range []string{o.Database, o.Idle} {
		d, err := sql.Open("sqlite", path+"?_busy_timeout=60000&_journal_mode=wal&_txlock=immediate")
		if err != nil {
			return err
		}
		d.SetMaxOpenConns(1)
		places[i] = d
		defer func() { err = errors.Join(err, d.Close()) }()
	}
	count := 0
	once := func(at *sql.DB) error {
		count++
		_, err := at.ExecContext(ctx, write, fmt.Sprint("Class ", count))
		return err
	}
	if err := errors.Join(once(places[0]), once(places[1]), say(true)); err != nil {
		return err
	}
	var idle time.Duration
	var took []time.Duration
	err = untilTold(ctx, 5*time.Millisecond, func() error {
		began := time.Now()
		if err := once(places[0]); err != nil {
			return err
		}
		took = append(took, time.Since(began))
		began = time.Now()
		err := once(places[1])
		idle = max(idle, time.Since(began))
		return err
	})
	if err != nil {
		return err
	}
	return say(waitsOf(took, idle, boundOfWrite))
}
