package hostile

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/wire"
)

// Writing what is not the attacker's: records of others under every disguise, claims and
// counters that are forged, stages that are jumped.
func TestWriting(t *testing.T) {
	attacks := []attack{
		{"own records go", func(t *testing.T, s *scene) {
			id := s.a.push(t, 1, noClaim)
			s.a.allowed(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{s.a.note(id, s.a.own, "mine", random(t), 1)}))
			s.a.finish(t, id)
			if n := s.number(`SELECT COUNT(*) FROM note WHERE owner = 'anna' AND text = 'forged'`); n != 1 {
				t.Errorf("%d records of the attacker's own arrived", n)
			}
		}},
		{"another's row by its own JSON", writeDisguised},
		{"another's record deleted", writeDeleted},
		{"claims", writeClaims},
		{"stages", writeStages},
		{"counts", writeCounts},
		{"the version of another", writeAsOther},
		{"a hundred thousand histories", writeHistories},
		{"deep and huge JSON", writeJSON},
	}
	for name, change := range forgeries() {
		attacks = append(attacks, attack{"record " + name, func(t *testing.T, s *scene) {
			id := s.a.push(t, 9, noClaim)
			bad := s.a.note(id, s.a.own, "bad", random(t), 1)
			change(s, &bad)
			s.a.refused(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{s.a.note(id, s.a.own, "good", random(t), 1), bad}))
			if n := s.number(`SELECT COUNT(*) FROM morango_buffer WHERE transfer_session_id = $1`, id); n != 0 {
				t.Errorf("%d records of the refused chunk are left", n)
			}
			s.a.finish(t, id)
		}})
	}
	attempts(t, attacks)
}

// forgeries change a good record into one that must not be taken.
func forgeries() map[string]func(s *scene, r *wire.BufferRecord) {
	rehash := func(r *wire.BufferRecord) {
		r.ModelUUID = ident.Record(strings.ReplaceAll(r.Partition, r.ModelUUID, ident.Placeholder), r.SourceID, r.ModelName)
		r.RMCBList[0].ModelUUID = r.ModelUUID
	}
	into := func(partition string) func(*scene, *wire.BufferRecord) {
		return func(s *scene, r *wire.BufferRecord) {
			r.Partition = strings.NewReplacer("WORLD", s.world, "OWN", s.a.own).Replace(partition)
			rehash(r)
		}
	}
	all := map[string]func(*scene, *wire.BufferRecord){
		"of bob": into("WORLD:user:bob"), "of all": into("WORLD:all"), "of a shorter name": into("WORLD:user:ann"), "of no partition": into(""),
		"of a space before": into(" OWN"), "of a NUL": into("\x00OWN"), "of the world": into("WORLD"), "of upper case": into("WORLD:USER:anna"),
		"under the id of another record": func(s *scene, r *wire.BufferRecord) { r.ModelUUID = s.world; r.RMCBList[0].ModelUUID = s.world },
		"under no id":                    func(_ *scene, r *wire.BufferRecord) { r.ModelUUID = ""; r.RMCBList[0].ModelUUID = "" },
		"under an id in capitals": func(_ *scene, r *wire.BufferRecord) {
			r.ModelUUID = strings.ToUpper(r.ModelUUID)
			r.RMCBList[0].ModelUUID = r.ModelUUID
		},
		"of another model with its id":   func(_ *scene, r *wire.BufferRecord) { r.ModelName = "room" },
		"of an unknown model":            func(_ *scene, r *wire.BufferRecord) { r.ModelName = "sqlite_master" },
		"of another profile":             func(_ *scene, r *wire.BufferRecord) { r.Profile = "facilitydata" },
		"of another transfer's history":  func(s *scene, r *wire.BufferRecord) { r.RMCBList[0].TransferSession = s.sent },
		"of the world's card":            func(s *scene, r *wire.BufferRecord) { asCard(r, s.world) },
		"of a card over bob's note":      func(s *scene, r *wire.BufferRecord) { asCard(r, s.victim()) },
		"with a parent that is no id":    func(_ *scene, r *wire.BufferRecord) { r.SelfRef = "' OR 1=1 --" },
		"with an instance that is no id": func(_ *scene, r *wire.BufferRecord) { r.LastSavedInstance = "'; DROP TABLE note" },
		"with a history of no id":        func(_ *scene, r *wire.BufferRecord) { r.RMCBList[0].InstanceID = "%" },
		"with NUL in the text":           func(_ *scene, r *wire.BufferRecord) { r.Serialized = "{\"a\": \"\x00\"}" },
		"with NUL in the source":         func(_ *scene, r *wire.BufferRecord) { r.SourceID = "a\x00"; rehash(r) },
		"with a long source":             func(_ *scene, r *wire.BufferRecord) { r.SourceID = strings.Repeat("x", 10_000); rehash(r) },
		"with a long model":              func(_ *scene, r *wire.BufferRecord) { r.ModelName = strings.Repeat("x", 10_000); rehash(r) },
		"twice in one history": func(_ *scene, r *wire.BufferRecord) {
			r.RMCBList = append(r.RMCBList, r.RMCBList[0])
		},
	}
	for _, n := range []int64{-1, math.MinInt64, math.MaxInt64, 1 << 31, 1 << 32} {
		all[fmt.Sprint("with counter ", n)] = func(_ *scene, r *wire.BufferRecord) { r.LastSavedCounter = n }
		all[fmt.Sprint("with history ", n)] = func(_ *scene, r *wire.BufferRecord) { r.RMCBList[0].Counter = n }
	}
	return all
}

