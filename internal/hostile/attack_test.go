package hostile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/wire"
)

// scene is what an attack finds: a hub, the attacker, and somebody in the midst of a
// push and a pull.
type scene struct {
	*hub
	a, bob       *outsider
	pulled, sent string // transfer sessions of bob's
	instance     string // of the hub
}

// attack is one attempt.
type attack struct {
	name string
	try  func(t *testing.T, s *scene)
}

// attempts runs attacks one after the other on each database, and looks after each at
// what it left.
func attempts(t *testing.T, attacks []attack) {
	t.Helper()
	attemptsWith(t, server.Quota{}, attacks)
}

// attemptsWith is attempts on a hub with quotas.
func attemptsWith(t *testing.T, quota server.Quota, attacks []attack) {
	t.Helper()
	onEngines(t, server.Limits{}, quota, func(t *testing.T, h *hub) {
		s := &scene{hub: h, a: newOutsider(t, h, attackerName), bob: newOutsider(t, h, "bob")}
		s.pulled = s.bob.pull(t, s.bob.own)
		s.sent = s.bob.push(t, 2, noClaim)
		s.bob.allowed(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{s.bob.note(s.sent, s.bob.own, "halfway", random(t), 1)}))
		s.instance = strings.TrimSpace(strings.TrimRight(strings.SplitN(h.rows(`SELECT replace(CAST(id AS text), '-', '') FROM morango_instanceidmodel WHERE current`), "\n", 2)[1], "]\n"))
		s.instance = strings.TrimPrefix(s.instance, "[")
		for _, one := range attacks {
			t.Run(one.name, func(t *testing.T) {
				before := h.outside(s.a.certificate().ID)
				one.try(t, s)
				if diff := cmp.Diff(before, h.outside(s.a.certificate().ID)); diff != "" {
					t.Errorf("it changed what is not the attacker's:\n%.3000s", diff)
				}
				h.honest(t, s.bob)
			})
		}
		s.bob.allowed(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{s.bob.note(s.sent, s.bob.own, "the rest", random(t), 1)}))
		s.bob.finish(t, s.sent)
		if n := h.number(`SELECT COUNT(*) FROM note WHERE owner = 'bob' AND text = 'forged'`); n != 2 {
			t.Errorf("%d of bob's 2 records arrived in the end", n)
		}
		if page := s.bob.allowed(t, "GET", wire.PathBuffers+"?limit=9&transfer_session_id="+s.pulled, ""); !strings.Contains(page, secret+" of bob") {
			t.Errorf("bob's pull shows %s", page)
		}
	})
}
