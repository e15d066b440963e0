package server

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/morango-go/morango/wire"
)

// gate lets so many in at a time, and so many of them of one address, or of whatever else
// they are counted by. Others wait.
type gate struct {
	all, each int

	mu      sync.Mutex
	in      int
	of      map[string]int
	waiting int
	left    chan struct{} // closed, and made anew, whenever somebody leaves
}

func newGate(all, each int) *gate {
	return &gate{all: all, each: each, of: map[string]int{}, left: make(chan struct{})}
}

// patience is how long a request waits to be let in.
const patience = 10 * time.Second

// enter waits to be let in, for as long as ctx and patience last. leave must be called
// when it was. The error is an answer.
func (g *gate) enter(ctx context.Context, address string) (leave func(), err error) {
	address = network(address)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for first := true; ; first = false {
		g.mu.Lock()
		if !first {
			g.waiting--
		}
		if g.in < g.all && g.of[address] < g.each {
			g.in++
			g.of[address]++
			g.mu.Unlock()
			return func() { g.leave(address) }, nil
		}
		if g.waiting >= 8*g.all {
			g.mu.Unlock()
			return nil, busy()
		}
		g.waiting++
		left := g.left
		g.mu.Unlock()
		select {
		case <-left:
			continue
		case <-timer.C:
			err = busy()
		case <-ctx.Done():
			err = ctx.Err()
		}
		g.mu.Lock()
		g.waiting--
		g.mu.Unlock()
		return nil, err
	}
}

func (g *gate) leave(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.in--
	if g.of[address]--; g.of[address] == 0 {
		delete(g.of, address)
	}
	if g.waiting > 0 {
		close(g.left)
		g.left = make(chan struct{})
	}
}

func busy() error {
	return &refusal{
		status: http.StatusServiceUnavailable,
		body:   wire.Detail{Detail: "Server is busy. Try again in a moment."},
		header: http.Header{"Retry-After": {"10"}},
	}
}

// network is the address by which somebody is counted: of IPv6 the part that belongs to
// one household.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Is4() {
		return address
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}

// guesses counts wrong passwords by address, in minutes.
type guesses struct {
	most int

	mu    sync.Mutex
	since time.Time
	of    map[string]int
}

// check refuses an address that has guessed too often.
func (g *guesses) check(address string, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if age := now.Sub(g.since); age > time.Minute || age < 0 {
		g.since, g.of = now, map[string]int{}
	}
	if g.of[network(address)] < g.most {
		return nil
	}
	return &refusal{
		status: http.StatusTooManyRequests,
		body:   wire.Detail{Detail: "Too many wrong passwords. Try again in a minute."},
		header: http.Header{"Retry-After": {"60"}},
	}
}

// wrong counts a wrong password.
func (g *guesses) wrong(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.of) < 100_000 {
		g.of[network(address)]++
	}
}
