package hostile

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/wire"
)

// small quotas, so that a test reaches them.
var small = server.Quota{
	Nonces: 300, NoncesOfAddress: 100, Sessions: 40, SessionBytes: 2 << 20, AllSessions: 400, Transfers: 50, Certificates: 30, Pushed: 1 << 20,
	PushedByHolder: 3 << 20,
}

// Whatever the attacker makes many of, there are soon no more, and bob's go on.
func TestFloods(t *testing.T) {
	attemptsWith(t, small, []attack{
		{"nonces", func(t *testing.T, s *scene) {
			kept := s.bob.nonce(t) // of the same address, and not the oldest for long
			for range 300 {
				s.a.nonce(t)
			}
			if n := s.number(`SELECT COUNT(*) FROM morango_nonce`); n > 101 {
				t.Errorf("%d nonces are kept", n)
			}
			s.a.refused(t, "POST", wire.PathSyncSessions, text(t, s.a.greeting(t, kept, random(t))))
		}},
		{"sync sessions", func(t *testing.T, s *scene) {
			for range many {
				s.a.open(t)
			}
			s.bounded(t)
			s.a.sync = s.a.open(t)
		}},
		{"transfer sessions", func(t *testing.T, s *scene) {
			refused := 0
			for range many {
				status, _ := s.a.ask(t, "POST", wire.PathTransferSessions, s.a.beginning(t, random(t), s.a.own, refused%2 == 0))
				if status == http.StatusTooManyRequests {
					refused++
					s.a.sync = s.a.open(t)
				}
			}
			if refused == 0 {
				t.Error("one sync session took them all")
			}
			s.bounded(t)
			s.a.sync = s.a.open(t)
		}},
		{"long claims and filters", longClaims},
		{"certificates below certificates", manyCertificates},
		{"records without end", endlessRecords},
		{"streams without end", endlessStream},
		{"sessions opened and closed", func(t *testing.T, s *scene) {
			for range many {
				id := s.a.open(t)
				s.a.allowed(t, "DELETE", wire.Item(wire.PathSyncSessions, id), "")
			}
			s.bounded(t)
		}},
	})
}

// many is more than the small quotas, and what is due to be counted again, allow.
const many = 200

// bounded looks whether the attacker's sessions are within their quota, and what is due
// to be counted again.
func (s *scene) bounded(t *testing.T) {
	t.Helper()
	const due = 128 + 1
	n := s.number(`SELECT COUNT(*) FROM morango_syncsession WHERE client_certificate_id <> $1`, s.bob.certificate().ID)
	if most := int64(small.Sessions + due); n > most {
		t.Errorf("%d sync sessions are kept, more than %d", n, most)
	}
	if n := s.number(`SELECT COUNT(*) FROM morango_transfersession`); n > int64(small.Transfers+2*due+10) {
		t.Errorf("%d transfer sessions are kept", n)
	}
}

// longClaims fills sessions with as much text as fits.
func longClaims(t *testing.T, s *scene) {
	var claim strings.Builder
	claim.WriteString(`{"super": {}, "sub": {"` + s.a.own + `": {`)
	for i := range 10_000 {
		fmt.Fprintf(&claim, `"%032x": 1, `, i)
	}
	long := strings.TrimSuffix(claim.String(), ", ") + "}}}"
	for range 30 {
		id := random(t)
		if status, _ := s.a.ask(t, "POST", wire.PathTransferSessions, s.a.beginning(t, id, s.a.own, true)); status != http.StatusCreated {
			s.a.sync = s.a.open(t)
			continue
		}
		s.a.ask(t, "PATCH", wire.Item(wire.PathTransferSessions, id), text(t, map[string]any{"client_fsic": long}))
	}
	if n := s.number(`SELECT COALESCE(SUM(length(client_fsic)), 0) FROM morango_transfersession`); n > small.SessionBytes+8<<20 {
		t.Errorf("%d bytes of claims are kept", n)
	}
	s.a.sync = s.a.open(t)
}

// manyCertificates issues certificates below the attacker's own, and shows each to the hub.
func manyCertificates(t *testing.T, s *scene) {
	before := s.number(`SELECT COUNT(*) FROM morango_certificate`)
	refused := 0
	for range 40 {
		child := s.forged(t, s.a.certificate(), func(*cert.Certificate) {})
		child.PrivateKey = s.a.certificate().PrivateKey
		below := &outsider{hub: s.hub, chain: append(append([]*cert.Certificate{}, s.a.chain...), child), http: s.a.http}
		status, said := below.ask(t, "POST", wire.PathSyncSessions, text(t, below.greeting(t, below.nonce(t), random(t))))
		if status == http.StatusTooManyRequests {
			refused++
		} else if status != http.StatusCreated {
			t.Fatalf("%d %s", status, said)
		}
	}
	if n := s.number(`SELECT COUNT(*) FROM morango_certificate`) - before; refused == 0 || n > int64(small.Certificates) {
		t.Errorf("%d certificates more are kept, %d were refused", n, refused)
	}
	s.do(`DELETE FROM morango_syncsession WHERE client_certificate_id IN (SELECT id FROM morango_certificate WHERE parent_id = $1)`, s.a.certificate().ID)
}

// endlessRecords pushes records for as long as they are taken.
func endlessRecords(t *testing.T, s *scene) {
	long := strings.Repeat("x", 100_000)
	for range 6 {
		s.a.sync = s.a.open(t)
		id := s.a.push(t, 1<<30, noClaim)
		for i := 0; ; i++ {
			r := s.a.note(id, s.a.own, fmt.Sprint(id, i), random(t), 1)
			r.Serialized = `{"text": "` + long + `"}`
			if status, _ := s.a.ask(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{r})); status != http.StatusCreated {
				break
			}
			if i > 20 {
				t.Fatal("it takes records without end")
			}
		}
	}
	if n := s.number(`SELECT COALESCE(SUM(length(serialized)), 0) FROM morango_buffer`); n > small.PushedByHolder {
		t.Errorf("%d bytes are buffered", n)
	}
	s.a.sync = s.a.open(t)
}

// Many at once wait for each other, and for nobody else: memory stays bounded, and a peer
// of another address is served.
func TestManyAtOnce(t *testing.T) {
	onEngines(t, server.Limits{}, server.Quota{Requests: 16, RequestsOfAddress: 8}, func(t *testing.T, h *hub) {
		a := newOutsider(t, h, attackerName)
		id := a.push(t, 1<<20, noClaim)
		r := a.note(id, a.own, "large", random(t), 1)
		r.Serialized = `{"text": "` + strings.Repeat("x", 2<<20) + `"}`
		body := text(t, []wire.BufferRecord{r})
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				request, err := http.NewRequest("POST", h.url+wire.PathBuffers, strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				request.Header.Set("Content-Type", wire.ContentJSON)
				request.Header.Set("X-Forwarded-For", "10.6.6.6")
				answer, err := a.http.Do(request)
				if err != nil {
					return // it was told before it had sent all
				}
				if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusCreated && answer.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("status %d, %v", answer.StatusCode, err)
				}
			})
		}
		done := make(chan struct{})
		go func() { all.Wait(); close(done) }()
		var peak uint64
		for open := true; open; {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapInuse)
			h.honest(t, a)
			select {
			case <-done:
				open = false
			default:
			}
		}
		if peak > 1<<30 { // 30 bodies, each several times over in the test's own client too
			t.Errorf("%d MiB were in use", peak>>20)
		}
		if n := h.number(`SELECT COUNT(*) FROM morango_buffer WHERE transfer_session_id = $1`, id); n != 1 {
			t.Errorf("the record is there %d times", n)
		}
	})
}
