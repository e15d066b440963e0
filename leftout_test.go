package morango_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/wire"
)

// ways are the ways in which records travel between two MoranGo peers: as a stream, in
// chunks, and in chunks with a peer that knows nothing of MoranGo.
func ways() map[string][]wire.Capability {
	return map[string][]wire.Capability{"stream": nil, "chunks": {wire.Stream1}, "reference": {wire.MoranGo}}
}

// poison makes a record of an item that no peer takes: its id is not its hash any more. A
// Python application on the same tables could have saved it so.
func (p *peer) poison(text string) (id string) {
	p.t.Helper()
	must(p.t, p.app.QueryRow(`SELECT id FROM item WHERE text = ?`, text).Scan(&id))
	_, err := p.Serialize(p.t.Context(), morango.Filter{})
	must(p.t, err)
	p.do(`UPDATE morango_store SET source_id = 'another' WHERE id = ?`, id)
	return id
}

// A poisoned record in the middle of others is left out, in both directions and on both
// sides it is told, all others arrive, and the receiver does not claim what it has not
// got. When the record is mended it travels.
func TestPoisonedRecord(t *testing.T) {
	for name, hide := range ways() {
		for _, push := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/push %v", name, push), func(t *testing.T) {
				t.Parallel()
				hub, tablet, url := pair(t, hide)
				top := hub.folder("top", nil)
				tablet.sync(url)
				from, to := hub, tablet
				if push {
					from, to = tablet, hub
				}
				want := []string{}
				for i := range 40 {
					text := fmt.Sprintf("item %02d", i)
					from.item(text, top, "")
					if i != 20 {
						want = append(want, text)
					}
				}
				id := from.poison("item 20")
				s := tablet.sync(url)
				d := s.Pull
				if push {
					d = s.Push
				}
				if d.Records != 39 || s.Failing() == 0 && hide == nil {
					t.Errorf("%d records came; %+v", d.Records, d)
				}
				if name != "reference" && (d.Unsent.Total != 1 || d.Unsent.First[0].ID != id || d.Refused.Total != 0) {
					t.Errorf("left out: %+v", d)
				}
				if got := to.texts(); fmt.Sprint(got) != fmt.Sprint(append(want, "top")) {
					t.Errorf("the receiver has %q", got)
				}
				if name != "reference" {
					to.knowsOfOmission(id)
					from.knowsOfOmission(id)
					to.claimsLess(from, id)
				}
				mendedTravels(t, from, to, tablet, url, id, append(want[:20:20], append([]string{"item 20"}, want[20:]...)...))
			})
		}
	}
}

// mendedTravels mends a poisoned record by its application, and syncs.
func mendedTravels(t *testing.T, from, to, client *peer, url, id string, want []string) {
	t.Helper()
	from.do(`UPDATE morango_store SET source_id = (SELECT _morango_source_id FROM item WHERE item.id = morango_store.id) WHERE id = ?`, id)
	from.do(`UPDATE item SET text = text WHERE id = ?`, id)
	s := client.sync(url)
	if s.Failing() != 0 {
		t.Errorf("after mending: %+v", s)
	}
	if got := to.texts(); fmt.Sprint(got) != fmt.Sprint(append(want, "top")) {
		t.Errorf("after mending the receiver has %q", got)
	}
	if s := client.sync(url); s.Pull.Records != 0 || s.Push.Records != 0 {
		t.Errorf("the same travels again: %+v", s)
	}
}

// knowsOfOmission fails the test unless the peer's database remembers that the record was
// left out.
func (p *peer) knowsOfOmission(id string) {
	p.t.Helper()
	var text string
	must(p.t, p.app.QueryRow(`SELECT group_concat(extra_fields) FROM morango_syncsession`).Scan(&text))
	if !strings.Contains(text, id) {
		p.t.Errorf("record %s is not remembered: %s", id, text)
	}
}

// claimsLess fails the test when the peer claims the version of a record that lies with
// another peer and not here.
func (p *peer) claimsLess(other *peer, id string) {
	p.t.Helper()
	var instance string
	var saved, claimed int64
	must(p.t, other.app.QueryRow(`SELECT last_saved_instance, last_saved_counter FROM morango_store WHERE id = ?`, id).Scan(&instance, &saved))
	must(p.t, p.app.QueryRow(`SELECT COALESCE(MAX(counter), 0) FROM morango_databasemaxcounter WHERE instance_id = ?`, instance).Scan(&claimed))
	if claimed >= saved {
		p.t.Errorf("counter %d is claimed, where record %s of counter %d is not here", claimed, id, saved)
	}
}

// A server that sends a record which nobody can take does not hold the others up: the
// record is left out and not claimed, each time it comes, until it is mended.
func TestPulledRecordIsRefused(t *testing.T) {
	hub, tablet := newPeer(t, "hub"), newPeer(t, "tablet")
	root, err := hub.CreateRoot(t.Context(), "world", nil)
	must(t, err)
	hub.world = root.ID
	handler, err := hub.Handler(morango.ServerOptions{Users: anyone{}, Hide: []wire.Capability{wire.MoranGo, wire.Stream1}})
	must(t, err)
	bad := ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Accept-Encoding")
		seen := httptest.NewRecorder()
		handler.ServeHTTP(seen, r)
		text := seen.Body.String()
		if bad != "" {
			text = strings.Replace(text, `"source_id":"`+bad+`"`, `"source_id":"another"`, 1)
		}
		maps.Copy(w.Header(), seen.Header())
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		w.WriteHeader(seen.Code)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(srv.Close)
	tablet.join(srv.URL, "", nil, root.ID)
	top := hub.folder("top", nil)
	hub.item("bad", top, "")
	hub.item("good", top, "")
	var id string
	must(t, hub.app.QueryRow(`SELECT id, _morango_source_id FROM item WHERE text = 'bad'`).Scan(&id, &bad))
	for range 2 {
		s := tablet.sync(srv.URL)
		if s.Pull.Refused.Total != 1 || s.Pull.Refused.First[0].ID != id || s.Failing() != 1 {
			t.Errorf("refused: %+v", s.Pull)
		}
		var kinds []morango.ProblemKind
		for p, err := range tablet.Problems(t.Context()) {
			must(t, err)
			kinds = append(kinds, p.Kind)
		}
		if fmt.Sprint(kinds) != "[refused]" {
			t.Errorf("problems %q", kinds)
		}
		if got := tablet.texts(); fmt.Sprint(got) != "[good top]" {
			t.Errorf("the tablet has %q", got)
		}
		tablet.claimsLess(hub, id)
	}
	bad = ""
	if s := tablet.sync(srv.URL); s.Failing() != 0 {
		t.Errorf("after mending: %+v", s)
	}
	same(t, hub, tablet, "bad", "good", "top")
}