// asCard makes a record one of the model whose ids are source ids, and so any id's: still
// in the attacker's own partition.
func asCard(r *wire.BufferRecord, id string) {
	r.ModelName, r.ModelUUID, r.SourceID = "card", id, id
	r.RMCBList[0].ModelUUID = id
}

// victim is the id of a note of bob's.
func (s *scene) victim() string {
	return strings.Trim(strings.SplitN(s.rows(`SELECT replace(CAST(id AS text), '-', '') FROM note WHERE owner = 'bob' ORDER BY id LIMIT 1`), "\n", 3)[1], "[]")
}

// A record in the own partition whose JSON is another's row: what the application gets
// stays the attacker's own.
func writeDisguised(t *testing.T, s *scene) {
	victim := s.victim()
	id := s.a.push(t, 2, noClaim)
	inside := s.a.note(id, s.a.own, "disguised", random(t), 1)
	inside.Serialized = fmt.Sprintf(`{"id": %q, "world": %q, "owner": "bob", "text": "stolen", "_morango_partition": %q, "_morango_source_id": "x", "_morango_dirty_bit": true}`, victim, s.world, s.bob.own)
	broken := s.a.note(id, s.a.own, "broken", random(t), 1)
	broken.Serialized = `{"id": "x'; DROP TABLE note; --", "world": [], "text": {"a": 1}`
	s.a.allowed(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{inside, broken}))
	s.a.finish(t, id)
	if n := s.number(`SELECT COUNT(*) FROM note WHERE text = 'stolen' AND substr(_morango_partition, 1, length($1)) <> $1`, s.a.own); n != 0 {
		t.Errorf("%d rows of others were stolen", n)
	}
}

// Deletions and hard deletions of another's record are as impossible as edits, also when
// its right id, partition and source id are known.
func writeDeleted(t *testing.T, s *scene) {
	for _, hard := range []bool{false, true} {
		id := s.a.push(t, 1, noClaim)
		r := s.a.note(id, s.bob.own, "halfway", random(t), math.MaxInt32)
		r.Deleted, r.HardDeleted, r.Serialized = true, hard, "{}"
		s.a.refused(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{r}))
		s.a.finish(t, id)
	}
}

