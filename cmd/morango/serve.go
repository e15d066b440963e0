package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/server/userfile"
)

// serveCmd serves a database to peers.
type serveCmd struct {
	node
	Listen       string   `default:":8008" help:"Address to listen on."`
	TLSCert      string   `name:"tls-cert" type:"existingfile" placeholder:"FILE" help:"Certificate file (PEM) to serve HTTPS with."`
	TLSKey       string   `name:"tls-key" type:"existingfile" placeholder:"FILE" help:"Private key file (PEM) to serve HTTPS with."`
	BasePath     string   `placeholder:"PATH" help:"Path under which a reverse proxy passes requests on, such as /sync."`
	TrustedProxy []string `placeholder:"NETWORK" help:"Network of reverse proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8."`
	Users        string   `type:"path" placeholder:"FILE" help:"File of users who may ask for certificates; see 'morango user add'."`
	AllowPushing bool     `name:"allow-certificate-pushing" help:"Let clients with a certificate issue one to this server, as a data portal needs."`
	CleanupHours float64  `default:"6" help:"Close sessions without activity for this many hours."`
	KeepDays     float64  `default:"30" help:"Delete the rows of sessions that ended this many days ago; 0 keeps them."`
	Drain        float64  `default:"20" help:"Seconds that running requests get to end when the server is stopped."`
}

// Validate refuses flags that do not go together.
func (f *serveCmd) Validate() error {
	if (f.TLSCert == "") != (f.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key are only good together")
	}
	if f.CleanupHours <= 0 {
		return fmt.Errorf("--cleanup-hours %v: a number above 0 is needed", f.CleanupHours)
	}
	if f.KeepDays < 0 {
		return fmt.Errorf("--keep-days %v: a number from 0 is needed", f.KeepDays)
	}
	if f.Drain < 0 {
		return fmt.Errorf("--drain %v: a number from 0 is needed", f.Drain)
	}
	_, err := f.proxies()
	return err
}

func (f *serveCmd) proxies() (networks []netip.Prefix, err error) {
	for _, text := range f.TrustedProxy {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			one, oneErr := netip.ParseAddr(text)
			if oneErr != nil {
				return nil, fmt.Errorf("--trusted-proxy %q is no network such as 10.0.0.0/8", text)
			}
			network = netip.PrefixFrom(one, one.BitLen())
		}
		networks = append(networks, network)
	}
	return networks, nil
}

// Run serves until it is interrupted, then lets running requests end.
func (f *serveCmd) Run(ctx context.Context, c console) error {
	if f.TLSCert != "" {
		if _, err := tls.LoadX509KeyPair(f.TLSCert, f.TLSKey); err != nil {
			return fmt.Errorf("--tls-cert %s, --tls-key %s: %w", f.TLSCert, f.TLSKey, err)
		}
	}
	return f.with(ctx, morango.Config{Logger: c.log}, func(n *morango.Node) error {
		handler, err := f.handler(c, n)
		if err != nil {
			return err
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", f.Listen)
		if err != nil {
			return fmt.Errorf("--listen %s: %w", f.Listen, err)
		}
		listener = server.LimitListener(listener, server.Connections{})
		srv := &http.Server{
			Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
			ErrorLog: slog.NewLogLogger(c.log.Handler(), slog.LevelWarn),
			// Slow peers on bad links get time; ones that send nothing do not keep a connection for ever.
			ReadTimeout: 5 * time.Minute, WriteTimeout: 10 * time.Minute,
			BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		}
		scheme := "http"
		if f.TLSCert != "" {
			scheme = "https"
		}
		fmt.Fprintf(c.out, "Serving %s at %s://%s%s\n", n.Profile().Name, scheme, listener.Addr(), f.BasePath)
		return f.serve(ctx, c, n, srv, listener)
	})
}

func (f *serveCmd) handler(c console, n *morango.Node) (http.Handler, error) {
	proxies, err := f.proxies()
	if err != nil {
		return nil, err
	}
	o := morango.ServerOptions{BasePath: f.BasePath, TrustedProxies: proxies, AllowCertificatePushing: f.AllowPushing, Logger: c.log}
	if f.Users != "" {
		if o.Users, err = userfile.Open(f.Users); err != nil {
			return nil, err
		}
	}
	return n.Handler(o)
}

// serve runs the server and, beside it, the closing of idle sessions and an eye on what is kept back.
func (f *serveCmd) serve(ctx context.Context, c console, n *morango.Node, srv *http.Server, listener net.Listener) error {
	failed := make(chan error, 1)
	go func() {
		if f.TLSCert != "" {
			failed <- srv.ServeTLS(listener, f.TLSCert, f.TLSKey)
		} else {
			failed <- srv.Serve(listener)
		}
	}()
	idle := time.Duration(f.CleanupHours * float64(time.Hour))
	sweep := time.NewTicker(min(idle/2+time.Second, 10*time.Minute))
	defer sweep.Stop()
	look := time.NewTicker(time.Hour)
	defer look.Stop()
	kept := keptBack(ctx, c, n, nil)
	for {
		select {
		case err := <-failed:
			return fmt.Errorf("serve at %s: %w", listener.Addr(), err)
		case <-sweep.C:
			if done, err := n.Cleanup(ctx, morango.CleanupOptions{Idle: idle, Keep: hours(24 * f.KeepDays)}); err != nil {
				c.log.Error("close idle sessions", "error", err)
			} else if done.SyncSessions+done.TransferSessions > 0 {
				c.log.Info("closed idle sessions", "sync", done.SyncSessions, "transfer", done.TransferSessions)
			}
		case <-look.C:
			kept = keptBack(ctx, c, n, kept)
		case <-ctx.Done():
			return f.stop(c, srv)
		}
	}
}

// keptBack counts the problems by kind, up to some thousands, and tells of them where they are not as before: nobody is at
// hand who would see a summary.
func keptBack(ctx context.Context, c console, n *morango.Node, before map[morango.ProblemKind]int64) map[morango.ProblemKind]int64 {
	const most = 10_000
	now, total := map[morango.ProblemKind]int64{}, 0
	for p, err := range n.Problems(ctx) {
		if err != nil {
			if ctx.Err() == nil {
				c.log.Error("count what is kept back", "error", err)
			}
			return before
		}
		now[p.Kind]++
		if total++; total == most {
			break
		}
	}
	switch {
	case maps.Equal(now, before):
	case total == 0:
		c.log.Info("nothing is kept back any more")
	default:
		var counts []any
		for _, kind := range slices.Sorted(maps.Keys(now)) {
			counts = append(counts, slog.Int64(string(kind), now[kind]))
		}
		c.log.Warn("records are kept back; `morango errors` says which, why, and what to do", counts...)
	}
	return now
}

// stop takes no new requests and lets running ones end. Stages that run in the
// background stop when the node is closed, and go on when their session is resumed.
func (f *serveCmd) stop(c console, srv *http.Server) error {
	fmt.Fprintln(c.out, "Stopping: running requests may end.")
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(f.Drain*float64(time.Second)))
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("some requests were cut off after %v seconds", f.Drain), srv.Close())
	}
	return nil
}
