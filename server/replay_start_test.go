package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/morango-go/morango/internal/conformance/recorded"
	"github.com/morango-go/morango/wire"
)

// beginning is a transfer session with which a scenario begins.
type beginning struct {
	row     wire.TransferSession
	records []wire.BufferRecord // in its buffer
	certify string              // scope definition of the client's certificate; "" as it is
}

// announced is the total of records that the recorded client told in every push whose
// opening was not recorded.
const announced = int64(4)

// beginnings finds out what a scenario begins with: sessions that are mentioned and
// not opened, as the first answer about them shows them.
func (r *replay) beginnings() []beginning {
	r.Helper()
	if r.Before["server"] != nil {
		return nil
	}
	var found []beginning
	for i, e := range r.Exchanges {
		id := sessionOf(e)
		if wanted, ok := r.mentionedSync(e); ok {
			found = append(found, wanted...)
			continue
		}
		if len(id) != 32 || e.Status == http.StatusNotFound || e.Path == wire.PathBuffers && e.Status == http.StatusForbidden && !strings.Contains(string(e.ResponseBody), "pushes") ||
			r.opens(id) || unknownSession(r, i) || slices.ContainsFunc(found, func(b beginning) bool { return b.row.ID == id }) {
			continue
		}
		found = append(found, r.beginning(i, id))
	}
	return found
}

// unknownSession reports whether the exchange names a session that never was.
func unknownSession(r *replay, i int) bool {
	return strings.Contains(r.Name, "unknown") && r.Exchanges[i].Path == wire.PathBuffers || strings.Contains(r.Name, "buffer-get") && !strings.Contains(r.Name, "pages")
}

// mentionedSync gives the sync sessions that a POST of a transfer session names and
// that nobody opened, each with the transfer session that was open in it.
func (r *replay) mentionedSync(e recorded.Exchange) ([]beginning, bool) {
	if e.Method != http.MethodPost || e.Path != wire.PathTransferSessions {
		return nil, false
	}
	var request struct {
		ID     string `json:"id"`
		SyncID string `json:"sync_session_id"`
	}
	if json.Unmarshal(e.RequestBody, &request) != nil || len(request.SyncID) != 32 || !strings.Contains(r.Name, "scope") && !strings.Contains(r.Name, "second") {
		return nil, true
	}
	b := beginning{row: wire.TransferSession{SyncSession: request.SyncID}}
	if strings.Contains(string(e.ResponseBody), "Client certificate") {
		b.certify = "single-user"
	}
	if row, ok := e.Transfer(); ok && row.ID != request.ID {
		b.row = row // another session was in the way
	}
	return []beginning{b}, true
}

// beginning is a session as it was at exchange i, the first that is about it.
func (r *replay) beginning(i int, id string) beginning {
	r.Helper()
	total := announced
	b := beginning{row: wire.TransferSession{
		ID: id, Push: true, Filter: root, SyncSession: fmt.Sprintf("%032x", 0xabc0+i), RecordsTotal: &total,
		ClientFSIC: "{}", ServerFSIC: "{}", TransferStage: "queuing", TransferStageStatus: "completed",
	}}
	for _, e := range r.Exchanges[i:] {
		if row, ok := e.Transfer(); ok && row.ID == id {
			row.RecordsTransferred, row.BytesSent, row.BytesReceived = 0, 0, 0
			b.row = row
			break
		}
	}
	first := r.Exchanges[i]
	var told wire.TransferSessionUpdate
	if first.Method == http.MethodPatch && json.Unmarshal(first.RequestBody, &told) == nil && told.TransferStage != nil {
		// What the client asks for first shows what was complete before.
		switch *told.TransferStage {
		case "serializing":
			b.row.TransferStage, b.row.ServerFSIC, b.row.ClientFSIC = "initializing", "{}", "{}"
		case "queuing":
			b.row.TransferStage = "serializing"
		default:
			b.row.TransferStage = "queuing"
		}
	} else {
		b.row.TransferStage = "queuing"
	}
	b.row.TransferStageStatus = "completed"
	if b.row.RecordsTotal != nil && *b.row.RecordsTotal < 0 {
		b.row.RecordsTotal = &total
	}
	b.row.Push = b.row.Push && !strings.Contains(string(first.ResponseBody), "does not allow pushes")
	if first.Path == wire.PathBuffers && first.Method == http.MethodGet {
		b.fromPages(r)
	}
	return b
}

