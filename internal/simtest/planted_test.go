package simtest

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

var each = flag.Uint64("planted", 0, "how many histories each planted fault goes through, to count those that find it; 0 ends with the first")

// planted are faults that an engine could have, made by triggers in the databases of
// all peers: they do to the rows what such an engine would do. So the engine's own code
// has no trace of them, and each is as small as one wrong line.
var planted = []struct {
	name    string
	seed    uint64 // finds it
	trigger string
}{
	{"claims rise before their rows", 1, `AFTER UPDATE OF client_fsic, server_fsic ON morango_transfersession WHEN ` + receives + ` BEGIN
		INSERT INTO morango_databasemaxcounter (instance_id, partition, counter) SELECT c.key, p.key, c.value
			FROM json_each(CASE WHEN NEW.push THEN NEW.client_fsic ELSE NEW.server_fsic END, '$.sub') p, json_each(p.value) c
			WHERE c.key NOT IN (SELECT id FROM morango_instanceidmodel)
			ON CONFLICT (instance_id, partition) DO UPDATE SET counter = max(counter, excluded.counter)`},
	{"a claim goes one save too far", 1, `AFTER INSERT ON morango_databasemaxcounter WHEN NEW.instance_id NOT IN (SELECT id FROM morango_instanceidmodel) BEGIN
		UPDATE morango_databasemaxcounter SET counter = NEW.counter + 1 WHERE instance_id = NEW.instance_id AND partition = NEW.partition`},
	{"a claim goes to a wider prefix", 1, `AFTER INSERT ON morango_databasemaxcounter WHEN instr(NEW.partition, ':') > 0 BEGIN
		INSERT OR IGNORE INTO morango_databasemaxcounter (instance_id, partition, counter)
			VALUES (NEW.instance_id, substr(NEW.partition, 1, 32), NEW.counter)`},
	{"a claim falls", 7, `AFTER UPDATE OF counter ON morango_databasemaxcounter WHEN NEW.counter % 3 = 0 BEGIN
		UPDATE morango_databasemaxcounter SET counter = OLD.counter - 1 WHERE instance_id = NEW.instance_id AND partition = NEW.partition`},
	{"a sender claims what it saves next", 1, `AFTER UPDATE OF server_fsic ON morango_transfersession WHEN NOT NEW.push AND NOT ` + receives + `
		AND json_type(NEW.server_fsic, '$.sub') IS NOT NULL BEGIN
		UPDATE morango_transfersession SET server_fsic = (SELECT json_object('sub', json_group_object(p.key,
			(SELECT json_group_object(c.key, c.value + 1) FROM json_each(p.value) c)), 'super', json_object())
			FROM json_each(NEW.server_fsic, '$.sub') p) WHERE id = NEW.id`},
	{"a push that runs ahead claims what it saves next", 10, `AFTER UPDATE OF client_fsic ON morango_transfersession WHEN NEW.push AND NOT ` + receives + `
		AND json_type(NEW.client_fsic, '$.sub') IS NOT NULL
		AND EXISTS (SELECT 1 FROM morango_syncsession s, json_each(s.extra_fields, '$.morango_ahead') a WHERE s.id = NEW.sync_session_id AND a.key = NEW.id) BEGIN
		UPDATE morango_transfersession SET client_fsic = (SELECT json_object('sub', json_group_object(p.key,
			(SELECT json_group_object(c.key, c.value + 1) FROM json_each(p.value) c)), 'super', json_object())
			FROM json_each(NEW.client_fsic, '$.sub') p) WHERE id = NEW.id`},
	{"a push that runs ahead passes over what was saved before it", 153, `AFTER UPDATE OF extra_fields ON morango_syncsession
		WHEN EXISTS (SELECT 1 FROM json_each(NEW.extra_fields, '$.morango_ahead') a WHERE a.value ->> 'fixed' AND a.value ->> 'from' > 0) BEGIN
		UPDATE morango_syncsession SET extra_fields = json_set(extra_fields, (SELECT a.fullkey || '.from'
			FROM json_each(NEW.extra_fields, '$.morango_ahead') a WHERE a.value ->> 'fixed'), 0) WHERE id = NEW.id`},
	{"two transactions share a counter", 1, `AFTER UPDATE OF counter ON morango_instanceidmodel WHEN NEW.counter > 1 AND NOT EXISTS (
		SELECT 1 FROM sim_planted WHERE x = NEW.id || NEW.counter) BEGIN
		INSERT INTO sim_planted VALUES (NEW.id || NEW.counter);
		UPDATE morango_instanceidmodel SET counter = OLD.counter WHERE id = NEW.id`},
	{"histories are not united in a merge", 8, `BEFORE INSERT ON morango_recordmaxcounter
		WHEN NEW.instance_id NOT IN (SELECT id FROM morango_instanceidmodel) AND EXISTS (SELECT 1 FROM morango_store s
			WHERE s.id = NEW.store_model_id AND s.dirty_bit AND s.last_saved_instance IN (SELECT id FROM morango_instanceidmodel)) BEGIN
		SELECT RAISE(IGNORE)`},
	{"a history does not rise", 9, `AFTER UPDATE OF counter ON morango_recordmaxcounter
		WHEN NEW.instance_id NOT IN (SELECT id FROM morango_instanceidmodel) BEGIN
		UPDATE morango_recordmaxcounter SET counter = OLD.counter WHERE store_model_id = NEW.store_model_id AND instance_id = NEW.instance_id`},
	{"a merge makes no new version", 8, ofMerge + ` BEGIN
		UPDATE morango_store SET last_saved_instance = OLD.last_saved_instance, last_saved_counter = OLD.last_saved_counter WHERE id = NEW.id`},
	{"a merge forgets a deletion", 26, ofMerge + ` AND NEW.deleted AND NOT OLD.deleted BEGIN
		UPDATE morango_store SET deleted = FALSE WHERE id = NEW.id`},
	{"a merge drops the other text", 8, ofMerge + ` BEGIN
		UPDATE morango_store SET conflicting_serialized_data = OLD.conflicting_serialized_data WHERE id = NEW.id`},
	{"a hard deletion keeps the text", 17, `AFTER UPDATE ON morango_store WHEN NEW.hard_deleted AND NEW.serialized = '{}' AND OLD.serialized <> '{}' BEGIN
		UPDATE morango_store SET serialized = OLD.serialized WHERE id = NEW.id`},
	{"a row that comes back after a hard deletion brings old text", 100, `AFTER UPDATE ON morango_store WHEN OLD.hard_deleted AND NOT NEW.hard_deleted BEGIN
		UPDATE morango_store SET conflicting_serialized_data = '{"text": "refilled"}' WHERE id = NEW.id`},
	{"the deletion of a received row is forgotten", 16, `AFTER INSERT ON morango_deletedmodels WHEN EXISTS (SELECT 1 FROM morango_store
		WHERE id = NEW.id AND last_saved_instance NOT IN (SELECT id FROM morango_instanceidmodel)) BEGIN
		DELETE FROM morango_deletedmodels WHERE id = NEW.id`},
	{"only what the sender claims is sent", 1, `BEFORE INSERT ON morango_buffer WHEN EXISTS (SELECT 1 FROM morango_store s WHERE s.id = NEW.model_uuid
			AND s.last_saved_instance = NEW.last_saved_instance AND s.last_saved_counter = NEW.last_saved_counter)
		AND NOT EXISTS (SELECT 1 FROM morango_databasemaxcounter d WHERE d.instance_id = NEW.last_saved_instance
			AND d.counter >= NEW.last_saved_counter AND substr(NEW.partition, 1, length(d.partition)) = d.partition) BEGIN
		SELECT RAISE(IGNORE)`},
	{"the last row of what is sent is left out", 1, `AFTER UPDATE OF records_total ON morango_transfersession WHEN NEW.records_total > 2 AND NOT ` + receives + ` BEGIN
		DELETE FROM morango_buffer WHERE transfer_session_id = NEW.id
			AND model_uuid = (SELECT max(model_uuid) FROM morango_buffer WHERE transfer_session_id = NEW.id)`},
	{"a chunk counts twice", 3, `AFTER UPDATE OF records_transferred ON morango_transfersession WHEN NEW.records_transferred > OLD.records_transferred BEGIN
		UPDATE morango_transfersession SET records_transferred = min(NEW.records_total, 2 * NEW.records_transferred - OLD.records_transferred)
			WHERE id = NEW.id`},
	{"half of what has arrived is merged", 1, hasCome + ` BEGIN
		DELETE FROM morango_buffer WHERE transfer_session_id = NEW.id AND substr(model_uuid, 32) < '8'`},
	{"older rows are taken over", 1, hasCome + ` BEGIN
		UPDATE morango_recordmaxcounter SET counter = 0 WHERE EXISTS (SELECT 1 FROM morango_buffer b WHERE b.transfer_session_id = NEW.id
			AND b.model_uuid = store_model_id AND b.last_saved_instance = instance_id)`},
	{"what cannot be applied counts as applied", 41, `AFTER UPDATE OF deserialization_error ON morango_store WHEN NEW.deserialization_error <> '' BEGIN
		UPDATE morango_store SET dirty_bit = FALSE WHERE id = NEW.id`},
	{"what has come is not applied", 1, `AFTER INSERT ON morango_store WHEN NEW.last_transfer_session_id IS NOT NULL BEGIN
		UPDATE morango_store SET dirty_bit = FALSE WHERE id = NEW.id`},
	{"an edit is not noticed while rows are applied", 2, `AFTER INSERT ON morango_applying BEGIN
		UPDATE item SET _morango_dirty_bit = FALSE`},
}

