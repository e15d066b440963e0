package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/internal/conformance/recorded"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/wire"
)

// deviation looks whether a rule of DIFFERS applies to an exchange, and then asserts
// what we do instead; false when the answer is to be the recorded one.
func (r *replay) deviation(what string, e recorded.Exchange, status int, header http.Header, body []byte) bool {
	r.Helper()
	switch {
	case isChunk(e):
		return r.chunk(what, e, status, header, body)
	case isPage(e):
		r.page(what, e, status, body)
	case r.replaced(e):
		r.secondSession(what, e, status, body)
	case negativeTotal(e):
		r.Deviates(18)
		r.refused(what, status, header, body)
	case e.Status == http.StatusInternalServerError:
		r.Deviates(19)
		r.refused(what, status, header, body)
	case strings.HasPrefix(e.ResponseHeader["Content-Type"], "text/html") && e.Status != http.StatusMovedPermanently:
		r.Deviates(19)
		r.Equal(what+": status", status, e.Status)
		r.Equal(what+": Content-Type", header.Get("Content-Type"), wire.ContentJSON)
	case r.leftDead(e):
		if r.taken[sessionOf(e)] == 0 {
			r.Deviates(17)
		}
		r.living(what, e, status, body)
	case r.badClaim(e):
		r.Deviates(3)
		r.claimRefused(what, e)
		return false
	default:
		return false
	}
	return true
}

// refused checks that an answer says in JSON what was wrong.
func (r *replay) refused(what string, status int, header http.Header, body []byte) {
	r.Helper()
	r.True(status/100 == 4 && header.Get("Content-Type") == wire.ContentJSON && wire.ErrorText(body) != "",
		"%s: no clear refusal: %d %s", what, status, body)
}

// chunk compares the answer to a POST of records.
func (r *replay) chunk(what string, e recorded.Exchange, status int, header http.Header, body []byte) bool {
	r.Helper()
	id, records := sessionOf(e), recordsIn(e)
	took := e.Status == http.StatusCreated
	switch {
	case r.repeats(e) && !took:
		r.Deviates(18)
		r.Equal(what+": rule 18: a chunk repeated", status, http.StatusCreated)
	case took && malformed(records):
		r.Deviates(19)
		r.refused(what, status, header, body)
		r.taken[id] -= int64(len(records))
	case took && r.beyond(id, len(records)):
		r.Deviates(18)
		r.refused(what, status, header, body)
	case !took && r.bad[id]:
		r.Deviates(17)
		r.Equal(what+": rule 17: a good chunk after a bad one", status, http.StatusCreated)
		r.taken[id] += int64(len(records))
	case e.Status == http.StatusInternalServerError:
		r.Deviates(19)
		r.refused(what, status, header, body)
	default:
		return false
	}
	return true
}

// page compares the answer to a GET of a page of records. The order of a session's
// records is the server's own, so a page is as long as the recorded one, and holds
// recorded records.
func (r *replay) page(what string, e recorded.Exchange, status int, body []byte) {
	r.Helper()
	r.Equal(what+": status", status, e.Status)
	want, _ := decoded(r.T, e.ResponseBody).(map[string]any)
	got, _ := decoded(r.T, body).(map[string]any)
	results, _ := got["results"].([]any)
	wanted, _ := want["results"].([]any)
	more := 0
	for _, v := range results {
		if known, ok := r.recorded()[key(v)]; ok {
			r.sameValue(what+"["+key(v)+"]", known, v)
		} else {
			more++
			r.True(r.onlyOurs(v), "%s: %v was not recorded", what, v)
		}
		r.Equal(what+": pages that hold "+key(v), r.pulled[key(v)] && strings.Contains(r.Name, "pull"), false)
		r.pulled[key(v)] = true
	}
	if want["next"] != nil || more == 0 {
		r.Equal(what+": records", len(results), len(wanted))
	}
	want["results"], got["results"] = nil, nil
	r.sameObject(what, want, got)
}

// isPage reports whether the exchange asks for a page of records and gets it.
func isPage(e recorded.Exchange) bool {
	return e.Method == http.MethodGet && e.Path == wire.PathBuffers && strings.HasPrefix(string(e.ResponseBody), `{"count"`)
}

// recorded is all records that the reference's server sent, by id.
func (r *replay) recorded() map[string]any {
	r.Helper()
	if r.sent != nil {
		return r.sent
	}
	r.sent = map[string]any{}
	for _, e := range r.Exchanges {
		if e.Method != http.MethodGet || e.Path != wire.PathBuffers || e.Status != http.StatusOK {
			continue
		}
		list, ok := decoded(r.T, e.ResponseBody).([]any)
		if page, isPage := decoded(r.T, e.ResponseBody).(map[string]any); isPage {
			list, ok = page["results"].([]any)
		}
		r.True(ok, "the recorded answer to %s holds records", e.Query)
		for _, v := range list {
			r.sent[key(v)] = v
		}
	}
	return r.sent
}

// malformed reports whether a record has a text that is none.
func malformed(records []map[string]any) bool {
	for _, record := range records {
		if value, there := record["serialized"]; there {
			if _, isText := value.(string); !isText {
				return true
			}
		}
	}
	return false
}

