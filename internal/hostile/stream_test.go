package hostile

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/wire"
)

// What MoranGo peers alone can do: records as a stream, and digests.
func TestStreams(t *testing.T) {
	attacks := []attack{
		{"own records go", func(t *testing.T, s *scene) {
			id := s.beginStream(t)
			s.a.allowed(t, "POST", wire.Item(wire.PathStreams, id), s.stream(t, s.header(id), s.own(t, "streamed")), "Content-Type", wire.ContentStream)
			s.a.ask(t, "DELETE", wire.Item(wire.PathTransferSessions, id), "")
			if n := s.number(`SELECT COUNT(*) FROM note WHERE owner = 'anna' AND text = 'forged'`); n != 1 {
				t.Errorf("%d records of the attacker's own arrived", n)
			}
		}},
		{"a bomb", func(t *testing.T, s *scene) {
			id := s.beginStream(t)
			var zipped bytes.Buffer
			zip, err := wire.Compress(&zipped)
			must(t, err)
			for range 512 {
				_, err := zip.Write(bytes.Repeat([]byte{0}, 1<<20))
				must(t, err)
			}
			must(t, zip.Close())
			s.a.refused(t, "POST", wire.Item(wire.PathStreams, id), zipped.String(), "Content-Type", wire.ContentStream)
		}},
		{"nonsense", func(t *testing.T, s *scene) {
			id := s.beginStream(t)
			whole := s.stream(t, s.header(id), s.own(t, "x"))
			for _, body := range append(hostileTexts(), "", whole[:len(whole)/2], whole[1:], whole+whole, strings.Repeat("\x28\xb5\x2f\xfd", 1000)) {
				s.a.ask(t, "POST", wire.Item(wire.PathStreams, id), body, "Content-Type", wire.ContentStream)
			}
		}},
		{"streams of others", func(t *testing.T, s *scene) {
			for _, id := range []string{random(t), s.bob.sync, s.world} {
				s.a.refused(t, "GET", wire.Item(wire.PathStreams, id), "")
				s.a.refused(t, "POST", wire.Item(wire.PathStreams, id), s.stream(t, s.header(id), s.own(t, "x")), "Content-Type", wire.ContentStream)
			}
		}},
		{"cursors", cursors},
		{"digests", digests},
	}
	for name, change := range forgedStreams() {
		attacks = append(attacks, attack{"stream " + name, func(t *testing.T, s *scene) {
			id := s.beginStream(t)
			h, r := s.header(id), s.own(t, "bad")
			change(s, &h, &r)
			ask := s.a.refused
			if unsound := name == "with NUL" || name == "of another profile's" || strings.Contains(name, "card"); unsound {
				ask = s.a.allowed // such a record is left out, and the stream goes on
			}
			ask(t, "POST", wire.Item(wire.PathStreams, id), s.stream(t, h, r), "Content-Type", wire.ContentStream)
			if n := s.number(`SELECT COUNT(*) FROM morango_store WHERE id = $1 AND last_saved_instance = $2`, r.ID, r.Version.Instance); n != 0 {
				t.Error("the record was taken")
			}
		}})
	}
	attempts(t, attacks)
}

