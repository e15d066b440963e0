package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/wire"
)

// unclaimed counts the rows of the recorded server that lie in the filter of a pull
// and that neither side's claim covers. The reference leaves them out; we send them
// (rule 22). It is 0 for every other exchange than the answer with the total.
func unclaimed(t *testing.T, state tables, e exchange) int {
	t.Helper()
	var row wire.TransferSession
	if !strings.HasPrefix(e.Path, wire.PathTransferSessions) || json.Unmarshal(e.ResponseBody, &row) != nil || row.Push || row.RecordsTotal == nil {
		return 0
	}
	filter := partition.Parse(row.Filter)
	server, client := claims(t, row.ServerFSIC, filter), claims(t, row.ClientFSIC, filter)
	rows := state["morango_store"]
	at := func(row []any, column string) string { return fmt.Sprint(row[slices.Index(rows.Columns, column)]) }
	n := 0
	for _, row := range rows.Rows {
		var version counter.Version
		version.Instance = at(row, "last_saved_instance")
		if _, err := fmt.Sscan(at(row, "last_saved_counter"), &version.Counter); err != nil {
			t.Fatal(err)
		}
		where := at(row, "partition")
		if filter.Contains(where) && !server.Covers(where, version) && !client.Covers(where, version) {
			n++
		}
	}
	return n
}

func claims(t *testing.T, text string, filter partition.Filter) counter.ByPartition {
	t.Helper()
	claim, err := counter.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return claim.Expand(filter)
}

// compareMore checks a pull under rule 22: the total is the recorded one and extra, and
// the records are the recorded ones and as many more. rest begins with the exchange
// that tells the total; what the recorded client says of its count afterwards fits
// only the recorded total.
func (p *peer) compareMore(t *testing.T, rest []exchange, body []byte, extra int) {
	t.Helper()
	var want, got wire.TransferSession
	if err := json.Unmarshal(rest[0].ResponseBody, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if got.RecordsTotal == nil || *got.RecordsTotal != *want.RecordsTotal+int64(extra) {
		t.Errorf("rule 22: total %v, recorded %d and %d more that nobody claims", got.RecordsTotal, *want.RecordsTotal, extra)
	}
	for _, e := range rest[1:] {
		if e.Path != wire.PathBuffers {
			continue
		}
		_, _, body := p.replay(t, e)
		recorded, ours := recordsOf(t, e.ResponseBody), recordsOf(t, body)
		if len(ours) != len(recorded)+extra {
			t.Errorf("rule 22: %d records, recorded %d and %d more", len(ours), len(recorded), extra)
		}
		for id, r := range recorded {
			if diff := cmp.Diff(r, ours[id]); diff != "" {
				t.Errorf("record %s: %s", id, diff)
			}
		}
		return
	}
	t.Error("the recorded client did not ask for records")
}

// recordsOf gives the records of a page by id, without counters (rule 10).
func recordsOf(t *testing.T, body []byte) map[string]string {
	t.Helper()
	page, err := wire.ParseBufferPage(bytes.NewReader(body), 1000)
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]string{}
	for _, r := range page.Results {
		r.LastSavedCounter, r.RMCBList = 0, nil
		byID[r.ModelUUID] = string(r.Append(nil))
	}
	return byID
}