// repeats reports whether all records of a chunk were sent before in its session.
func (r *replay) repeats(e recorded.Exchange) bool {
	for _, record := range recordsIn(e) {
		if !r.seen[sessionOf(e)+fmt.Sprint(record)] {
			return false
		}
	}
	return true
}

// beyond reports whether a chunk goes beyond what its session announced.
func (r *replay) beyond(id string, records int) bool {
	r.Helper()
	n := 0
	for key := range r.seen {
		if strings.HasPrefix(key, id) {
			n++
		}
	}
	for _, e := range r.Exchanges {
		if row, ok := e.Transfer(); ok && row.ID == id && row.RecordsTotal != nil {
			return int64(n+records) > *row.RecordsTotal
		}
	}
	return false
}

// note keeps what later exchanges are judged by.
func (r *replay) note(e recorded.Exchange) {
	if !isChunk(e) {
		return
	}
	if e.Status == http.StatusCreated && !malformed(recordsIn(e)) {
		for _, record := range recordsIn(e) {
			r.seen[sessionOf(e)+fmt.Sprint(record)] = true
		}
	}
	if e.Status != http.StatusCreated {
		r.bad[sessionOf(e)] = true
	}
}

// replaced reports whether the reference answered with another session than it was
// asked for.
func (r *replay) replaced(e recorded.Exchange) bool {
	row, ok := e.Transfer()
	return ok && e.Method == http.MethodPost && !strings.Contains(string(e.RequestBody), row.ID)
}

// secondSession checks that the abandoned session makes room for the one asked for.
func (r *replay) secondSession(what string, e recorded.Exchange, status int, body []byte) {
	r.Helper()
	r.Deviates(16)
	var asked wire.TransferSessionRequest
	var got wire.TransferSession
	if err := json.Unmarshal(e.RequestBody, &asked); err != nil {
		r.Fatal(err)
	}
	if err := json.Unmarshal(body, &got); err != nil {
		r.True(false, "%s: %v: %d %s", what, err, status, body)
		return
	}
	was, _ := e.Transfer()
	r.Equal(what+": rule 16: the session", []string{got.ID, got.Filter, got.TransferStage, got.TransferStageStatus},
		[]string{asked.ID, asked.Filter, "initializing", "completed"})
	r.Equal(what+": rule 16: open sessions of the direction", r.number(
		`SELECT count(*) FROM morango_transfersession WHERE sync_session_id = $1 AND push AND active`, asked.SyncSessionID), int64(1))
	r.Equal(what+": rule 16: records of the abandoned session", r.number(
		`SELECT count(*) FROM morango_buffer WHERE transfer_session_id = $1`, was.ID), int64(0))
}

// number reads one number from the server's database.
func (r *replay) number(query string, args ...any) (n int64) {
	r.Helper()
	err := r.peer.db.Read(r.Context(), func(tx *db.Tx) error {
		return tx.QueryRow(r.Context(), query, args...).Scan(&n)
	})
	if err != nil {
		r.Fatal(err)
	}
	return n
}

// ownCounter is the counter of the server's instance.
func (r *replay) ownCounter() int64 {
	return r.number(`SELECT counter FROM morango_instanceidmodel WHERE id = $1`, r.peer.state.Own())
}

// highest is the highest counter that the server's instance stamped on a record below
// a prefix.
func (r *replay) highest(prefix string) int64 {
	r.Helper()
	var n int64
	err := r.peer.db.Read(r.Context(), func(tx *db.Tx) error {
		cond, args := tx.PrefixCond("partition", partition.Of(prefix), 2)
		return tx.QueryRow(r.Context(), `SELECT coalesce(max(last_saved_counter), 0) FROM morango_store WHERE last_saved_instance = $1 AND `+cond,
			append([]any{r.peer.state.Own()}, args...)...).Scan(&n)
	})
	if err != nil {
		r.Fatal(err)
	}
	return n
}

// negativeTotal reports whether the client told a negative number of records, and the
// reference took it.
func negativeTotal(e recorded.Exchange) bool {
	var told wire.TransferSessionUpdate
	return e.Method == http.MethodPatch && e.Status == http.StatusOK && json.Unmarshal(e.RequestBody, &told) == nil &&
		told.RecordsTotal != nil && *told.RecordsTotal < 0
}

// leftDead reports whether the answer shows a session that in the reference never
// goes on: a bad chunk came, or dequeuing was asked for before all records had come.
func (r *replay) leftDead(e recorded.Exchange) bool {
	row, ok := e.Transfer()
	if ok && r.taken[row.ID] < 0 { // rule 19: what the reference took
		return row.TransferStage == "transferring"
	}
	return ok && row.TransferStage == "transferring" && row.TransferStageStatus == "errored"
}