// receives is the condition that the peer of a database receives in a transfer.
const receives = `NEW.push = (SELECT is_server FROM morango_syncsession WHERE id = NEW.sync_session_id)`

// hasCome is the beginning of a trigger that comes between the last chunk of a buffer and the merge.
const hasCome = `AFTER UPDATE OF records_transferred ON morango_transfersession
	WHEN NEW.records_transferred = NEW.records_total AND NEW.records_transferred > OLD.records_transferred AND ` + receives

// ofMerge is the beginning of a trigger that follows a merge.
const ofMerge = `AFTER UPDATE OF conflicting_serialized_data ON morango_store WHEN NEW.last_transfer_session_id IS NOT NULL
	AND NEW.conflicting_serialized_data <> OLD.conflicting_serialized_data
	AND NEW.last_saved_instance IN (SELECT id FROM morango_instanceidmodel)`

// triggers makes them.
func triggers(planted []string) []string {
	queries := []string{`CREATE TABLE sim_planted (x)`}
	for i, body := range planted {
		queries = append(queries, fmt.Sprintf(`CREATE TRIGGER sim_planted_%d %s; END`, i, body))
	}
	return queries
}

// TestPlanted holds that the simulator finds each of the planted faults in some of 200
// histories: what it could not find it does not prove.
func TestPlanted(t *testing.T) {
	for _, f := range planted {
		t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, f.trigger)
			if *each > 0 {
				count(t, l, *each)
				return
			}
			const most = 200
			for n := range uint64(most) {
				seed := n
				if n == 0 {
					seed = f.seed
				}
				if _, _, err := newHistory(seed).run(l); err != nil {
					t.Logf("found by seed %d, in history %d: %.200v", seed, n+1, unquoted(err.Error()))
					return
				}
			}
			t.Errorf("%d histories did not find that %s", most, f.name)
		})
	}
}

// count says how many histories find what is planted.
func count(t *testing.T, l *lab, histories uint64) {
	t.Helper()
	var found []uint64
	why := map[string]int{}
	for seed := uint64(1); seed <= histories; seed++ {
		if _, _, err := newHistory(seed).run(l); err != nil {
			found = append(found, seed)
			why[sort(err)]++
		}
	}
	t.Logf("found by %d of %d histories: seeds %v: %v", len(found), histories, found, fmt.Sprint(why))
}
