package buffer

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/record"
)

const columns = `model_uuid, profile, model_name, partition, source_id, serialized, conflicting_serialized_data,
	_self_ref_fk, deleted, hard_deleted, last_saved_instance, last_saved_counter`

// pageBytes ends a page: records that peers sent may be of any length.
const pageBytes = 16 << 20

// Page returns up to limit records of the session with ids greater than afterID,
// in id order, with their histories: fewer, but not none, when they are very long. An
// empty afterID starts at the beginning.
func Page(ctx context.Context, tx *db.Tx, transferSessionID, afterID string, limit int) ([]record.Record, error) {
	return pageAfter(ctx, tx, transferSessionID, afterID, limit, pageBytes)
}

func pageAfter(ctx context.Context, tx *db.Tx, transferSessionID, afterID string, limit, bytes int) ([]record.Record, error) {
	query, args := `SELECT `+columns+` FROM morango_buffer WHERE transfer_session_id = $1
		ORDER BY model_uuid LIMIT $2`, []any{transferSessionID, limit}
	if afterID != "" { // an empty text is no id, and PostgreSQL would refuse to compare with it
		query = `SELECT ` + columns + ` FROM morango_buffer WHERE transfer_session_id = $1 AND model_uuid > $3
			ORDER BY model_uuid LIMIT $2`
		args = append(args, afterID)
	}
	return page(ctx, tx, transferSessionID, bytes, query, args...)
}

// PageOffset is Page for a peer that asks by offset. It costs time in proportion to
// the offset; use Page where the key is known.
func PageOffset(ctx context.Context, tx *db.Tx, transferSessionID string, offset, limit int) ([]record.Record, error) {
	return page(ctx, tx, transferSessionID, pageBytes, `SELECT `+columns+` FROM morango_buffer WHERE transfer_session_id = $1
		ORDER BY model_uuid LIMIT $2 OFFSET $3`, transferSessionID, limit, offset)
}

// Some returns those of the records with these ids that the session has, in id order,
// with their histories.
func Some(ctx context.Context, tx *db.Tx, transferSessionID string, ids []string) ([]record.Record, error) {
	// IN for the same reason as in the query for histories.
	return page(ctx, tx, transferSessionID, math.MaxInt, `SELECT `+columns+` FROM morango_buffer
		WHERE transfer_session_id IN ($1, $1) AND model_uuid IN `+tx.IDs(2)+` ORDER BY model_uuid`,
		transferSessionID, db.JSONList(ids))
}

// page reads the records that a query finds, in id order, and merges their histories
// into them, which one more query reads in the same order.
func page(ctx context.Context, tx *db.Tx, session string, bytes int, query string, args ...any) ([]record.Record, error) {
	records, err := scan(ctx, tx, bytes, query, args...)
	if err == nil && len(records) > 0 {
		records, err = addHistories(ctx, tx, session, records, bytes/historyBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("read the buffer of transfer session %s: %w", session, err)
	}
	return records, nil
}

// scan reads records until their texts have so many bytes.
func scan(ctx context.Context, tx *db.Tx, bytes int, query string, args ...any) ([]record.Record, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var records []record.Record
	for bytes > 0 && rows.Next() {
		r, err := scanRecord(rows)
		if err != nil {
			return nil, err
		}
		bytes -= len(r.Serialized) + len(r.Conflicting) + 1
		records = append(records, r)
	}
	return records, rows.Err()
}

func scanRecord(rows *sql.Rows) (record.Record, error) {
	r := record.Record{History: counter.Counters{}}
	var id, instance db.ID
	err := rows.Scan(&id, &r.Profile, &r.Model, &r.Partition, &r.SourceID, &r.Serialized, &r.Conflicting,
		&r.SelfRef, &r.Deleted, &r.HardDeleted, &instance, &r.Version.Counter)
	r.ID, r.Version.Instance = string(id), string(instance)
	return r, err
}

// Driven by the buffer's own index. IN with the session twice instead of "=" makes
// SQLite, which has no statistics, look up Django's single index on the record and
// not that on the session, of which every lookup would read the whole session.
const histories = `SELECT r.model_uuid, r.instance_id, r.counter
	FROM morango_buffer b CROSS JOIN morango_recordmaxcounterbuffer r
	WHERE b.transfer_session_id = $1 AND b.model_uuid >= $2 AND b.model_uuid <= $3
		AND r.model_uuid = b.model_uuid AND r.transfer_session_id IN ($1, $1)
	ORDER BY b.model_uuid`

// historyBytes is about what one entry of a history takes up.
const historyBytes = 64

// addHistories fills in the histories of records that are all the session has
// between the first and the last of them, in id order. When they have more than so many
// entries it returns the first records only, which are complete.
func addHistories(ctx context.Context, tx *db.Tx, session string, records []record.Record, most int) ([]record.Record, error) {
	rows, err := tx.Query(ctx, histories, session, records[0].ID, records[len(records)-1].ID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	at := 0
	for ; rows.Next(); most-- {
		var id, instance db.ID
		var n int64
		if err := rows.Scan(&id, &instance, &n); err != nil {
			return nil, err
		}
		for at < len(records)-1 && records[at].ID < string(id) {
			at++
		}
		if most < 0 && at > 0 {
			return records[:at], nil
		}
		if history := records[at].History; records[at].ID == string(id) {
			history[string(instance)] = max(history[string(instance)], n)
		}
	}
	return records, rows.Err()
}

// Seen returns the highest counters of the given instances that the records in the
// session's buffer have seen. An instance that none has seen is missing.
func Seen(ctx context.Context, tx *db.Tx, transferSessionID string, instances []string) (counter.Counters, error) {
	rows, err := tx.Query(ctx, `SELECT instance_id, MAX(counter) FROM morango_recordmaxcounterbuffer
		WHERE transfer_session_id = $1 AND instance_id IN `+tx.IDs(2)+` GROUP BY instance_id`,
		transferSessionID, db.JSONList(instances))
	if err != nil {
		return nil, fmt.Errorf("read what the buffer of transfer session %s has seen: %w", transferSessionID, err)
	}
	defer rows.Close()
	seen := counter.Counters{}
	for rows.Next() {
		var id db.ID
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			return nil, fmt.Errorf("read what the buffer of transfer session %s has seen: %w", transferSessionID, err)
		}
		seen[string(id)] = n
	}
	return seen, rows.Err()
}