// Claims beyond the filter, of impossible counters and in impossible forms are refused;
// what is claimed of the own partition goes no further.
func writeClaims(t *testing.T, s *scene) {
	someone := random(t)
	for _, claim := range []string{
		`{"super": {}, "sub": {"": {"X": 5}}}`, `{"super": {}, "sub": {"WORLD": {"X": 5}}}`, `{"super": {}, "sub": {"BOB": {"X": 5}}}`,
		`{"super": {}, "sub": {"OWN": {"X": 2147483648}}}`, `{"super": {}, "sub": {"OWN": {"X": -1}}}`, `{"super": {}, "sub": {"OWN": {"X": 1.5}}}`, `{"super": {}, "sub": {"OWN": {"X": 1e3}}}`,
		`{"super": {}, "sub": {"OWN": {"X": 9223372036854775808}}}`, `{"super": {}, "sub": {"OWN": {"X": "5"}}}`, `{"super": {}, "sub": {"OWN": {"'; DROP": 5}}}`, `{"super": {}, "sub": {"OWN": {"X": 1, "X": 2}}}`,
		`{"super": {"OWN": {"X": 5}}}`, `{"sub": []}`, `[]`, `5`, `"x"`, ``, `{`, `{"super": {}, "sub": {"OWN\u0000": {}}}`, strings.Repeat(`{"sub":`, 10_000),
		`{"super": {}, "sub": {"` + strings.Repeat("a", 5000) + `": {}}}`,
	} {
		given := strings.NewReplacer("X", someone, "WORLD", s.world, "OWN", s.a.own, "BOB", s.bob.own).Replace(claim)
		id := random(t)
		if claim != "" { // none at all stands for "{}"
			s.a.refused(t, "POST", wire.PathTransferSessions, text(t, map[string]any{"id": id, "filter": s.a.own, "push": true, "sync_session_id": s.a.sync, "client_fsic": given}))
		}
		s.a.allowed(t, "POST", wire.PathTransferSessions, s.a.beginning(t, id, s.a.own, true))
		s.a.refused(t, "PATCH", wire.Item(wire.PathTransferSessions, id), text(t, map[string]any{"transfer_stage": "queuing", "client_fsic": given}))
	}
	// What a peer holds of all is told so, and counts for the filter only.
	for _, form := range []string{`{"super": {}, "sub": {"OWN": {"X": 2147483647}}}`, `{"super": {"": {"X": 2147483647}}, "sub": {}}`, `{"super": {"WORLD": {"X": 2147483647}, "BOB": {"X": 2147483647}}, "sub": {}}`} {
		s.a.finish(t, s.a.push(t, 0, strings.NewReplacer("X", someone, "WORLD", s.world, "OWN", s.a.own, "BOB", s.bob.own).Replace(form)))
	}
	if n := s.number(`SELECT COUNT(*) FROM morango_databasemaxcounter WHERE counter = 2147483647 AND substr(partition, 1, length($1)) <> $1`, s.a.own); n != 0 {
		t.Errorf("%d claims got out of the attacker's partition", n)
	}
}

