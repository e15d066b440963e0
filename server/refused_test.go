package server_test

import (
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/wire"
)

// A peer that knows nothing of MoranGo learns of a record that is not taken by the refusal
// of its chunk. When the same chunk comes again, the record is left out: the others are
// taken, the transfer comes to its end, and nothing is claimed that is not here.
func TestRefusedRecordComesAgain(t *testing.T) {
	onEngines(t, nil, func(t *testing.T, p *peer) {
		p.push(t, first, 3)
		good, bad := facility(first, root+":fac", "a"), facility(first, root+":fac", "b")
		bad.SourceID = "another"
		p.want(t, 201, "", "POST", wire.PathBuffers, body(t, facility(first, root+":fac", "c")))
		p.want(t, 400, "give the id", "POST", wire.PathBuffers, body(t, good, bad))
		p.want(t, 400, "", "POST", wire.PathBuffers, body(t, good, facility(first, "05737219e358c937ac99603b6ec984a5:fac", "b")))
		for range 2 { // the second time as after an answer that was lost
			p.want(t, 201, "", "POST", wire.PathBuffers, body(t, good, bad))
		}
		item := wire.Item(wire.PathTransferSessions, first)
		p.want(t, 200, `"records_transferred":3,"records_total":3`, "GET", item, "")
		p.want(t, 200, `"transfer_stage":"deserializing","transfer_stage_status":"completed"`, "PATCH", item, `{"transfer_stage": "deserializing"}`)
		for id, want := range map[string]int{good.ModelUUID: 1, bad.ModelUUID: 0} {
			if n := p.number(t, "SELECT count(*) FROM morango_store WHERE id = $1", id); n != want {
				t.Errorf("%d records %s, want %d", n, id, want)
			}
		}
		const claims = "SELECT coalesce(max(counter), 0) FROM morango_databasemaxcounter WHERE instance_id = $1"
		if n := p.number(t, claims, instance); n != 2 {
			t.Errorf("counter %d is claimed where the record of counter 3 is not here; want 2", n)
		}
	})
}

// number is the only value of a query.
func (p *peer) number(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	err := p.db.Read(t.Context(), func(tx *db.Tx) error { return tx.QueryRow(t.Context(), query, args...).Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}
