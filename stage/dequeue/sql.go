package dequeue

// Every statement that writes joins on the record's id alone. CROSS JOIN and
// "IN ($1, $1)" are for SQLite, which plans without statistics: the first keeps the
// tables in the order written, the second makes Django's single index on the
// record cheaper than that on the session, by which every lookup would read the
// whole session. On the lean layout it leads to the composite primary key.

// kind says how a buffered record stands to the store's record of the same id. New
// records have no kind, they are not in the table.
type kind int

const (
	stale       kind = 1 // the store's has seen the buffered version
	fastForward kind = 2 // the buffered has seen the store's version
	conflict    kind = 3 // neither
	joinOurs    kind = 4 // neither, but they differ only in version; the store's is greater
	joinTheirs  kind = 5 // the same; the buffered is greater
	settled     kind = 6 // was a conflict, and is merged by the model's own rule
)

// makeKnown takes the columns' types from the tables, whatever they are there.
const (
	makeKnown = `CREATE TEMPORARY TABLE morango_dequeue_known AS
		SELECT model_uuid, last_saved_counter AS kind FROM morango_buffer WHERE FALSE`
	indexKnown = `CREATE UNIQUE INDEX morango_dequeue_known_record ON morango_dequeue_known (model_uuid)`
	pageEnd    = `SELECT model_uuid FROM morango_buffer WHERE transfer_session_id = $1 AND model_uuid >= $2
		ORDER BY model_uuid LIMIT 1 OFFSET $3`
)

// classify looks at each record that the store has too, once. Whoever is hard-deleted
// but still has text left is merged, not joined: the merge clears it.
const classify = `INSERT INTO morango_dequeue_known (model_uuid, kind)
	SELECT b.model_uuid, CASE
		WHEN EXISTS (SELECT 1 FROM morango_recordmaxcounter r WHERE r.store_model_id = b.model_uuid
			AND r.instance_id = b.last_saved_instance AND r.counter >= b.last_saved_counter) THEN 1
		WHEN EXISTS (SELECT 1 FROM morango_recordmaxcounterbuffer h WHERE h.model_uuid = b.model_uuid
			AND h.transfer_session_id IN ($1, $1)
			AND h.instance_id = s.last_saved_instance AND h.counter >= s.last_saved_counter) THEN 2
		WHEN s.serialized <> b.serialized OR s.conflicting_serialized_data <> b.conflicting_serialized_data
			OR s.deleted <> b.deleted OR s.hard_deleted <> b.hard_deleted OR s._self_ref_fk <> b._self_ref_fk
			OR s.profile <> b.profile OR s.model_name <> b.model_name OR s.partition <> b.partition
			OR s.source_id <> b.source_id
			OR s.hard_deleted AND NOT (s.serialized = '{}' AND s.conflicting_serialized_data = '') THEN 3
		WHEN b.last_saved_counter > s.last_saved_counter OR b.last_saved_counter = s.last_saved_counter
			AND b.last_saved_instance > s.last_saved_instance THEN 5
		ELSE 4 END
	FROM morango_buffer b CROSS JOIN morango_store s
	WHERE b.transfer_session_id = $1 AND (PAGE) AND s.id = b.model_uuid`

// The partitions of the page's records, where they are known and where they arrive.
const (
	placesKnown = `SELECT DISTINCT s.partition FROM morango_dequeue_known k CROSS JOIN morango_store s
		WHERE k.kind <> 1 AND s.id = k.model_uuid`
	placesBuffered = `SELECT DISTINCT b.partition FROM morango_buffer b
		WHERE b.transfer_session_id = $1 AND (PAGE)`
)

// mergeTexts keeps our text, puts theirs at the head of the conflicting texts, and
// leaves no text at all when either side is hard-deleted.
const mergeTexts = `UPDATE morango_store SET
		(serialized, conflicting_serialized_data, deleted, hard_deleted) = (
			SELECT CASE WHEN morango_store.hard_deleted OR b.hard_deleted THEN '{}' ELSE morango_store.serialized END,
				CASE WHEN morango_store.hard_deleted OR b.hard_deleted THEN ''
					ELSE b.serialized || '
' || morango_store.conflicting_serialized_data END,
				morango_store.deleted OR b.deleted, morango_store.hard_deleted OR b.hard_deleted
			FROM morango_buffer b WHERE b.transfer_session_id = $1 AND b.model_uuid = morango_store.id),
		last_saved_instance = $2, last_saved_counter = $3, dirty_bit = TRUE,
		deserialization_error = '', last_transfer_session_id = $1
	WHERE id IN (SELECT model_uuid FROM morango_dequeue_known WHERE kind = 3)`

const stampHistories = `INSERT INTO morango_recordmaxcounter (store_model_id, instance_id, counter)
	SELECT model_uuid, $1, $2 FROM morango_dequeue_known WHERE kind = 3` + raiseCounter

