package client_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/client"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/engine"
	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/internal/conformance/recorded"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/wire"
)

// definitions finds the recorded application's scope definitions.
func definitions(t testing.TB) cert.Definitions {
	t.Helper()
	profile := tables.Profile(t)
	return func(id string) (model.ScopeDefinition, bool) { return profile.Scope(id) }
}

// side is our client on a recorded client's database, before a player.
type side struct {
	*conformance.T
	recorded.Scenario
	db     *db.DB
	state  recorded.State
	player *player
	peer   *client.Peer
	engine *engine.Engine
}

// newSide prepares a scenario: script is what the recorded client asked.
func newSide(t *conformance.T, s recorded.Scenario, script []recorded.Exchange, d *db.DB) *side {
	t.Helper()
	c := &side{T: t, Scenario: s, db: d, state: s.Start(t, "client")}
	c.player = play(t, script, serverCertificate(t, s.Start(t, "server")))
	c.start()
	syncs := c.state["morango_syncsession"]
	for _, row := range syncs.Rows {
		row[slices.Index(syncs.Columns, "connection_path")] = c.player.URL // where the recorded server was
	}
	profile := c.state.Load(t, d)
	c.engine = engine.New(stage.Env{DB: d, Profile: profile, Machine: c.state.Machine(), Now: time.Now, Rand: rand.Reader})
	t.Cleanup(c.engine.Close)
	capabilities := wire.All()
	if s.Legacy() {
		capabilities = wire.SetOf()
	}
	peer, err := client.NewPeer(c.player.URL, nil, capabilities)
	if err != nil {
		t.Fatal(err)
	}
	c.peer = peer
	return c
}

// serverCertificate is the certificate whose key the recorded server held.
func serverCertificate(t *conformance.T, state recorded.State) *cert.Certificate {
	t.Helper()
	for _, row := range state["morango_certificate"].ByColumns() {
		key, _ := row["private_key"].(string)
		if key == "" || row["parent_id"] != nil {
			continue
		}
		c, err := cert.Parse(fmt.Sprint(row["serialized"]), fmt.Sprint(row["signature"]))
		if err != nil {
			t.Fatal(err)
		}
		c.PrivateKey = key
		return c
	}
	t.Fatal("the recorded server has no certificate")
	return nil
}

// start takes the client's database to where the scenario began, where that was not
// recorded: what it told and sent is there, what it did not know yet is not.
func (c *side) start() {
	c.Helper()
	row, told := c.told()
	if c.Before["client"] != nil || row.ID == "" {
		return
	}
	claim, err := counter.Parse([]byte(told))
	if err != nil {
		c.Fatal(err)
	}
	if claim.IsLegacy() {
		return
	}
	c.state.Claim(c.T, told)
	byPartition := claim.Expand(partition.Parse(row.Filter))
	store := c.state["morango_store"]
	at := func(r []any, column string) string { return fmt.Sprint(r[slices.Index(store.Columns, column)]) }
	unknown := map[any]bool{}
	store.Rows = slices.DeleteFunc(store.Rows, func(r []any) bool {
		n, err := strconv.ParseInt(at(r, "last_saved_counter"), 10, 64)
		if err != nil {
			c.Fatal(err)
		}
		v := counter.Version{Instance: at(r, "last_saved_instance"), Counter: n}
		gone := v.Instance != c.state.Own() && partition.Parse(row.Filter).Contains(at(r, "partition")) && !byPartition.Covers(at(r, "partition"), v)
		unknown[at(r, "id")] = gone
		return gone
	})
	c.state["morango_store"] = store
	rmc := c.state["morango_recordmaxcounter"]
	rmc.Rows = slices.DeleteFunc(rmc.Rows, func(r []any) bool { return unknown[r[slices.Index(rmc.Columns, "store_model_id")]] })
	c.state["morango_recordmaxcounter"] = rmc
	c.restore()
}