// forgedStreams change a good header or record into one that must not be taken.
func forgedStreams() map[string]func(s *scene, h *wire.StreamHeader, r *record.Record) {
	return map[string]func(s *scene, h *wire.StreamHeader, r *record.Record){
		"of bob":             func(s *scene, _ *wire.StreamHeader, r *record.Record) { s.move(r, s.bob.own) },
		"of all":             func(s *scene, _ *wire.StreamHeader, r *record.Record) { s.move(r, s.world+":all") },
		"of the world":       func(s *scene, _ *wire.StreamHeader, r *record.Record) { s.move(r, s.world) },
		"of nothing":         func(s *scene, _ *wire.StreamHeader, r *record.Record) { s.move(r, "") },
		"with a wide filter": func(_ *scene, h *wire.StreamHeader, _ *record.Record) { h.Filter = "" },
		"with bob's filter":  func(s *scene, h *wire.StreamHeader, _ *record.Record) { h.Filter = s.bob.own },
		"of another session": func(s *scene, h *wire.StreamHeader, _ *record.Record) { h.TransferSession = s.sent },
		"of another profile": func(_ *scene, h *wire.StreamHeader, _ *record.Record) { h.Profile = "facilitydata" },
		"with a wide claim": func(s *scene, h *wire.StreamHeader, _ *record.Record) {
			h.Claim = fmt.Sprintf(`{"super": {}, "sub": {"": {%q: 2147483647}}}`, strings.Repeat("a", 32))
		},
		"with no claim":           func(_ *scene, h *wire.StreamHeader, _ *record.Record) { h.Claim = "[]" },
		"with NUL":                func(_ *scene, _ *wire.StreamHeader, r *record.Record) { r.Serialized = "{\"a\": \"\x00\"}" },
		"of another profile's":    func(_ *scene, _ *wire.StreamHeader, r *record.Record) { r.Model = "sqlite_master" },
		"of the world's card":     func(s *scene, _ *wire.StreamHeader, r *record.Record) { s.moveCard(r, s.world) },
		"of a card over a note":   func(s *scene, _ *wire.StreamHeader, r *record.Record) { s.moveCard(r, s.victim()) },
		"after what there is not": func(_ *scene, h *wire.StreamHeader, _ *record.Record) { h.After = strings.Repeat("0", 31) + "1" },
		"after no cursor":         func(_ *scene, h *wire.StreamHeader, _ *record.Record) { h.After = "1' OR 1=1" },
		"after a long cursor": func(_ *scene, h *wire.StreamHeader, _ *record.Record) {
			h.After = strings.Repeat("0", wire.MaxCursor+1)
		},
	}
}

// cursors that nobody has given out: those of another form are refused, without a word of how the
// store is read, and those of the hub's form show what the attacker may pull anyway.
func cursors(t *testing.T, s *scene) {
	s.a.can = wire.All()
	id, own, end := s.a.pull(t, s.a.own), strings.Repeat("0", 32), "-"+strings.Repeat("0", 16)
	get := func(cursor string) (method, path, body string) {
		return "GET", wire.Item(wire.PathStreams, id) + "?after=" + url.QueryEscape(cursor), ""
	}
	forms := []string{"0", "a", "b", "b0000", "b0000-0000-" + own, "b0000-0000-" + own + "-0", "bffff-ffff-" + own + end, "b-1-" + own + end,
		"a0000000000000000-0000-0000000000000000-" + own, "zz", strings.Repeat("b", wire.MaxCursor), strings.Repeat("b", wire.MaxCursor+1)}
	for _, cursor := range append(hostileTexts(), forms...) {
		if cursor == "" {
			continue
		}
		method, path, body := get(cursor)
		if said := s.a.refused(t, method, path, body); strings.Contains(said, "SELECT") || strings.Contains(said, "morango_") {
			t.Errorf("%.100q: %s", cursor, said)
		}
	}
	for _, cursor := range []string{"b0000-0000000000000000-" + own + end, "b0000-8000000000000001-" + own + end, "b0000-ffffffffffffffff-" + own + end,
		"b0000-0000-" + own + end, "b0000-ffff-" + own + end, wire.CursorEnd} {
		method, path, body := get(cursor)
		status, said := s.a.ask(t, method, path, body)
		if status >= 500 {
			t.Errorf("%s: %d, %s", cursor, status, said)
		}
		if status != http.StatusOK {
			continue
		}
		unzip, err := wire.Decompress(strings.NewReader(said))
		must(t, err)
		all, err := io.ReadAll(unzip)
		must(t, errors.Join(err, unzip.Close()))
		if strings.Contains(string(all), "bob") || strings.Contains(string(all), secret) {
			t.Errorf("%s shows %q", cursor, all)
		}
	}
	s.a.ask(t, "DELETE", wire.Item(wire.PathTransferSessions, id), "")
}

// beginStream opens a push whose records are to come as a stream.
func (s *scene) beginStream(t *testing.T) string {
	t.Helper()
	s.a.can = wire.All()
	id := random(t)
	s.a.allowed(t, "POST", wire.PathTransferSessions, s.a.beginning(t, id, s.a.own, true))
	return id
}