// fromPages makes the session a pull whose buffer holds the records that were shown.
func (b *beginning) fromPages(r *replay) {
	r.Helper()
	b.row.Push = false
	for _, e := range r.Exchanges {
		if len(e.ResponseBody) > 0 && e.ResponseBody[0] == '[' && len(b.records) == 0 {
			if err := json.Unmarshal(e.ResponseBody, &b.records); err != nil {
				r.Fatal(err)
			}
		}
	}
	total := int64(len(b.records))
	b.row.RecordsTotal = &total
}

// add puts the session into the state.
func (b beginning) add(state recorded.State) {
	syncs := state["morango_syncsession"]
	id := slices.Index(syncs.Columns, "id")
	if !slices.ContainsFunc(syncs.Rows, func(row []any) bool { return row[id] == b.row.SyncSession }) {
		sync := slices.Clone(syncs.Rows[0])
		sync[id] = b.row.SyncSession
		sync[slices.Index(syncs.Columns, "active")] = json.Number("1")
		if b.certify != "" {
			certs := state["morango_certificate"]
			for _, row := range certs.Rows {
				if row[slices.Index(certs.Columns, "scope_definition_id")] == b.certify {
					sync[slices.Index(syncs.Columns, "client_certificate_id")] = row[slices.Index(certs.Columns, "id")]
				}
			}
		}
		syncs.Rows = append(syncs.Rows, sync)
		state["morango_syncsession"] = syncs
	}
	transfers := state["morango_transfersession"]
	at := slices.Index(transfers.Columns, "id")
	if b.row.ID == "" || slices.ContainsFunc(transfers.Rows, func(row []any) bool { return row[at] == b.row.ID }) {
		return
	}
	b.addTransfer(state)
}

func (b beginning) addTransfer(state recorded.State) {
	bit := func(set bool) json.Number {
		if set {
			return "1"
		}
		return "0"
	}
	number := func(n int64) json.Number { return json.Number(fmt.Sprint(n)) }
	values := map[string]any{
		"id": b.row.ID, "sync_session_id": b.row.SyncSession, "filter": b.row.Filter, "push": bit(b.row.Push), "active": bit(true),
		"records_transferred": number(0), "bytes_sent": number(0), "bytes_received": number(0),
		"client_fsic": b.row.ClientFSIC, "server_fsic": b.row.ServerFSIC,
		"transfer_stage": b.row.TransferStage, "transfer_stage_status": b.row.TransferStageStatus,
		"start_timestamp": "2026-11-22 01:31:31.202493", "last_activity_timestamp": "2026-11-22 01:31:31.202493",
	}
	if b.row.RecordsTotal != nil {
		values["records_total"] = number(*b.row.RecordsTotal)
	}
	state.Add("morango_transfersession", values)
	for _, r := range b.records {
		state.Add("morango_buffer", map[string]any{
			"serialized": r.Serialized, "deleted": bit(r.Deleted), "last_saved_instance": r.LastSavedInstance,
			"last_saved_counter": number(r.LastSavedCounter), "model_name": r.ModelName, "profile": r.Profile, "partition": r.Partition,
			"model_uuid": r.ModelUUID, "transfer_session_id": b.row.ID, "conflicting_serialized_data": r.Conflicting,
			"_self_ref_fk": r.SelfRef, "source_id": r.SourceID, "hard_deleted": bit(r.HardDeleted),
		})
		for _, c := range r.RMCBList {
			state.Add("morango_recordmaxcounterbuffer", map[string]any{
				"instance_id": c.InstanceID, "counter": number(c.Counter), "model_uuid": r.ModelUUID, "transfer_session_id": b.row.ID,
			})
		}
	}
}
