package simtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/wire"
)

// peer is one node with its application and its place in the network.
type peer struct {
	w       *world
	index   int
	origin  int    // of the peer that it is a copy of; else its own
	user    string // "" for a peer that holds everything
	file    string
	address string
	hide    []wire.Capability
	rows    int // it serializes in one transaction; 0 for all
	rand    *chance
	ahead   time.Duration // of the world's clock

	node    *morango.Node
	handler http.Handler
	app     *sql.DB // the application's own connection, and ours
	fuse    *fuse

	writer sqlite.ExecQuerierContext // the node's connection that writes

	down     int // steps for which it stays away after a crash
	full     int // steps for which its disk is full
	meddling int // readings of the node until the application works
	meddler  *rand.Rand

	trace  trace
	mirror mirror
	twin   *twin

	backups  []backup
	unsure   bool               // a sync began, and has not come to its end
	haunted  bool               // it was unsure when it was set back
	doubtful bool               // others may save under the same name
	private  map[version]*saved // what was saved since, and told nobody
	grave    []row              // deleted rows, which may come back
}

// chance is a source of random bytes that follows from a seed.
type chance struct {
	mu   sync.Mutex
	from *rand.ChaCha8
}

func newChance(seed uint64, index int) *chance {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	key[8] = byte(index)
	return &chance{from: rand.NewChaCha8(key)}
}

// Read implements io.Reader.
func (c *chance) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.from.Read(b)
}

// fuse blows at a chosen commit of a node's writing connection. From then on the
// process is dead: nothing that it writes is kept, nothing that it sends arrives.
type fuse struct {
	mu    sync.Mutex
	left  int  // commits until it blows; 0 is never
	after bool // that commit is kept
	dead  bool
}

// commit is asked at each commit, and says whether it is to be.
func (f *fuse) commit() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return false
	}
	if f.left == 0 {
		return true
	}
	if f.left--; f.left > 0 {
		return true
	}
	f.dead = true
	return f.after
}

func (f *fuse) set(left int, after bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.after = left, after
}

func (f *fuse) isDead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

func (f *fuse) kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = true
}

// open starts the node on its file.
func (p *peer) open() error {
	hookConnections()
	p.fuse = &fuse{}
	files.Store(p.file, p)
	p.twin.turns = map[*task]where{}
	p.twin.rest()
	ctx := context.Background()
	profile, rules := p.w.lab.profile, map[string]morango.MergeFunc(nil)
	if p.w.setup.ruled && p.origin%3 != 2 { // one of three keeps the reference's rule, as Python peers do
		profile, rules = p.w.lab.ruled, map[string]morango.MergeFunc{"tag": longer}
	}
	var hook morango.Hook
	if !p.w.setup.ruled { // without one, the transaction that ends a stage also notes that
		hook = func(_ context.Context, e morango.HookEvent) error { p.trace.stage(e); return nil }
	}
	node, err := morango.Open(ctx, p.file, profile, morango.Config{
		Merge:  rules,
		Client: &http.Client{Transport: p.w.net}, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return p.w.now.Add(p.ahead) }, Rand: p.rand, Wait: p.w.wait, Getenv: p.getenv,
		SerializeRows: p.rows, Hook: hook,
	})
	if err != nil {
		return err
	}
	p.node = node
	// A stage has all the time it needs: then nothing goes on in the background while
	// somebody else has the turn.
	p.handler, err = node.Handler(server.Config{
		Hide: p.hide, Limits: server.Limits{Wait: time.Hour, LongWait: time.Hour, Chunk: 2},
	})
	if err != nil {
		return errors.Join(err, node.Close())
	}
	if p.app == nil {
		p.app, err = sql.Open("sqlite", "file://"+filepath.ToSlash(p.file)+"?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&"+appMark)
		if err != nil {
			return errors.Join(err, node.Close())
		}
		p.app.SetMaxOpenConns(1)
	}
	return nil
}

// getenv gives each peer a machine of its own.
func (p *peer) getenv(name string) string {
	switch name {
	case "MORANGO_SYSTEM_ID":
		return fmt.Sprintf("machine %d", p.origin)
	case "MORANGO_NODE_ID":
		return fmt.Sprintf("%012x", p.origin)
	}
	return ""
}

// stop ends the process. What was committed is in the file.
func (p *peer) stop() error {
	p.fuse.kill()
	err := p.node.Close()
	p.node, p.handler = nil, nil
	return err
}

// close ends everything of the peer.
func (p *peer) close() error {
	var err error
	if p.node != nil {
		err = p.stop()
	}
	if p.app != nil {
		err = errors.Join(err, p.app.Close())
		p.app = nil
	}
	files.Delete(p.file)
	return err
}

// alive says whether the peer can send and answer.
func (p *peer) alive() bool { return p.node != nil && !p.fuse.isDead() }

// hasRead is called when the node has read something and holds no lock: here another
// process can write between two transactions of one stage.
func (p *peer) hasRead() {
	if p.meddling == 0 || p.app == nil || !p.alive() {
		return
	}
	if p.meddling--; p.meddling > 0 {
		return
	}
	p.w.note("    %s: the application works meanwhile", p.name())
	p.w.count.meddled++
	if err := p.act(p.meddler); err != nil {
		p.w.fail("%s: %v", p.name(), err)
	}
}

// limit lets the node's file grow by so many pages more; less than 0 is no limit.
func (p *peer) limit(pages int) error {
	if p.node == nil {
		return nil
	}
	limit, switched := 1<<30, `DELETE FROM sim_full; DELETE FROM sim_filler`
	if pages >= 0 {
		var now int
		if err := p.app.QueryRow(`PRAGMA page_count`).Scan(&now); err != nil {
			return err
		}
		limit, switched = now+pages, `INSERT INTO sim_full VALUES (1)`
	}
	if _, err := p.app.Exec(switched); err != nil {
		return err
	}
	_, err := p.writer.ExecContext(context.Background(), fmt.Sprintf(`PRAGMA max_page_count = %d`, limit), nil)
	return err
}

// name is how the peer is called in a history.
func (p *peer) name() string {
	if p.user != "" {
		return fmt.Sprintf("peer %d (%s)", p.index, p.user)
	}
	return fmt.Sprintf("peer %d", p.index)
}

// reads says whether a partition lies in the scope of what the peer may read.
func (p *peer) reads(partition string) bool {
	world := p.w.lab.root.ID
	return p.user == "" || strings.HasPrefix(partition, world+":all") || p.writes(partition)
}

// writes says whether what the peer changes in a partition reaches others.
func (p *peer) writes(partition string) bool {
	return p.user == "" || strings.HasPrefix(partition, p.w.lab.root.ID+":user:"+p.user)
}
