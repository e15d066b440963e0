// Package recorded holds the HTTP exchanges that two Python peers were recorded at,
// with the rows of both databases around them, and moves those rows into a database
// and back out of it.
//
// It serves tests of server and client only. It imports the words and tables layers
// and package wire.
package recorded

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/wire"
)

// Scenario is one recorded conversation.
type Scenario struct {
	Name      string           `json:"-"` // mode and scenario, such as full-pull
	Exchanges []Exchange       `json:"exchanges"`
	Before    map[string]State `json:"before"` // by side: server, client; nil where not recorded
	After     map[string]State `json:"after"`  // the tables that changed

	from Library
}

// Exchange is one request with its answer.
type Exchange struct {
	Method         string            `json:"method"`
	Path           string            `json:"path"`
	Query          string            `json:"query"`
	RequestHeaders map[string]string `json:"request_headers"`
	RequestBody    []byte            `json:"request_body_b64"`
	Status         int               `json:"status"`
	ResponseHeader map[string]string `json:"response_headers"`
	ResponseBody   []byte            `json:"response_body_b64"`
}

// State is the rows of a database, by table.
type State map[string]Table

// Table is the rows of one table as SQLite holds them: texts, json.Number and nil.
type Table struct {
	Columns []string `json:"columns"`
	Rows    [][]any  `json:"rows"`
}

// Library holds all scenarios.
type Library struct{ files map[string][]byte }

// Open reads the recordings.
func Open(t testing.TB) Library {
	t.Helper()
	return Library{conformance.Files(t, "wire")}
}

// Names lists all scenarios.
func (l Library) Names() []string {
	var names []string
	for name := range l.files {
		if base, ok := strings.CutSuffix(name, ".json"); ok && !strings.HasPrefix(name, "sample-") {
			names = append(names, base)
		}
	}
	slices.Sort(names)
	return names
}

// Read reads a scenario anew: what it returns is the caller's to change.
func (l Library) Read(t testing.TB, name string) Scenario {
	t.Helper()
	s := Scenario{Name: name, from: l}
	decoder := json.NewDecoder(bytes.NewReader(l.files[name+".json"]))
	decoder.UseNumber()
	if err := decoder.Decode(&s); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// Legacy reports whether the peers had no capabilities.
func (s Scenario) Legacy() bool { return strings.HasPrefix(s.Name, "legacy-") }

// Library holds the scenario and the others.
func (s Scenario) Library() Library { return s.from }

// mode is the part of the name before the scenario's own.
func (s Scenario) mode() string {
	mode, _, _ := strings.Cut(s.Name, "-")
	return mode
}

// Transfer reads the transfer session that the exchange answers with; false when it
// answers with something else.
func (e Exchange) Transfer() (row wire.TransferSession, ok bool) {
	if !strings.HasPrefix(e.Path, wire.PathTransferSessions) {
		return row, false
	}
	err := json.Unmarshal(e.ResponseBody, &row)
	return row, err == nil && row.ID != ""
}

// tail lists what ran last in each mode, in order; everything else ran before.
func tail() []string {
	return []string{"push-chunked", "pull-chunked", "pull-two-prefixes", "close"}
}

// Start is what one side's database held when the scenario began. Where that was not
// recorded, it is put together from the recorded scenarios before and after.
func (s Scenario) Start(t testing.TB, side string) State {
	t.Helper()
	if s.Before[side] != nil {
		return s.edited(side)
	}
	own := strings.TrimPrefix(s.Name, s.mode()+"-")
	switch {
	case own == "sync-session" && side == "client":
		state := s.from.Read(t, s.mode()+"-pull").Before[side]
		state["morango_syncsession"] = Table{Columns: state["morango_syncsession"].Columns}
		return state
	case own == "info" || own == "publickey-none":
		return s.from.Read(t, s.mode()+"-csr").Before[side]
	case own == "csr-single-user" || own == "sync-session":
		return s.from.Read(t, s.mode()+"-csr").End(side)
	case own == "push-nothing-to-do":
		return s.from.Read(t, s.mode()+"-push").End(side)
	case s.Legacy() || own == "push-chunked":
		return s.from.Read(t, s.mode()+"-push-after-conflict").End(side)
	case slices.Contains(tail(), own):
		state := s.from.Read(t, s.mode()+"-certificate-push").Before[side]
		s.rewind(t, state)
		return state
	}
	return s.from.Read(t, s.mode()+"-certificate-push").End(side)
}

// End is a side's database at the end of a scenario that has tables recorded.
func (s Scenario) End(side string) State {
	state := maps.Clone(s.Before[side])
	maps.Copy(state, s.After[side])
	return state
}

// rewind takes a state that was recorded after the scenario back to where it began:
// the sync session is open, and the scenario's transfer session is not there.
func (s Scenario) rewind(t testing.TB, state State) {
	t.Helper()
	syncs := state["morango_syncsession"]
	for _, row := range syncs.Rows {
		row[slices.Index(syncs.Columns, "active")] = json.Number("1")
	}
	transfers := state["morango_transfersession"]
	for _, e := range s.Exchanges {
		row, ok := e.Transfer()
		if !ok {
			continue
		}
		transfers.Rows = slices.DeleteFunc(transfers.Rows, func(r []any) bool { return r[slices.Index(transfers.Columns, "id")] == row.ID })
	}
	state["morango_transfersession"] = transfers
}