// living checks that our session goes on instead, with the recorded counts and the
// records that were taken since.
func (r *replay) living(what string, e recorded.Exchange, status int, body []byte) {
	r.Helper()
	var ours wire.TransferSession
	r.Equal(what+": status", status, e.Status)
	if err := json.Unmarshal(body, &ours); err != nil {
		r.True(false, "%s: %v: %s", what, err, body)
		return
	}
	r.True(ours.TransferStageStatus != "errored" && ours.Active, "%s: rule 17: the session does not go on: %s", what, body)
	r.True(ours.TransferStage == "queuing" || ours.TransferStage == "transferring", "%s: rule 17: at stage %s", what, ours.TransferStage)
	want, got := decoded(r.T, e.ResponseBody).(map[string]any), decoded(r.T, body).(map[string]any)
	for _, object := range []map[string]any{want, got} {
		delete(object, "transfer_stage")
		delete(object, "transfer_stage_status")
	}
	r.sameObject(what, want, got)
}

// badClaim reports whether a stage failed because of a partition outside the filter
// in the client's claim.
func (r *replay) badClaim(e recorded.Exchange) bool {
	row, ok := e.Transfer()
	if !ok || e.Method != http.MethodPatch || row.TransferStageStatus != "errored" {
		return false
	}
	claim, err := counter.Parse([]byte(row.ClientFSIC))
	return err == nil && claim.Check(partition.Parse(row.Filter)) != nil
}

// claimRefused checks that we do not let such a claim in, in the first place.
func (r *replay) claimRefused(what string, e recorded.Exchange) {
	r.Helper()
	row, _ := e.Transfer()
	const other = "0000000000000000000000000000abcd"
	create, err := wire.Marshal(wire.TransferSessionRequest{
		ID: other, Filter: row.Filter, Push: true, SyncSessionID: row.SyncSession, ClientFSIC: "{}",
	})
	if err != nil {
		r.Fatal(err)
	}
	tell, err := wire.Marshal(wire.TransferSessionUpdate{ClientFSIC: &row.ClientFSIC})
	if err != nil {
		r.Fatal(err)
	}
	headers := e.RequestHeaders
	status, _, body := r.peer.send(r.T.T, recorded.Exchange{Method: "POST", Path: wire.PathTransferSessions, RequestHeaders: headers, RequestBody: create})
	r.True(status == http.StatusCreated, "%s: %d %s", what, status, body)
	status, header, body := r.peer.send(r.T.T, recorded.Exchange{
		Method: "PATCH", Path: wire.Item(wire.PathTransferSessions, other), RequestHeaders: headers, RequestBody: tell,
	})
	r.refused(what, status, header, body)
	r.Equal(what+": rule 3: claims that were kept", r.number(
		`SELECT count(*) FROM morango_transfersession WHERE id = $1 AND client_fsic <> '{}'`, other), int64(0))
}

// countExtra counts the rows of the recorded server that lie in the filter of a pull
// and that neither side's claim covers, once the claims are told. The reference leaves
// them out; we send them (rule 22).
func (r *replay) countExtra(e recorded.Exchange) {
	r.Helper()
	row, ok := e.Transfer()
	if !ok || row.Push || row.RecordsTotal == nil || r.total > 0 || r.extra > 0 {
		return
	}
	r.total = *row.RecordsTotal
	for _, record := range r.peer.state["morango_store"].ByColumns() {
		if r.unclaimed(row, record) {
			r.extra++
		}
	}
}

// unclaimed reports whether a row of the server's store lies in the filter and neither
// claim covers its version.
func (r *replay) unclaimed(row wire.TransferSession, record map[string]any) bool {
	r.Helper()
	filter, where := partition.Parse(row.Filter), fmt.Sprint(record["partition"])
	version := counter.Version{Instance: fmt.Sprint(record["last_saved_instance"]), Counter: whole(record["last_saved_counter"])}
	if !filter.Contains(where) {
		return false
	}
	for _, text := range []string{row.ServerFSIC, row.ClientFSIC} {
		claim, err := counter.Parse([]byte(text))
		if err != nil {
			r.Fatal(err)
		}
		if claim.Expand(filter).Covers(where, version) {
			return false
		}
	}
	return true
}

// onlyOurs reports whether a record that only we send is one that nobody claims.
func (r *replay) onlyOurs(v any) bool {
	r.Helper()
	object, _ := v.(map[string]any)
	for _, e := range r.Exchanges {
		row, ok := e.Transfer()
		if !ok || row.Push || row.RecordsTotal == nil {
			continue
		}
		for _, record := range r.peer.state["morango_store"].ByColumns() {
			if record["id"] == object["model_uuid"] && r.unclaimed(row, record) {
				r.Deviates(22)
				return true
			}
		}
	}
	return false
}

// adjusted is the exchange as the recorded client would have had it with our server:
// it counts the records that only we send.
func (r *replay) adjusted(e recorded.Exchange) recorded.Exchange {
	var told wire.TransferSessionUpdate
	if r.extra > 0 && e.Method == http.MethodPatch && json.Unmarshal(e.RequestBody, &told) == nil &&
		told.RecordsTransferred != nil && *told.RecordsTransferred == r.total {
		e.RequestBody = []byte(strings.Replace(string(e.RequestBody),
			fmt.Sprintf(`"records_transferred": %d`, r.total), fmt.Sprintf(`"records_transferred": %d`, r.total+r.extra), 1))
	}
	return e
}
