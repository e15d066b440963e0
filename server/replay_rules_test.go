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

// withoutBeginning lists scenarios that begin with a transfer session whose opening was
// not recorded.
func withoutBeginning() []string {
	return []string{
		"full-error-buffer-after-an-error-the-session-is-dead", "full-error-buffer-missing-fields",
		"full-error-buffer-other-profile", "full-error-buffer-outside-filter", "full-error-buffer-rmcb-mismatch",
		"full-error-buffer-wrong-model-uuid", "full-error-buffer-post-to-pull-session",
		"full-error-put-instead-of-patch", "full-error-delete-incomplete-push", "full-error-dequeue-before-transfer",
	}
}

// setUp adds the sync sessions and transfer sessions that a scenario begins with:
// queued, with the direction, filter and total that its answers show, and no records.
func setUp(t *testing.T, state tables, exchanges []exchange) {
	t.Helper()
	shown := map[string]wire.TransferSession{}
	var mentioned []string
	for _, e := range exchanges {
		var row wire.TransferSession
		if json.Unmarshal(e.ResponseBody, &row) == nil && row.TransferStage != "" {
			shown[row.ID] = row
		}
		id := strings.Trim(strings.TrimPrefix(e.Path, wire.PathTransferSessions), "/")
		if e.Path == wire.PathBuffers {
			if records, err := wire.ParseBuffers(bytes.NewReader(e.RequestBody), 10); err == nil {
				id = records[0].TransferSession
			}
		}
		if len(id) == 32 && !slices.Contains(mentioned, id) {
			mentioned = append(mentioned, id)
		}
	}
	for i, id := range mentioned {
		row, ok := shown[id]
		if !ok {
			total := int64(4)
			row = wire.TransferSession{
				ID: id, Push: !strings.Contains(string(exchanges[0].ResponseBody), "does not allow pushes"), Filter: root,
				SyncSession: fmt.Sprintf("%032x", i+1), RecordsTotal: &total, ClientFSIC: "{}", ServerFSIC: "{}",
			}
		}
		state.addSessions(row)
	}
}

// addSessions adds a transfer session that is queued, and its sync session, made like
// the one there is.
func (state tables) addSessions(row wire.TransferSession) {
	syncs := state["morango_syncsession"]
	sync := slices.Clone(syncs.Rows[0])
	sync[slices.Index(syncs.Columns, "id")] = row.SyncSession
	sync[slices.Index(syncs.Columns, "active")] = 1
	syncs.Rows = append(syncs.Rows, sync)
	state["morango_syncsession"] = syncs
	values := map[string]any{
		"id": row.ID, "sync_session_id": row.SyncSession, "filter": row.Filter, "push": row.Push, "active": 1,
		"records_total": *row.RecordsTotal, "records_transferred": 0, "bytes_sent": 0, "bytes_received": 0,
		"client_fsic": row.ClientFSIC, "server_fsic": row.ServerFSIC, "transfer_stage": "queuing", "transfer_stage_status": "completed",
		"start_timestamp": "2026-11-22 01:31:31.202493", "last_activity_timestamp": "2026-11-22 01:31:31.202493",
	}
	transfers := state["morango_transfersession"]
	added := make([]any, len(transfers.Columns))
	for i, column := range transfers.Columns {
		added[i] = values[column]
	}
	transfers.Rows = append(transfers.Rows, added)
	state["morango_transfersession"] = transfers
}

// refusedForEver says that the reference refused a good chunk, of one record, because
// an earlier one was bad (rule 17).
func (e exchange) refusedForEver() bool {
	return e.Method == "POST" && e.Path == wire.PathBuffers && e.Status == 500 && len(e.ResponseBody) == 0
}

// leftDead says that the answer shows a session that an error left dead in the
// reference (rule 17).
func (e exchange) leftDead() bool {
	var row wire.TransferSession
	return json.Unmarshal(e.ResponseBody, &row) == nil && row.TransferStage == "transferring" && row.TransferStageStatus == "errored"
}

// compareLiving checks that our session goes on instead, with the recorded counts and
// the records that were taken since.
func (e exchange) compareLiving(t *testing.T, what string, body []byte, more int64) {
	t.Helper()
	var recorded, ours wire.TransferSession
	if err := json.Unmarshal(e.ResponseBody, &recorded); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &ours); err != nil {
		t.Errorf("%s: %v: %s", what, err, body)
		return
	}
	if ours.TransferStageStatus == "errored" || !ours.Active {
		t.Errorf("%s: rule 17: the session does not go on: %s", what, body)
	}
	for _, row := range []*wire.TransferSession{&recorded, &ours} {
		row.TransferStage, row.TransferStageStatus = "", ""
		row.StartTimestamp, row.LastActivityTimestamp = wire.Time{}, wire.Time{}
	}
	recorded.RecordsTransferred += more
	if diff := cmp.Diff(recorded, ours); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}