// Stages that were not reached, or that there are not, or of the other direction.
func writeStages(t *testing.T, s *scene) {
	id := random(t)
	s.a.allowed(t, "POST", wire.PathTransferSessions, s.a.beginning(t, id, s.a.own, true))
	item := wire.Item(wire.PathTransferSessions, id)
	s.a.refused(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{s.a.note(id, s.a.own, "early", random(t), 1)}))
	for _, name := range []string{"", "nothing", "Queuing", "cleanup' OR 1=1", strings.Repeat("x", 100_000), "\x00"} {
		s.a.refused(t, "PATCH", item, text(t, map[string]any{"transfer_stage": name}))
	}
	for _, fields := range []string{
		`{"filter": ""}`, `{"push": false}`, `{"active": true}`, `{"sync_session": "` + s.bob.sync + `"}`, `{"server_fsic": "{}"}`, `{"transfer_stage_status": "completed"}`, `{"id": "` + s.sent + `"}`,
	} {
		if said := s.a.allowed(t, "PATCH", item, fields); !strings.Contains(said, `"filter":"`+s.a.own+`"`) || !strings.Contains(said, `"push":true`) || !strings.Contains(said, s.a.sync) {
			t.Errorf("%s: %s", fields, said)
		}
	}
	for _, name := range []string{"deserializing", "cleanup", "dequeuing", "transferring"} {
		s.a.ask(t, "PATCH", item, text(t, map[string]any{"transfer_stage": name}))
	}
	pull := s.a.pull(t, s.a.own)
	s.a.refused(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{s.a.note(pull, s.a.own, "wrong way", random(t), 1)}))
	s.a.refused(t, "GET", wire.PathBuffers+"?transfer_session_id="+id, "")
	s.a.allowed(t, "DELETE", item, "")
	s.a.allowed(t, "DELETE", wire.Item(wire.PathTransferSessions, pull), "")
}

// Impossible numbers of records and bytes.
func writeCounts(t *testing.T, s *scene) {
	id := s.a.push(t, 1, noClaim)
	item := wire.Item(wire.PathTransferSessions, id)
	for _, field := range []string{"records_total", "records_transferred", "bytes_sent", "bytes_received"} {
		for _, n := range []string{"-1", "-9223372036854775808", "9223372036854775808", "1.5", "1e400", `"1"`, "[]", "{}", "true"} {
			s.a.refused(t, "PATCH", item, `{"`+field+`": `+n+`}`)
		}
	}
	for _, n := range []string{"2147483648", "9223372036854775807"} {
		s.a.refused(t, "PATCH", item, `{"records_total": `+n+`}`)
	}
	s.a.allowed(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{s.a.note(id, s.a.own, "one", random(t), 1)}))
	s.a.refused(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{s.a.note(id, s.a.own, "two", random(t), 1)}))
	s.a.finish(t, id)
}

// Records of the own partition said to be saved by another instance, with the highest
// counter there is: it is the attacker's own data, and nobody else's is taken for it.
func writeAsOther(t *testing.T, s *scene) {
	id := s.a.push(t, 1, noClaim)
	s.a.allowed(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{s.a.note(id, s.a.own, "forged", random(t), math.MaxInt32)}))
	s.a.finish(t, id)
}

// A record with a long history, and one with a history of more than a hundred thousand
// instances.
func writeHistories(t *testing.T, s *scene) {
	id := s.a.push(t, 2, noClaim)
	r := s.a.note(id, s.a.own, "much seen", random(t), 1)
	grow := func(from, to int) {
		for i := from; i < to; i++ {
			r.RMCBList = append(r.RMCBList, wire.BufferCounter{TransferSession: id, ModelUUID: r.ModelUUID, InstanceID: fmt.Sprintf("%032x", i), Counter: 1})
		}
	}
	grow(0, 20_000)
	s.a.ask(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{r}))
	grow(20_000, 100_001)
	s.a.refused(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{r}))
	s.a.finish(t, id)
}

// Texts that are deep or huge stay texts, and are refused or kept without harm.
func writeJSON(t *testing.T, s *scene) {
	for i, serialized := range []string{
		strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000), `{"text": "` + strings.Repeat("x", 8<<20) + `"}`,
		`{"text": ` + strings.Repeat("9", 100_000) + `}`, `{` + strings.Repeat(`"a": 1, `, 100_000) + `"a": 1}`, `{"text": 1e999999999}`,
	} {
		id := s.a.push(t, 1, noClaim)
		r := s.a.note(id, s.a.own, fmt.Sprint("json", i), random(t), 1)
		r.Serialized = serialized
		s.a.ask(t, "POST", wire.PathBuffers, text(t, []wire.BufferRecord{r}))
		s.a.finish(t, id)
	}
}
