package server

import (
	"net"
	"sync"
)

// Connections bounds how many connections are open at a time, also those that never send
// a request. The zero value of a field is its default.
type Connections struct {
	All       int // default 4,000
	OfAddress int // from one address (IPv6: one /64 network); default 512
}

// LimitListener accepts connections of l within bounds, and closes further ones at once.
func LimitListener(l net.Listener, c Connections) net.Listener {
	if c.All <= 0 {
		c.All = 4000
	}
	if c.OfAddress <= 0 {
		c.OfAddress = 512
	}
	return &limitedListener{Listener: l, most: c, of: map[string]int{}}
}

type limitedListener struct {
	net.Listener
	most Connections

	mu   sync.Mutex
	open int
	of   map[string]int
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
		if err != nil {
			host = conn.RemoteAddr().String()
		}
		address := network(host)
		if l.enter(address) {
			return &limitedConn{Conn: conn, leave: sync.OnceFunc(func() { l.leave(address) })}, nil
		}
		_ = conn.Close() // there is nobody to tell
	}
}

func (l *limitedListener) enter(address string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.most.All || l.of[address] >= l.most.OfAddress {
		return false
	}
	l.open++
	l.of[address]++
	return true
}

func (l *limitedListener) leave(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.of[address]--; l.of[address] == 0 {
		delete(l.of, address)
	}
}

// limitedConn makes room when it is closed.
type limitedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
