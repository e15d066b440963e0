package hostile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/wire"
)

// Whoever claims to know more of the hub than it ever told makes it believe that it is a
// copy. That costs it some new ids, not without end, and nothing else.
func TestForgedIdentity(t *testing.T) {
	onEngines(t, server.Limits{}, server.Quota{}, func(t *testing.T, h *hub) {
		a, bob := newOutsider(t, h, attackerName), newOutsider(t, h, "bob")
		texts := `SELECT id, text FROM note ORDER BY id`
		records := `SELECT id, serialized, partition, source_id, deleted, hard_deleted, conflicting_serialized_data FROM morango_store ORDER BY id`
		before := h.rows(texts) + h.rows(records)
		for round := range 40 {
			_, said := a.ask(t, "GET", wire.Item(wire.PathInfo, "1"), "")
			_, rest, _ := strings.Cut(said, `"instance_id":"`)
			instance, _, _ := strings.Cut(rest, `"`)
			if round%2 == 0 {
				id := random(t)
				a.ask(t, "POST", wire.PathTransferSessions, a.beginning(t, id, a.own, true))
				claim := fmt.Sprintf(`{"super": {}, "sub": {%q: {%q: 2147483647}}}`, a.own, instance)
				a.ask(t, "PATCH", wire.Item(wire.PathTransferSessions, id), text(t, map[string]any{"transfer_stage": "serializing", "client_fsic": claim}))
				continue
			}
			id := a.push(t, 1, noClaim)
			a.ask(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{a.note(id, a.own, fmt.Sprint("round", round), instance, 1<<31-1)}))
			a.finish(t, id)
		}
		if n := h.number(`SELECT COUNT(*) FROM morango_databaseidmodel`); n < 2 || n > 11 {
			t.Errorf("the hub has had %d database ids", n)
		}
		if n := h.number(`SELECT COUNT(*) FROM morango_databasemaxcounter WHERE counter > 1000 AND substr(partition, 1, length($1)) <> $1`, a.own); n != 0 {
			t.Errorf("%d forged claims were taken over", n)
		}
		own := `SELECT COUNT(*) FROM note WHERE owner = 'anna' AND text = 'forged'`
		t.Logf("%d of the attacker's records arrived", h.number(own))
		h.do(`DELETE FROM note WHERE owner = 'anna' AND text = 'forged'`)
		h.do(`DELETE FROM morango_recordmaxcounter WHERE store_model_id IN (SELECT id FROM morango_store WHERE serialized LIKE '%forged%')`)
		h.do(`DELETE FROM morango_store WHERE serialized LIKE '%forged%'`)
		if after := h.rows(texts) + h.rows(records); after != before {
			t.Errorf("what it holds has changed:\n%s\n%s", before, after)
		}
		page := bob.allowed(t, "GET", wire.PathBuffers+"?limit=9&transfer_session_id="+bob.pull(t, bob.own), "")
		if !strings.Contains(page, secret+" of bob") {
			t.Errorf("bob gets %s", page)
		}
	})
}
