package buffer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/record"
)

// ErrDifferentContent says that a record arrived again in the same session with
// other content than is buffered.
var ErrDifferentContent = errors.New("record is already buffered with other content")

// atOnce is how many records Put compares with the buffer in one go.
const atOnce = 500

// Put adds records to the session's buffer. A record that is already there with the
// same content and history counts as repeated; with other content the error is
// ErrDifferentContent, and the caller must let the transaction fail. The records
// must have been checked: see record.Check.
func Put(ctx context.Context, tx *db.Tx, transferSessionID string, records []record.Record) (added, repeated int, err error) {
	for part := range slices.Chunk(records, atOnce) {
		fresh, err := unbuffered(ctx, tx, transferSessionID, part)
		if err == nil {
			err = insert(ctx, tx, transferSessionID, fresh)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("buffer records of transfer session %s: %w", transferSessionID, err)
		}
		added += len(fresh)
		repeated += len(part) - len(fresh)
	}
	return added, repeated, nil
}

func idsOf(records []record.Record) []string {
	ids := make([]string, len(records))
	for i, r := range records {
		ids[i] = r.ID
	}
	return ids
}

// unbuffered returns those of the records that the buffer does not hold yet, each once.
func unbuffered(ctx context.Context, tx *db.Tx, session string, records []record.Record) ([]record.Record, error) {
	known, err := buffered(ctx, tx, session, records)
	if err != nil {
		return nil, err
	}
	var fresh []record.Record
	for _, r := range records {
		have, ok := known[r.ID]
		switch {
		case !ok:
			known[r.ID] = r
			fresh = append(fresh, r)
		case !equal(have, r):
			return nil, fmt.Errorf("record %s: %w", r.ID, ErrDifferentContent)
		}
	}
	return fresh, nil
}

// buffered returns what the buffer holds under the ids of the records.
func buffered(ctx context.Context, tx *db.Tx, session string, records []record.Record) (map[string]record.Record, error) {
	ids := idsOf(records)
	found, err := scan(ctx, tx, math.MaxInt, `SELECT `+columns+` FROM morango_buffer
		WHERE transfer_session_id = $1 AND model_uuid IN `+tx.IDs(2), session, db.JSONList(ids))
	if err != nil {
		return nil, err
	}
	known := make(map[string]record.Record, len(records))
	for _, r := range found {
		known[r.ID] = r
	}
	if len(found) == 0 {
		return known, nil
	}
	return known, addKnownHistories(ctx, tx, session, known)
}

// knownHistories is like histories, for ids that lie apart.
const knownHistories = `SELECT r.model_uuid, r.instance_id, r.counter
	FROM morango_buffer b CROSS JOIN morango_recordmaxcounterbuffer r
	WHERE b.transfer_session_id = $1 AND r.model_uuid = b.model_uuid AND r.transfer_session_id IN ($1, $1)
		AND b.model_uuid IN `

func addKnownHistories(ctx context.Context, tx *db.Tx, session string, known map[string]record.Record) error {
	ids := slices.Sorted(maps.Keys(known))
	rows, err := tx.Query(ctx, knownHistories+tx.IDs(2), session, db.JSONList(ids))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, instance db.ID
		var n int64
		if err := rows.Scan(&id, &instance, &n); err != nil {
			return err
		}
		known[string(id)].History[string(instance)] = n
	}
	return rows.Err()
}

// equal reports whether two records are the same in all that travels.
func equal(a, b record.Record) bool {
	if !maps.Equal(a.History, b.History) {
		return false
	}
	return a.ID == b.ID && a.Profile == b.Profile && a.Model == b.Model && a.Partition == b.Partition &&
		a.SourceID == b.SourceID && a.Serialized == b.Serialized && a.Conflicting == b.Conflicting &&
		a.SelfRef == b.SelfRef && a.Deleted == b.Deleted && a.HardDeleted == b.HardDeleted && a.Version == b.Version
}

func insert(ctx context.Context, tx *db.Tx, session string, records []record.Record) error {
	rows := make([][]any, 0, len(records))
	var counts [][]any
	for _, r := range records {
		rows = append(rows, []any{session, r.ID, r.Profile, r.Model, r.Partition, r.SourceID, r.Serialized,
			r.Conflicting, r.SelfRef, r.Deleted, r.HardDeleted, r.Version.Instance, r.Version.Counter})
		for _, instance := range slices.Sorted(maps.Keys(r.History)) {
			counts = append(counts, []any{session, r.ID, instance, r.History[instance]})
		}
	}
	if err := tx.InsertAll(ctx, intoBuffer, rows); err != nil {
		return fmt.Errorf("insert %d records: %w", len(rows), err)
	}
	if err := tx.InsertAll(ctx, intoHistories, counts); err != nil {
		return fmt.Errorf("insert the histories of %d records: %w", len(rows), err)
	}
	return nil
}

var (
	intoBuffer = db.Insert{Table: "morango_buffer",
		Columns: []string{"transfer_session_id", "model_uuid", "profile", "model_name", "partition", "source_id", "serialized",
			"conflicting_serialized_data", "_self_ref_fk", "deleted", "hard_deleted", "last_saved_instance", "last_saved_counter"}}
	intoHistories = db.Insert{Table: "morango_recordmaxcounterbuffer",
		Columns: []string{"transfer_session_id", "model_uuid", "instance_id", "counter"}}
)