func (s *scene) header(id string) wire.StreamHeader {
	return wire.StreamHeader{TransferSession: id, Instance: strings.Repeat("b", 32), Profile: "things", Filter: s.a.own, Claim: noClaim, Records: 1}
}

// own is a record of the attacker's.
func (s *scene) own(t *testing.T, source string) record.Record {
	t.Helper()
	return s.a.note("", s.a.own, source, random(t), 1).Record()
}

// move files a record under another partition, with the id that it has there.
func (s *scene) move(r *record.Record, partition string) {
	moved := s.a.note("", partition, r.SourceID, r.Version.Instance, math.MaxInt32).Record()
	*r = moved
}

// moveCard files a record under another's id, in the attacker's own partition.
func (s *scene) moveCard(r *record.Record, id string) {
	r.Model, r.ID, r.SourceID = "card", id, id
}

// stream is a whole stream of one record.
func (s *scene) stream(t *testing.T, h wire.StreamHeader, r record.Record) string {
	t.Helper()
	var zipped bytes.Buffer
	zip, err := wire.Compress(&zipped)
	must(t, err)
	w, err := wire.NewFrameWriter(zip, h)
	must(t, err)
	r.History = counter.Counters{r.Version.Instance: r.Version.Counter}
	must(t, w.Record(r))
	if wire.ValidCursor(h.After) {
		must(t, w.Reach(h.After+"1"))
		must(t, w.End(wire.StreamEnd{}))
	}
	must(t, zip.Close())
	return zipped.String()
}

// digests of what the attacker may not pull, of sessions that are not there, and of
// ranges that are none.
func digests(t *testing.T, s *scene) {
	all := []string{strings.Repeat("0", 32), strings.Repeat("f", 32)}
	for name, filter := range filters() {
		given := strings.NewReplacer("WORLD", s.world, "OWN", s.a.own).Replace(filter)
		if said := s.a.refused(t, "POST", wire.PathDigests, text(t, map[string]any{"sync_session_id": s.a.sync, "filter": given, "lists": []any{all}, "claims": true})); strings.Contains(said, "bob") {
			t.Errorf("%s: %s", name, said)
		}
	}
	for _, id := range append(hostileTexts(), random(t), s.world, "") {
		s.a.refused(t, "POST", wire.PathDigests, text(t, map[string]any{"sync_session_id": id, "filter": s.a.own, "lists": []any{all}}))
	}
	for _, given := range append(hostileTexts(), strings.Repeat("0", 33)) {
		s.a.refused(t, "POST", wire.PathDigests, text(t, map[string]any{"sync_session_id": s.a.sync, "filter": s.a.own, "sums": []any{[]string{given, given}}}))
	}
	said := s.a.allowed(t, "POST", wire.PathDigests, text(t, map[string]any{"sync_session_id": s.a.sync, "filter": s.a.own, "lists": []any{all}}))
	if strings.Contains(said, "bob") || !strings.Contains(said, s.a.own) {
		t.Errorf("the digests of the own partition show %s", said)
	}
}

// endlessStream sends one stream of more bytes than one push may have.
func endlessStream(t *testing.T, s *scene) {
	s.a.sync = s.a.open(t)
	id := s.beginStream(t)
	var zipped bytes.Buffer
	zip, err := wire.Compress(&zipped)
	must(t, err)
	w, err := wire.NewFrameWriter(zip, s.header(id))
	must(t, err)
	var all []record.Record
	for i := range 40 {
		r := s.own(t, fmt.Sprint(id, i))
		noise := make([]byte, 50_000)
		_, err := rand.Read(noise)
		must(t, err)
		r.Serialized = fmt.Sprintf(`{"text": "%x"}`, noise)
		all = append(all, r)
	}
	for _, r := range all {
		must(t, w.Record(r))
	}
	must(t, w.Reach("1"))
	must(t, w.End(wire.StreamEnd{}))
	must(t, zip.Close())
	if int64(zipped.Len()) < small.Pushed*3/2 {
		t.Fatalf("only %d bytes", zipped.Len())
	}
	s.a.refused(t, "POST", wire.Item(wire.PathStreams, id), zipped.String(), "Content-Type", wire.ContentStream)
	s.a.can = wire.All().Without(wire.Stream1)
	s.a.sync = s.a.open(t)
}
