package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// Who finds the gate full waits until somebody leaves; another address need not wait, and
// who waits too long is told so.
func TestGate(t *testing.T) {
	g := newGate(3, 2)
	enter := func(ctx context.Context, address string) (func(), error) { return g.enter(ctx, address) }
	first, err := enter(t.Context(), "10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enter(t.Context(), "10.0.0.1"); err != nil {
		t.Fatal(err)
	}
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := enter(late, "10.0.0.1"); !errors.Is(err, context.Canceled) {
		t.Errorf("a third of one address: %v", err)
	}
	if _, err := enter(t.Context(), "2001:db8::1"); err != nil {
		t.Fatal(err)
	}
	entered := make(chan error)
	go func() {
		_, err := enter(t.Context(), "10.0.0.1")
		entered <- err
	}()
	select {
	case err := <-entered:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	first()
	if err := <-entered; err != nil {
		t.Error(err)
	}
	if g.waiting != 0 || g.in != 3 {
		t.Errorf("%d wait, %d are in", g.waiting, g.in)
	}
	g.waiting = 8 * g.all
	var said *refusal
	if _, err := enter(t.Context(), "10.0.0.9"); !errors.As(err, &said) || said.status != http.StatusServiceUnavailable {
		t.Errorf("behind a long queue: %v", err)
	}
}

// Addresses of one network count as one.
func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1": "10.0.0.1", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "2001:db8:1:2::": "2001:db8:1:2::/64", "": "", "transfer": "transfer",
	} {
		if got := network(address); got != want {
			t.Errorf("%q counts as %q, not %q", address, got, want)
		}
	}
}

// Connections beyond the bounds are closed at once, and make room when they end.
func TestLimitListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := LimitListener(inner, Connections{All: 2})
	defer func() { _ = l.Close() }()
	accepted := make(chan net.Conn, 9)
	go func() {
		defer close(accepted)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	dial()
	one := <-accepted
	dial()
	<-accepted
	if _, err := dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a third connection: %v", err)
	}
	for range 2 { // closing twice makes room once
		_ = one.Close()
	}
	dial()
	<-accepted
	if _, err := dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("one more than there was room for: %v", err)
	}
}
