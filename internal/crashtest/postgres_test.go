//go:build linux

package crashtest

import (
	"context"
	"sync"
	"testing"

	"github.com/morango-go/morango/db/dbtest"
)

// onPostgres sets up victims whose databases lie on a PostgreSQL server, and who are
// killed by the proxy before it.
func onPostgres(t *testing.T, s script) stage {
	from := prepare(t, s, func(string) string { return dbtest.PostgresEmptyURL(t) })
	return func(t *testing.T, victim string, d doom) *run {
		targets := map[string]string{}
		for side, target := range from {
			targets[side] = dbtest.PostgresCopy(t, target)
		}
		r := newRun(t, s, victim, targets)
		f := &killed{}
		p, address := newProxy(t, targets[victim], d, func() { f.child.kill() })
		f.proxy = p
		f.child = startChild(t, role{victim, address, doom{}}, r.hopes.of(victim))
		r.fate, r.sides[victim] = f, f.child
		return r
	}
}

// killed is the fate of a process whose commits a proxy sees.
type killed struct {
	*child
	proxy *proxy
}

func (k *killed) arm(context.Context) error {
	k.proxy.arm()
	return nil
}

func (k *killed) count(context.Context) (commits, ops int, err error) {
	return k.proxy.counted(), 0, nil
}

// underServer sets up victims under whom the server goes down, and who live on. It is
// the other side's server too. One history runs at a time.
func underServer(t *testing.T) stage {
	server := dbtest.NewServer(t)
	from := prepare(t, day, func(string) string { return server.URL("") })
	var turn sync.Mutex
	return func(t *testing.T, victim string, d doom) *run {
		turn.Lock()
		t.Cleanup(turn.Unlock)
		targets := map[string]string{hub: server.URL(from[hub]), tablet: server.URL(from[tablet])}
		r := newRun(t, day, victim, targets)
		f := &serverless{server: server}
		p, address := newProxy(t, targets[victim], d, func() {
			if err := server.Crash(d.At%2 == 0); err != nil {
				t.Error(err)
			}
		})
		f.proxy, r.fate, r.sides[victim] = p, f, r.here(victim, address)
		return r
	}
}

// serverless is the fate of a side whose PostgreSQL server goes down.
type serverless struct {
	server *dbtest.Server
	proxy  *proxy
}

func (s *serverless) arm(context.Context) error {
	s.proxy.arm()
	return nil
}

func (s *serverless) count(context.Context) (commits, ops int, err error) {
	return s.proxy.counted(), 0, nil
}

func (s *serverless) struck(ctx context.Context) bool {
	select {
	case <-s.proxy.struck:
		return true
	case <-ctx.Done():
		return false
	}
}

// revive starts the server again, which then stays. Who used it goes on as if nothing had been.
func (s *serverless) revive(r *run) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	must(r.T, s.proxy.disarm(ctx))
	s.server.Start()
}
