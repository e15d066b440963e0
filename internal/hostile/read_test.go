package hostile

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/morango-go/morango/wire"
)

// Reading what is not the attacker's: by filters, by sessions of others, by whatever a
// path or a query may say.
func TestReading(t *testing.T) {
	attacks := []attack{
		{"own records come", func(t *testing.T, s *scene) {
			id := s.a.pull(t, s.a.own+"\n"+s.world+":all")
			page := s.a.allowed(t, "GET", wire.PathBuffers+"?limit=100&transfer_session_id="+id, "")
			if !strings.Contains(page, "own anna") || !strings.Contains(page, "open to all") || strings.Contains(page, "other world") {
				t.Errorf("got %s", page)
			}
			s.a.allowed(t, "DELETE", wire.Item(wire.PathTransferSessions, id), "")
		}},
		{"transfers of others", readOthers},
		{"paths", readPaths},
		{"queries", readQueries},
		{"pages", readPages},
		{"methods", readMethods},
	}
	for name, filter := range filters() {
		attacks = append(attacks, attack{"filter " + name, func(t *testing.T, s *scene) {
			given := strings.NewReplacer("WORLD", s.world, "OWN", s.a.own).Replace(filter)
			for _, push := range []bool{false, true} {
				id := random(t)
				said := s.a.refused(t, "POST", wire.PathTransferSessions, s.a.beginning(t, id, given, push))
				if !strings.Contains(said, "scope does not permit") && !strings.Contains(said, "prefixes") {
					t.Errorf("refused for another reason: %s", said)
				}
				s.a.refused(t, "GET", wire.Item(wire.PathTransferSessions, id), "")
				s.a.refused(t, "GET", wire.PathBuffers+"?transfer_session_id="+id, "")
			}
		}})
	}
	attempts(t, attacks)
}

// filters reach beyond the attacker's scope, which is WORLD:all to read and OWN, the
// partition WORLD:user:anna.
func filters() map[string]string {
	return map[string]string{
		"empty": "", "white space": " \n\t\u2028\u3000", "the world": "WORLD", "all users": "WORLD:user:", "another user": "WORLD:user:bob",
		"shorter by a letter": "WORLD:user:ann", "another beside the own": "OWN\nWORLD:user:bob", "beside the own, by a line separator": "OWN\u2028WORLD:user:bob",
		"beside the own, by a control": "OWN\x1cWORLD:user:bob", "beside the own, by NEL": "OWN\u0085WORLD:user:bob", "upper case": strings.ToUpper("WORLD:user:") + "ANNA",
		"placeholder": "${world}", "percent": "%", "percent in the middle": "WORLD:user:%", "underscore": "WORLD:user:ann_", "quote": "WORLD' OR '1'='1",
		"NUL": "OWN\x00", "NUL before": "\x00OWN", "zero width": "\u200bOWN", "byte order mark": "\ufeffOWN", "a prefix of the world": "WORLD:us", "one letter": "0",
		"dots": "WORLD:../WORLD:user:bob", "very long": strings.Repeat("a", 1<<20), "very many": strings.Repeat("x\n", 100_000),
		"surrogate": "WORLD:user:\ufffd", "other order": "anna:user:WORLD",
	}
}

// The ids of others' sessions are secrets. Whoever guesses one that is not there learns
// no more than of one that is another's kind, and none is ever told.
func readOthers(t *testing.T, s *scene) {
	for _, id := range []string{random(t), s.bob.sync, s.world, strings.Repeat("0", 32), strings.Repeat("f", 32)} {
		item := wire.Item(wire.PathTransferSessions, id)
		answers := map[string]bool{}
		for _, text := range []string{
			s.a.refused(t, "GET", item, ""), s.a.refused(t, "PATCH", item, `{"transfer_stage": "queuing"}`), s.a.refused(t, "DELETE", item, ""),
		} {
			answers[text] = true
		}
		if len(answers) != 1 {
			t.Errorf("different answers: %v", answers)
		}
		s.a.refused(t, "GET", wire.PathBuffers+"?limit=1&transfer_session_id="+id, "")
		record := s.a.note(id, s.a.own, "x", random(t), 1)
		s.a.refused(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{record}))
	}
	// A transfer of another's cannot be taken over into an own session, nor the reverse.
	for _, id := range []string{s.pulled, s.sent} {
		for _, push := range []bool{true, false} {
			s.a.refused(t, "POST", wire.PathTransferSessions, s.a.beginning(t, id, s.a.own, push))
			s.a.refused(t, "POST", wire.PathTransferSessions, s.a.beginning(t, id, s.bob.own, push))
		}
	}
	mixed := []wire.BufferRecord{s.a.note(s.a.push(t, 2, noClaim), s.a.own, "x", random(t), 1), s.a.note(s.sent, s.bob.own, "y", random(t), 1)}
	s.a.refused(t, "POST", wire.PathBuffers, text(t, mixed))
	for _, list := range []string{wire.PathSyncSessions, wire.PathTransferSessions, wire.PathNonces, wire.PathBuffers} {
		s.a.refused(t, "GET", list, "")
	}
}