// restore puts records back into the client's store as it sent them: the state is one
// in which they may have changed since.
func (c *side) restore() {
	c.Helper()
	bit := map[bool]json.Number{true: "1", false: "0"}
	number := func(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }
	for _, e := range c.Exchanges {
		if e.Method != "POST" || e.Path != wire.PathBuffers {
			continue
		}
		for _, r := range chunk(c.T, e) {
			c.remove("morango_store", "id", r.ModelUUID)
			c.remove("morango_recordmaxcounter", "store_model_id", r.ModelUUID)
			c.state.Add("morango_store", map[string]any{
				"id": r.ModelUUID, "serialized": r.Serialized, "deleted": bit[r.Deleted], "hard_deleted": bit[r.HardDeleted],
				"last_saved_instance": r.LastSavedInstance, "last_saved_counter": number(r.LastSavedCounter), "model_name": r.ModelName,
				"profile": r.Profile, "partition": r.Partition, "source_id": r.SourceID, "conflicting_serialized_data": r.Conflicting,
				"_self_ref_fk": r.SelfRef, "dirty_bit": bit[false], "deserialization_error": "",
			})
			for _, m := range r.RMCBList {
				c.state.Add("morango_recordmaxcounter", map[string]any{
					"store_model_id": r.ModelUUID, "instance_id": m.InstanceID, "counter": number(m.Counter),
				})
			}
		}
	}
}

// remove takes rows out of the state.
func (c *side) remove(table, column, value string) {
	rows := c.state[table]
	rows.Rows = slices.DeleteFunc(rows.Rows, func(r []any) bool { return r[slices.Index(rows.Columns, column)] == value })
	c.state[table] = rows
}

// told is the transfer session that the scenario opened, and what its client claimed.
func (c *side) told() (row wire.TransferSession, claim string) {
	claim = "{}"
	for _, e := range c.Exchanges {
		if found, ok := e.Transfer(); ok {
			row = found
			if row.ClientFSIC != "{}" {
				claim = row.ClientFSIC
			}
		}
	}
	return row, claim
}

// around puts the requests before and after a transfer of a resumed sync session
// around it: what a client asks to see who is there and whether its session is open,
// and the end.
func around(t *conformance.T, library recorded.Library, s recorded.Scenario, exchanges []recorded.Exchange) []recorded.Exchange {
	t.Helper()
	mode, _, _ := strings.Cut(s.Name, "-")
	closing := library.Read(t, mode+"-close").Exchanges[0]
	open := recorded.Exchange{
		Method: "GET", Path: closing.Path, Status: 200, RequestHeaders: closing.RequestHeaders,
		ResponseHeader: map[string]string{"Content-Type": wire.ContentJSON}, ResponseBody: []byte(`{"active": true}`),
	}
	return slices.Concat(library.Read(t, mode+"-info").Exchanges, []recorded.Exchange{open}, exchanges, []recorded.Exchange{closing})
}

// transfers are the scenarios in which the recorded client moved records.
func transfers() []string {
	return []string{
		"full-pull", "full-push", "full-push-nothing-to-do", "full-pull-conflict", "full-push-after-conflict",
		"full-push-chunked", "full-pull-chunked", "full-pull-two-prefixes",
		"legacy-pull", "legacy-push", "legacy-push-nothing-to-do", "legacy-pull-conflict", "legacy-push-after-conflict",
		"legacy-pull-two-prefixes",
	}
}

// Our client asks a recorded server what the recorded client asked, and ends with the
// rows that it ended with.
func TestConformanceWireClient(t *testing.T) {
	library := recorded.Open(t)
	for where, open := range map[string]func(testing.TB) *db.DB{"sqlite, lean": dbtest.New, "sqlite, Django's": dbtest.Django} {
		t.Run(where, func(t *testing.T) {
			names := slices.Concat(transfers(), []string{"full-sync-session", "legacy-sync-session", "full-csr", "legacy-csr", "full-csr-single-user", "full-certificate-push"})
			conformance.Named(t, "wire", "client on "+where, names, func(t *conformance.T, name string) {
				t.Parallel()
				s := library.Read(t, name)
				switch {
				case strings.Contains(name, "sync-session"):
					openSession(t, library, s, open(t))
				case strings.Contains(name, "csr"):
					join(t, s, open(t))
				case strings.Contains(name, "certificate-push"):
					pushCertificate(t, library, s, open(t))
				default:
					transfer(t, library, s, open(t))
				}
			})
		})
	}
}

