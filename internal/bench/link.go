package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/morango-go/morango/wire"
)

// link is a client's way to its server. It counts what goes over the socket and, if it
// is told to, makes a slow line of loopback.
type link struct {
	delay    time.Duration // one way
	up, down line

	sent, received atomic.Int64
	// turns counts how often the client spoke after it had been spoken to, a new
	// connection included: what a delay is paid for.
	turns atomic.Int64
}

// line is one direction of a link. A rate of 0 is as fast as it goes.
type line struct {
	rate int64 // bytes a second
	mu   sync.Mutex
	free time.Time // when what was sent before has left
}

func newLink(delay time.Duration, rate int64) *link {
	return &link{delay: delay, up: line{rate: rate}, down: line{rate: rate}}
}

// pass puts n bytes on the line and returns when the last of them has left.
func (l *line) pass(n int) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); l.free.Before(now) {
		l.free = now
	}
	if l.rate > 0 {
		l.free = l.free.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
	}
	return l.free
}

// client is an HTTP client whose connections go over the link. Where it is told to, both sides take
// each other for peers of the reference, that know of buffers only.
func (l *link) client(buffers bool) *http.Client {
	way := &http.Transport{DialContext: l.dial, MaxIdleConnsPerHost: 4}
	if buffers {
		return &http.Client{Transport: asReference{way}}
	}
	return &http.Client{Transport: way}
}

// asReference hides from both sides what only MoranGo knows.
type asReference struct{ way http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (a asReference) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(wire.HeaderCapabilities, hidden(r.Header.Get(wire.HeaderCapabilities)))
	answer, err := a.way.RoundTrip(r)
	if err != nil || !strings.Contains(r.URL.Path, wire.PathInfo) {
		return answer, err
	}
	body, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(strings.NewReader(hidden(string(body))))
	return answer, nil
}

// hidden gives what only MoranGo knows names that nobody knows, as long as the old ones.
func hidden(text string) string { return strings.ReplaceAll(text, "MORANGO_", "UNKNOWN_") }

func (l *link) dial(ctx context.Context, network, address string) (net.Conn, error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.turns.Add(1)
	if !until(ctx.Done(), time.Now().Add(2*l.delay)) {
		return nil, ctx.Err()
	}
	c := &conn{Conn: raw, link: l, end: make(chan struct{})}
	if l.delay > 0 || l.up.rate > 0 {
		c.shape()
	}
	return c, nil
}

// until waits for a moment; false when stop came first.
func until(stop <-chan struct{}, moment time.Time) bool {
	wait := time.Until(moment)
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop:
		return false
	}
}

// conn is a connection over the link.
type conn struct {
	net.Conn
	link   *link
	spoken atomic.Bool // the last to speak was the client
	once   sync.Once
	end    chan struct{}

	out, in chan parcel // nil when the link is not slow
	rest    parcel      // of what was read
}

// parcel is bytes on their way, and when they arrive.
type parcel struct {
	bytes []byte
	due   time.Time
	err   error
}

// parcelBytes and underWay bound what is on its way in one direction: 4 MB, more than
// any of the lines holds.
const (
	parcelBytes = 16 << 10
	underWay    = 256
)

// shape starts what carries the bytes in both directions.
func (c *conn) shape() {
	c.out, c.in = make(chan parcel, underWay), make(chan parcel, underWay)
	go func() {
		for {
			select {
			case p := <-c.out:
				if !until(c.end, p.due) {
					return
				}
				if _, err := c.Conn.Write(p.bytes); err != nil {
					return // the reader hears of it
				}
			case <-c.end:
				return
			}
		}
	}()
	go func() {
		for {
			buffer := make([]byte, parcelBytes)
			n, err := c.Conn.Read(buffer)
			left := c.link.down.pass(n)
			select {
			case c.in <- parcel{bytes: buffer[:n], due: left.Add(c.link.delay), err: err}:
			case <-c.end:
				return
			}
			if err != nil || !until(c.end, left) {
				return
			}
		}
	}()
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	if !c.spoken.Swap(true) {
		c.link.turns.Add(1)
	}
	if c.out == nil {
		n, err := c.Conn.Write(b)
		c.link.sent.Add(int64(n))
		return n, err
	}
	for at := 0; at < len(b); at += parcelBytes {
		piece := append([]byte(nil), b[at:min(at+parcelBytes, len(b))]...)
		left := c.link.up.pass(len(piece))
		select {
		case c.out <- parcel{bytes: piece, due: left.Add(c.link.delay)}:
		case <-c.end:
			return at, net.ErrClosed
		}
		if !until(c.end, left) {
			return at, net.ErrClosed
		}
		c.link.sent.Add(int64(len(piece)))
	}
	return len(b), nil
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (n int, err error) {
	defer func() {
		c.link.received.Add(int64(n))
		if n > 0 {
			c.spoken.Store(false)
		}
	}()
	if c.in == nil {
		return c.Conn.Read(b)
	}
	if len(c.rest.bytes) == 0 && c.rest.err == nil {
		select {
		case c.rest = <-c.in:
		case <-c.end:
			return 0, net.ErrClosed
		}
		if !until(c.end, c.rest.due) {
			return 0, net.ErrClosed
		}
	}
	if len(c.rest.bytes) == 0 {
		return 0, c.rest.err
	}
	n = copy(b, c.rest.bytes)
	c.rest.bytes = c.rest.bytes[n:]
	return n, nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(func() { close(c.end) })
	return c.Conn.Close()
}
