//go:build linux

package crashtest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// proxy lies between a victim and its PostgreSQL server, on a socket of its own. It sees
// commits go by, those of the engine and those of the application, and strikes at the
// one that is fatal: before it passes it on, or when the server has answered it, before
// it passes on the answer.
type proxy struct {
	doom     doom
	strike   func()
	listener net.Listener
	network  string // of the server
	server   string // its address

	once   sync.Once
	struck chan struct{} // closed when it has struck

	mu      sync.Mutex
	armed   bool
	doomed  bool // the fatal commit has come
	commits int
}

// newProxy starts a proxy before the database at a URL, and returns its own URL of it.
func newProxy(t *testing.T, target string, d doom, strike func()) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(target)
	must(t, err)
	folder := t.TempDir()
	const socket = ".s.PGSQL.5432"
	p := &proxy{doom: d, strike: strike, network: "unix", server: filepath.Join(u.Query().Get("host"), socket), struck: make(chan struct{})}
	if u.Host != "" {
		p.network, p.server = "tcp", u.Host
	}
	p.listener, err = net.Listen("unix", filepath.Join(folder, socket))
	must(t, err)
	t.Cleanup(func() { p.listener.Close() })
	go func() {
		for {
			client, err := p.listener.Accept()
			if err != nil {
				return // closed
			}
			go p.serve(client)
		}
	}()
	u.Host, u.RawQuery = "", url.Values{"host": {folder}}.Encode()
	return p, u.String()
}

// serve passes on what both say, message by message.
func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial(p.network, p.server)
	if err != nil {
		return
	}
	defer server.Close()
	fatal := make(chan struct{}) // closed when the commit that is fatal was passed on
	var both sync.WaitGroup
	both.Go(func() { p.answers(client, server, fatal) })
	both.Go(func() { p.questions(client, server, fatal) })
	both.Wait()
	select {
	case <-fatal:
		p.die() // also when one of the two has gone before the answer
	default:
	}
}

// questions passes on what the victim sends.
func (p *proxy) questions(client, server net.Conn, fatal chan struct{}) {
	defer server.Close()
	for first := true; ; first = false {
		kind, message, err := receive(client, !first)
		if err != nil {
			return
		}
		doomed := kind == 'Q' && strings.EqualFold(strings.TrimRight(string(message[5:]), "\x00; "), "commit") && p.count()
		if doomed && p.doom.Moment == before {
			p.die()
			return
		}
		if doomed {
			close(fatal)
		}
		if _, err := server.Write(message); err != nil {
			return
		}
	}
}

// answers passes on what the server sends.
func (p *proxy) answers(client, server net.Conn, fatal chan struct{}) {
	defer client.Close()
	for {
		kind, message, err := receive(server, true)
		if err != nil {
			return
		}
		select {
		case <-fatal:
			if kind == 'Z' { // ready for the next: it is done
				p.die()
				return
			}
			continue
		default:
		}
		if _, err := client.Write(message); err != nil {
			return
		}
	}
}

// count counts a commit, and says whether it is the fatal one.
func (p *proxy) count() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.armed {
		return false
	}
	p.commits++
	fatal := p.commits == p.doom.At
	p.doomed = p.doomed || fatal
	return fatal
}

func (p *proxy) die() {
	p.once.Do(func() {
		p.strike()
		close(p.struck)
	})
}

func (p *proxy) arm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = true
}

// disarm keeps the proxy from striking any more, and waits until it has struck when the
// fatal commit has come: nobody need have heard of that yet.
func (p *proxy) disarm(ctx context.Context) error {
	p.mu.Lock()
	p.armed = false
	doomed := p.doomed
	p.mu.Unlock()
	if !doomed {
		return nil
	}
	select {
	case <-p.struck:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for what the fatal commit brings: %w", ctx.Err())
	}
}

func (p *proxy) counted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.commits
}

// receive reads one message of the protocol. Only the first of a client has no kind.
func receive(from io.Reader, hasKind bool) (kind byte, message []byte, err error) {
	head := make([]byte, 4)
	if hasKind {
		head = make([]byte, 5)
	}
	if _, err := io.ReadFull(from, head); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(head[len(head)-4:])
	message = make([]byte, len(head)+int(length)-4)
	copy(message, head)
	_, err = io.ReadFull(from, message[len(head):])
	return head[0], message, err
}