// ruledConflicts are conflicts of models whose merge rule is not the reference's, with
// the bytes of their texts.
const ruledConflicts = `SELECT k.model_uuid,
		LENGTH(s.serialized) + LENGTH(s.conflicting_serialized_data) + LENGTH(b.serialized) + LENGTH(b.conflicting_serialized_data)
	FROM morango_dequeue_known k CROSS JOIN morango_store s CROSS JOIN morango_buffer b
	WHERE k.kind = 3 AND s.id = k.model_uuid AND s.profile = $2 AND s.model_name IN %s
		AND b.model_uuid = k.model_uuid AND b.transfer_session_id IN ($1, $1)
	ORDER BY k.model_uuid LIMIT $4`

const (
	noteSettled = `UPDATE morango_dequeue_known SET kind = 6 WHERE model_uuid IN `
	readStored  = `SELECT id, profile, model_name, partition, source_id, serialized, conflicting_serialized_data,
		_self_ref_fk, deleted, hard_deleted, last_saved_instance, last_saved_counter, dirty_bit, deserialization_error,
		last_transfer_session_id FROM morango_store WHERE id IN `
)

// joinVersions leaves the row as it is but for its version: nothing is there to be
// deserialized.
const joinVersions = `UPDATE morango_store SET (last_saved_instance, last_saved_counter) = (
		SELECT b.last_saved_instance, b.last_saved_counter
		FROM morango_buffer b WHERE b.transfer_session_id = $1 AND b.model_uuid = morango_store.id)
	WHERE id IN (SELECT model_uuid FROM morango_dequeue_known WHERE kind = 5)`

const takeOver = `INSERT INTO morango_store (id, profile, model_name, partition, source_id, serialized,
		conflicting_serialized_data, _self_ref_fk, deleted, hard_deleted, last_saved_instance,
		last_saved_counter, dirty_bit, deserialization_error, last_transfer_session_id)
	SELECT b.model_uuid, b.profile, b.model_name, b.partition, b.source_id, b.serialized,
		b.conflicting_serialized_data, b._self_ref_fk, b.deleted, b.hard_deleted, b.last_saved_instance,
		b.last_saved_counter, TRUE, '', b.transfer_session_id
	FROM morango_buffer b
	WHERE b.transfer_session_id = $1 AND (PAGE) AND NOT EXISTS (
		SELECT 1 FROM morango_dequeue_known k WHERE k.model_uuid = b.model_uuid AND k.kind <> 2)` + onConflict

// onConflict ends an insert into the store: the new row goes over the one that is there.
const onConflict = `
	ON CONFLICT (id) DO UPDATE SET profile = excluded.profile, model_name = excluded.model_name,
		partition = excluded.partition, source_id = excluded.source_id, serialized = excluded.serialized,
		conflicting_serialized_data = excluded.conflicting_serialized_data, _self_ref_fk = excluded._self_ref_fk,
		deleted = excluded.deleted, hard_deleted = excluded.hard_deleted,
		last_saved_instance = excluded.last_saved_instance, last_saved_counter = excluded.last_saved_counter,
		dirty_bit = excluded.dirty_bit, deserialization_error = excluded.deserialization_error,
		last_transfer_session_id = excluded.last_transfer_session_id`

const uniteHistories = `INSERT INTO morango_recordmaxcounter (store_model_id, instance_id, counter)
	SELECT h.model_uuid, h.instance_id, h.counter
	FROM morango_buffer b CROSS JOIN morango_recordmaxcounterbuffer h
	WHERE b.transfer_session_id = $1 AND (PAGE)
		AND h.model_uuid = b.model_uuid AND h.transfer_session_id IN ($1, $1)
		AND NOT EXISTS (SELECT 1 FROM morango_dequeue_known k WHERE k.model_uuid = b.model_uuid AND k.kind = 1)` + raiseCounter

// raiseCounter ends an insert of record max counters: they never fall.
const raiseCounter = `
	ON CONFLICT (store_model_id, instance_id) DO UPDATE SET counter = excluded.counter
	WHERE excluded.counter > morango_recordmaxcounter.counter`

const countOrphans = `SELECT COUNT(*) FROM morango_recordmaxcounterbuffer h
	WHERE h.transfer_session_id = $1 AND NOT EXISTS (SELECT 1 FROM morango_buffer b
		WHERE b.transfer_session_id = $1 AND b.model_uuid = h.model_uuid)`

const uniteOrphans = `INSERT INTO morango_recordmaxcounter (store_model_id, instance_id, counter)
	SELECT h.model_uuid, h.instance_id, h.counter FROM morango_recordmaxcounterbuffer h
	WHERE h.transfer_session_id = $1
		AND NOT EXISTS (SELECT 1 FROM morango_buffer b
			WHERE b.transfer_session_id = $1 AND b.model_uuid = h.model_uuid)
		AND EXISTS (SELECT 1 FROM morango_store s WHERE s.id = h.model_uuid)` + raiseCounter