// transfer runs a scenario that moves records.
func transfer(t *conformance.T, library recorded.Library, s recorded.Scenario, d *db.DB) {
	t.Helper()
	row, _ := s.Exchanges[0].Transfer()
	filter := partition.Parse(row.Filter)
	exchanges := s.Exchanges
	if s.Legacy() && filter.Len() > 1 {
		t.Deviates(25)
		exchanges = perPrefix(t, s.Exchanges, filter)
	}
	c := newSide(t, s, around(t, library, s, exchanges), d)
	result, err := client.Syncer{Engine: c.engine, Peer: c.peer}.Sync(t.Context(), client.Options{
		Pull: !row.Push, Push: row.Push, Filter: filter, ChunkSize: chunkOf(t, s), Retries: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.player.finish()
	t.Equal("the sync session went on", result.Resumed, true)
	if row.Push {
		c.samePushed()
	} else {
		c.arrived()
	}
	c.sameEnd()
}

// chunkOf is the number of records in a request of the scenario.
func chunkOf(t *conformance.T, s recorded.Scenario) int {
	t.Helper()
	for _, e := range s.Exchanges {
		if e.Path != wire.PathBuffers {
			continue
		}
		if e.Method == "POST" {
			return len(chunk(t, e))
		}
		query, err := url.ParseQuery(e.Query)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(query.Get(wire.QueryLimit))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return client.DefaultChunkSize
}

// perPrefix is what a server would have been asked and have answered if the recorded
// client had opened one transfer session for each prefix.
func perPrefix(t *conformance.T, exchanges []recorded.Exchange, filter partition.Filter) []recorded.Exchange {
	t.Helper()
	var all []recorded.Exchange
	for i, prefix := range filter.Prefixes() {
		id := strings.Repeat(strconv.Itoa(i+1), 32)
		row, _ := exchanges[0].Transfer()
		var kept []wire.BufferRecord
		for _, r := range pulled(t, exchanges) {
			if strings.HasPrefix(r.Partition, prefix) {
				kept = append(kept, r)
			}
		}
		page, err := wire.Marshal(wire.BufferPage{Count: int64(len(kept)), Results: kept})
		if err != nil {
			t.Fatal(err)
		}
		change := strings.NewReplacer(row.ID, id,
			strings.ReplaceAll(filter.String(), "\n", `\n`), prefix,
			fmt.Sprintf(`"records_total":%d`, *row.RecordsTotal), fmt.Sprintf(`"records_total":%d`, len(kept)),
			fmt.Sprintf(`"records_transferred": %d`, *row.RecordsTotal), fmt.Sprintf(`"records_transferred": %d`, len(kept)))
		for _, e := range exchanges {
			if e.Path == wire.PathBuffers {
				e.ResponseBody = page
			}
			e.Path, e.Query = change.Replace(e.Path), change.Replace(e.Query)
			e.RequestBody, e.ResponseBody = []byte(change.Replace(string(e.RequestBody))), []byte(change.Replace(string(e.ResponseBody)))
			all = append(all, e)
		}
	}
	return all
}

// pulled is all records that the recorded server sent.
func pulled(t *conformance.T, exchanges []recorded.Exchange) (all []wire.BufferRecord) {
	t.Helper()
	for _, e := range exchanges {
		if e.Method == "GET" && e.Path == wire.PathBuffers {
			page, err := wire.ParseBufferPage(strings.NewReader(string(e.ResponseBody)), 1000)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, page.Results...)
		}
	}
	return all
}

// chunk is the records that a recorded client posted.
func chunk(t *conformance.T, e recorded.Exchange) []wire.BufferRecord {
	t.Helper()
	text := strings.NewReader(string(e.RequestBody))
	if e.RequestHeaders["content-type"]+e.RequestHeaders["Content-Type"] != wire.ContentGzip {
		records, err := wire.ParseBuffers(text, 1000)
		if err != nil {
			t.Fatal(err)
		}
		return records
	}
	unzipped, err := wire.Inflate(text, 1<<22)
	if err != nil {
		t.Fatal(err)
	}
	records, err := wire.ParseBuffers(unzipped, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// arrived checks that all records that were sent are in the store as they came, or
// merged with what was there, and that nothing is left in the buffer.
func (c *side) arrived() {
	c.Helper()
	rows := map[string]map[string]any{}
	for _, row := range recorded.Dump(c.T, c.db, "morango_store", c.state["morango_store"].Columns).ByColumns() {
		rows[fmt.Sprint(row["id"])] = row
	}
	versions := recorded.Dump(c.T, c.db, "morango_recordmaxcounter", []string{"store_model_id", "instance_id", "counter"}).ByColumns()
	for _, r := range pulled(c.T, c.Exchanges) {
		row, ok := rows[r.ModelUUID]
		c.True(ok, "record %s did not arrive", r.ModelUUID)
		c.Equal("partition of "+r.ModelUUID, row["partition"], any(r.Partition))
		c.Equal("unapplied "+r.ModelUUID, fmt.Sprint(row["dirty_bit"], row["deserialization_error"]), "0")
		seen := slices.ContainsFunc(versions, func(v map[string]any) bool {
			n, err := strconv.ParseInt(fmt.Sprint(v["counter"]), 10, 64)
			return err == nil && v["store_model_id"] == r.ModelUUID && v["instance_id"] == r.LastSavedInstance && n >= r.LastSavedCounter
		})
		c.True(seen, "the version of %s that was sent is not in its history", r.ModelUUID)
		content := row["serialized"] == r.Serialized || strings.HasPrefix(fmt.Sprint(row["conflicting_serialized_data"]), r.Serialized)
		c.True(content, "%s holds %s and not %s", r.ModelUUID, row["serialized"], r.Serialized)
	}
	buffered := recorded.Dump(c.T, c.db, "morango_buffer", []string{"model_uuid"})
	c.Equal("records left in the buffer", len(buffered.Rows), 0)
}

// samePushed compares the records that our client sent with the recorded ones. The
// counters of its own instance rise less often (rules 9 and 10); rows that nobody
// claims go too (rule 22).
func (c *side) samePushed() {
	c.Helper()
	ours := map[string]wire.BufferRecord{}
	for _, r := range c.player.pushed {
		_, twice := ours[r.ModelUUID]
		c.True(!twice, "%s was sent twice", r.ModelUUID)
		ours[r.ModelUUID] = r
	}
	for _, e := range c.Exchanges {
		if e.Method != "POST" || e.Path != wire.PathBuffers {
			continue
		}
		for _, want := range chunk(c.T, e) {
			got, ok := ours[want.ModelUUID]
			c.True(ok, "%s was not sent", want.ModelUUID)
			delete(ours, want.ModelUUID)
			c.samePushedRecord(want, got)
		}
	}
	c.True(len(ours) == 0 || c.unclaimed(ours), "sent too: %v", ours)
}

// unclaimed reports whether neither side claims records that only our client sends.
func (c *side) unclaimed(records map[string]wire.BufferRecord) bool {
	c.Helper()
	c.Deviates(22)
	row, told := c.told()
	for _, text := range []string{row.ServerFSIC, told} {
		claim, err := counter.Parse([]byte(text))
		if err != nil {
			c.Fatal(err)
		}
		for _, r := range records {
			if claim.Expand(partition.Parse(row.Filter)).Covers(r.Partition, counter.Version{Instance: r.LastSavedInstance, Counter: r.LastSavedCounter}) {
				return false
			}
		}
	}
	return true
}

func (c *side) samePushedRecord(want, got wire.BufferRecord) {
	c.Helper()
	own := c.state.Own()
	lower := func(instance string, want, got int64) bool { return instance == own && got > 0 && got < want }
	if lower(want.LastSavedInstance, want.LastSavedCounter, got.LastSavedCounter) {
		c.Deviates(10)
		got.LastSavedCounter = want.LastSavedCounter
	}
	byInstance := func(a, b wire.BufferCounter) int { return strings.Compare(a.InstanceID, b.InstanceID) }
	slices.SortFunc(want.RMCBList, byInstance)
	slices.SortFunc(got.RMCBList, byInstance)
	for i := range min(len(want.RMCBList), len(got.RMCBList)) {
		if lower(want.RMCBList[i].InstanceID, want.RMCBList[i].Counter, got.RMCBList[i].Counter) {
			got.RMCBList[i].Counter = want.RMCBList[i].Counter
		}
	}
	c.Equal("record "+want.ModelUUID, got, want)
}

// sameEnd compares the application's rows with those that the recorded client ended
// with, where they were recorded.
func (c *side) sameEnd() {
	c.Helper()
	if c.Before["client"] == nil {
		return
	}
	for name, table := range c.End("client") {
		if !strings.HasPrefix(name, "facility_profile_") {
			continue
		}
		got := byID(recorded.Dump(c.T, c.db, name, table.Columns))
		if diff := cmp.Diff(byID(table), got); diff != "" {
			c.True(false, "%s (-recorded +ours):\n%s", name, diff)
		}
	}
}

func byID(table recorded.Table) map[string]string {
	rows := map[string]string{}
	for _, row := range table.ByColumns() {
		rows[fmt.Sprint(row["id"])] = fmt.Sprint(row)
	}
	return rows
}
