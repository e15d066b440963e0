package hostile

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/wire"
)

// claiming is a whole stream of one record with a claim in its header and one at its end; "" is none.
func (s *scene) claiming(t *testing.T, id, first, last string) string {
	t.Helper()
	h, r := s.header(id), s.own(t, "claimed")
	h.Claim = first
	r.History = counter.Counters{r.Version.Instance: r.Version.Counter}
	var zipped bytes.Buffer
	zip, err := wire.Compress(&zipped)
	must(t, err)
	w, err := wire.NewFrameWriter(zip, h)
	must(t, err)
	must(t, w.Record(r))
	must(t, w.Reach("a1"))
	must(t, w.End(wire.StreamEnd{Claim: last}))
	must(t, zip.Close())
	return zipped.String()
}

// A claim that comes with the end of a stream is held to the same rules as one that comes before:
// none is no claim, one that was told stays, and one beyond the filter is refused.
func TestClaimsAtTheEnd(t *testing.T) {
	who := func(letter string) string { return strings.Repeat(letter, 32) } // one for each attack: they meet the same hub
	claim := func(prefix, instance string, n int) string {
		return fmt.Sprintf(`{"super": {}, "sub": {%q: {%q: %d}}}`, prefix, instance, n)
	}
	claims := func(t *testing.T, s *scene, instance string, want int64) {
		t.Helper()
		if n := s.number(`SELECT COALESCE(MAX(counter), 0) FROM morango_databasemaxcounter WHERE instance_id = $1`, instance); n != want {
			t.Errorf("of %.4s %d is claimed instead of %d", instance, n, want)
		}
	}
	ends := func(t *testing.T, s *scene, first, last string) string {
		id := s.beginStream(t)
		s.a.allowed(t, "POST", wire.Item(wire.PathStreams, id), s.claiming(t, id, first, last), "Content-Type", wire.ContentStream)
		s.a.ask(t, "DELETE", wire.Item(wire.PathTransferSessions, id), "")
		return id
	}
	attempts(t, []attack{
		{"at the end", func(t *testing.T, s *scene) {
			ends(t, s, "", claim(s.a.own, who("a"), 7))
			claims(t, s, who("a"), 7)
		}},
		{"none at all", func(t *testing.T, s *scene) {
			before := s.number(`SELECT COUNT(*) FROM morango_databasemaxcounter`)
			ends(t, s, "", "")
			if n := s.number(`SELECT COUNT(*) FROM morango_databasemaxcounter`); n != before {
				t.Errorf("%d claims after %d", n, before)
			}
		}},
		{"twice", func(t *testing.T, s *scene) {
			ends(t, s, claim(s.a.own, who("b"), 7), claim(s.a.own, who("c"), 9))
			claims(t, s, who("b"), 7)
			claims(t, s, who("c"), 0)
		}},
		{"after the end", func(t *testing.T, s *scene) {
			id := s.beginStream(t)
			for _, last := range []string{claim(s.a.own, who("d"), 7), claim(s.a.own, who("d"), 9)} {
				s.a.ask(t, "POST", wire.Item(wire.PathStreams, id), s.claiming(t, id, "", last), "Content-Type", wire.ContentStream)
			}
			s.a.ask(t, "DELETE", wire.Item(wire.PathTransferSessions, id), "")
			claims(t, s, who("d"), 7)
		}},
		{"what is none", func(t *testing.T, s *scene) {
			for _, last := range []string{claim("", who("e"), 7), claim(s.bob.own, who("e"), 7), "[]", "1", "{", claim(s.a.own, "x", 7)} {
				id := s.beginStream(t)
				s.a.refused(t, "POST", wire.Item(wire.PathStreams, id), s.claiming(t, id, "", last), "Content-Type", wire.ContentStream)
				s.a.ask(t, "DELETE", wire.Item(wire.PathTransferSessions, id), "")
			}
			claims(t, s, who("e"), 0)
		}},
	})
}
