package simtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/morango-go/morango"
)

// task is one sync on its way. Only one task runs at a time, and it hands the turn back
// at every request: so edits, crashes and other syncs fall between any two of them,
// and everything happens in the same order each time.
type task struct {
	w              *world
	name           string
	client, server *peer
	rand           *rand.Rand
	faults         float64 // share of requests to which something happens

	ctx    context.Context
	cancel context.CancelFunc
	turn   chan struct{}
	back   chan struct{}
	done   bool

	summary morango.Summary
	err     error
}

type taskKey struct{}

// start prepares a sync; it begins with its first turn.
func (w *world) start(client, server *peer, o morango.SyncOptions, faults float64, seed uint64) *task {
	w.started++
	w.telling(client)
	w.telling(server)
	t := &task{w: w, client: client, server: server, faults: faults, rand: rand.New(rand.NewPCG(seed, 1)),
		name: fmt.Sprintf("sync %d", w.started), turn: make(chan struct{}), back: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	t.ctx, t.cancel = context.WithValue(ctx, taskKey{}, t), cancel
	node := client.node
	go func() {
		<-t.turn
		t.summary, t.err = node.Sync(t.ctx, "http://"+server.address, o)
		t.done = true
		t.back <- struct{}{}
	}()
	w.tasks = append(w.tasks, t)
	return t
}

// run gives a task the turn until it has made some requests or is done, and buries
// whom it killed.
func (w *world) run(t *task, requests int) {
	w.give(t)
	defer w.give(nil)
	for ; requests > 0 && !t.done && w.err == nil; requests-- {
		t.next()
		w.observe(t.client)
		w.bury()
	}
	w.settleTasks()
}

// give gives a sync the turn on all peers.
func (w *world) give(t *task) {
	for _, p := range w.peers {
		p.twin.give(t)
	}
}

func (t *task) next() {
	t.turn <- struct{}{}
	<-t.back
}

// yield hands the turn back until the task gets it again.
func (t *task) yield() {
	t.back <- struct{}{}
	<-t.turn
}

// settleTasks drops the tasks that are done.
func (w *world) settleTasks() {
	kept := w.tasks[:0]
	for _, t := range w.tasks {
		if !t.done {
			kept = append(kept, t)
			continue
		}
		t.cancel()
		if t.err != nil {
			w.count.failedSyncs++
			w.note("    %s failed: %v", t.name, t.err)
		} else {
			w.count.syncs++
			if t.summary.Pull.Done && t.summary.Push.Done && !t.summary.Resumed {
				w.told(t.client)
				w.told(t.server)
			}
			w.note("    %s done: pulled %d, pushed %d", t.name, t.summary.Pull.Records, t.summary.Push.Records)
			if t.summary.Doubtful() && !w.excused { // of copies that no counter tells apart, digests do
				w.fail("%s finds records lost or damaged: %+v", t.name, t.summary.Compared)
			}
		}
	}
	w.tasks = kept
}

// bury closes the nodes that died, after the tasks that ran on them.
func (w *world) bury() {
	for _, p := range w.peers {
		if p.node == nil || p.alive() {
			continue
		}
		w.note("    %s dies", p.name())
		w.count.crashes++
		if err := w.shut(p); err != nil {
			w.fail("close %s: %v", p.name(), err)
		}
	}
}

// shut ends a node and what runs on it.
func (w *world) shut(p *peer) error {
	p.fuse.kill()
	for _, t := range w.tasks {
		if t.client != p {
			continue
		}
		t.cancel()
		for turns := 0; !t.done; turns++ {
			if turns > 1000 {
				return fmt.Errorf("%s does not end with its process", t.name)
			}
			t.next()
		}
	}
	return p.stop()
}

// wait passes virtual time.
func (w *world) wait(ctx context.Context, d time.Duration) error {
	w.now = w.now.Add(d)
	if t, ok := ctx.Value(taskKey{}).(*task); ok {
		t.yield()
	}
	return ctx.Err()
}

// network carries requests to handlers, or does not.
type network struct{ w *world }

// late is a request that lies somewhere in the network.
type late struct {
	to  *peer
	req *http.Request
	bod []byte
}

var (
	errLost = errors.New("connection reset by the simulator")
	errDown = errors.New("connection refused by the simulator")
)

// fault is what happens to one request.
type fault int

const (
	noFault fault = iota
	loseRequest
	loseAnswer
	repeatRequest
	cutRequest
	cutAnswer
	delayRequest
	delayRepeat
	faultKinds
)

func (f fault) String() string {
	return [...]string{"", "request lost", "answer lost", "request repeated", "request cut", "answer cut", "request late",
		"request repeated late"}[f]
}

// RoundTrip implements http.RoundTripper.
func (n *network) RoundTrip(req *http.Request) (*http.Response, error) {
	w := n.w
	body, err := readBody(req)
	if err != nil {
		return nil, err
	}
	t, ok := req.Context().Value(taskKey{}).(*task)
	if !ok {
		return nil, errors.New("a request outside of any sync")
	}
	w.observe(t.client)
	if carriesStream(req.URL.Path) && len(body) > 0 {
		w.overhear(t.client, body)
	}
	t.yield()
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if !t.client.alive() {
		return nil, errDown
	}
	w.count.requests++
	f := t.fault(req)
	if f != noFault {
		w.count.faults[f]++
		w.note("    %s: %s: %s %s", t.name, f, req.Method, req.URL.Path)
	}
	return t.carry(req, body, f)
}

// fault draws what happens to a request. Those that carry records are few among all, so
// more happens to them, above all that they come twice.
func (t *task) fault(req *http.Request) fault {
	share, records := t.faults, strings.Contains(req.URL.Path, "/buffers/") || carriesStream(req.URL.Path)
	if records {
		share = min(3*share, 0.7)
	}
	switch {
	case t.rand.Float64() >= share:
		return noFault
	case records && t.rand.IntN(2) == 0:
		return repeatRequest
	default:
		return 1 + fault(t.rand.IntN(int(faultKinds)-1))
	}
}

// carry brings a request to its server and the answer back, as the fault wants it.
func (t *task) carry(req *http.Request, body []byte, f fault) (*http.Response, error) {
	w := t.w
	if f == loseRequest || f == delayRequest || f == delayRepeat {
		if f != loseRequest {
			w.late = append(w.late, late{t.server, req, body})
		}
		if f != delayRepeat {
			return nil, errLost
		}
	}
	sent := len(body)
	if f == cutRequest {
		sent = t.rand.IntN(len(body) + 1)
	}
	answer, err := w.deliver(t.server, req, body, sent)
	if f == repeatRequest && err == nil {
		answer, err = w.deliver(t.server, req, body, sent)
	}
	switch {
	case err != nil:
		return nil, err
	case f == loseAnswer, f == cutRequest && sent < len(body):
		return nil, errLost
	case f == cutAnswer:
		text, _ := io.ReadAll(answer.Body)
		answer.Body = io.NopCloser(&cut{text: text[:t.rand.IntN(len(text)+1)]})
	}
	return answer, nil
}

// deliver has a server answer a request of which only a part may have come.
func (w *world) deliver(to *peer, req *http.Request, body []byte, sent int) (*http.Response, error) {
	if !to.alive() {
		return nil, errDown
	}
	in := httptest.NewRequestWithContext(context.WithoutCancel(req.Context()), req.Method, req.URL.String(), nil)
	in.Header = req.Header.Clone()
	in.ContentLength = int64(len(body))
	in.Body = io.NopCloser(bytes.NewReader(body))
	if sent < len(body) {
		in.Body = io.NopCloser(&cut{text: body[:sent]})
	}
	if carriesStream(req.URL.Path) && len(body) > 0 {
		w.overhear(nil, body[:sent])
	}
	answer := httptest.NewRecorder()
	to.handler.ServeHTTP(answer, in)
	w.observe(to)
	if carriesStream(req.URL.Path) && req.Method == http.MethodGet && to.alive() {
		w.overhear(to, answer.Body.Bytes())
	}
	if !to.alive() {
		return nil, errLost
	}
	if answer.Code >= http.StatusInternalServerError {
		w.note("    %s answered %d to %s %s: %.300s", to.name(), answer.Code, req.Method, req.URL.Path, answer.Body)
	}
	return answer.Result(), nil
}

// cut is a body that breaks off.
type cut struct{ text []byte }

// Read implements io.Reader.
func (c *cut) Read(b []byte) (int, error) {
	if len(c.text) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(b, c.text)
	c.text = c.text[n:]
	return n, nil
}

func readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	defer req.Body.Close()
	return io.ReadAll(req.Body)
}