// hostileTexts stand where ids and names are wanted.
func hostileTexts() []string {
	return []string{
		"'", `"`, "x' OR '1'='1", "x'; DROP TABLE note; --", `x"; SELECT 1`, "1 UNION SELECT private_key FROM morango_certificate", "%", "_", "*", "$1", "${world}",
		"../../../etc/passwd", "..%2f..%2fetc", "/etc/passwd", `..\..\x`, "\x00", "a\x00b", "\n\r", "\u2028", "\u202e", "-1", "0", "9223372036854775808", "1e9", "NaN",
		"null", "true", "[]", "{}", strings.Repeat("a", 10_000), "<script>", "{{7*7}}", "%s%n", "\xff\xfe",
	}
}

func readPaths(t *testing.T, s *scene) {
	for _, text := range hostileTexts() {
		id := url.PathEscape(text)
		for _, collection := range []string{wire.PathCertificates, wire.PathSyncSessions, wire.PathTransferSessions, wire.PathPublicKey} {
			s.a.closed(t, "GET", wire.Item(collection, id))
			s.a.closed(t, "DELETE", wire.Item(collection, id))
		}
		s.a.closed(t, "GET", "/"+id)
		s.a.closed(t, "GET", wire.Base+id+"/")
	}
	for _, path := range []string{wire.Base + "../../../../etc/passwd", "//etc/passwd", wire.Base + "..;/x/", "/api/morango/v2/buffers/", "/debug/pprof/", "/metrics", "/.git/config"} {
		s.a.closed(t, "GET", path)
	}
}

// closed asks for what is not there: it is refused, or leads back to the right form of
// the same path.
func (o *outsider) closed(t *testing.T, method, path string) {
	t.Helper()
	if status, said := o.ask(t, method, path, ""); status/100 != 4 && status != 301 && status != 308 && status != 307 {
		t.Errorf("%s %.100s: %d %s", method, path, status, said)
	}
}

func readQueries(t *testing.T, s *scene) {
	for _, given := range hostileTexts() {
		value := url.QueryEscape(given)
		for _, name := range []string{wire.QueryPrimaryPartition, wire.QueryAncestorsOf, wire.QueryProfile, "id", "private_key", "order_by"} {
			status, said := s.a.ask(t, "GET", wire.PathCertificates+"?"+name+"="+value, "")
			if status >= 500 || strings.Contains(said, "PRIVATE") {
				t.Errorf("%s=%q: %d %s", name, given, status, said)
			}
		}
		s.a.refused(t, "GET", wire.PathBuffers+"?transfer_session_id="+value, "")
		s.a.ask(t, "GET", wire.Item(wire.PathInfo, "1")+"?"+value+"="+value, "")
	}
	said := s.a.allowed(t, "GET", wire.PathCertificates, "")
	for _, hidden := range []string{"private_key", s.a.certificate().ID, s.bob.certificate().ID} {
		if strings.Contains(said, hidden) {
			t.Errorf("the list of certificates shows %s", hidden)
		}
	}
}

// readPages asks for the pages of an own pull by impossible numbers.
func readPages(t *testing.T, s *scene) {
	id := s.a.pull(t, s.a.own)
	numbers := []string{"0", "-1", "1", "2147483647", "2147483648", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "1e9", "1.5", "0x10", "", "NaN", "'", "%00"}
	for _, limit := range numbers {
		for _, offset := range numbers {
			path := fmt.Sprintf("%s?transfer_session_id=%s&limit=%s&offset=%s", wire.PathBuffers, id, limit, offset)
			if said := s.a.allowed(t, "GET", path, ""); strings.Count(said, "model_uuid\":") > 4 {
				t.Errorf("limit %s, offset %s: %s", limit, offset, said)
			}
		}
	}
	s.a.allowed(t, "DELETE", wire.Item(wire.PathTransferSessions, id), "")
}

func readMethods(t *testing.T, s *scene) {
	for _, path := range []string{
		wire.Item(wire.PathInfo, "1"), wire.PathPublicKey, wire.PathNonces, wire.PathCertificates, wire.PathCertificateChain, wire.PathSyncSessions,
		wire.Item(wire.PathSyncSessions, s.bob.sync), wire.PathTransferSessions, wire.PathBuffers, wire.Item(wire.PathCertificates, s.world),
	} {
		for _, method := range []string{"PUT", "PATCH", "TRACE", "CONNECT2", "PROPFIND", "X" + strings.Repeat("Y", 500)} {
			s.a.closed(t, method, path)
		}
	}
}
