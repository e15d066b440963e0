package session

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/morango-go/morango/db"
)

// What a database has told others of itself is kept in a row of its own among the
// sync sessions, for no table of the reference has a column for it. The row's id is the
// database id; it is never active, belongs to no profile, and has no transfer session, so
// that neither peers nor the reference take it for a sync.
const toldKind = "disk"

// told is the row's extra_fields.
type told struct {
	Told map[string]int64 `json:"told"`
}

// Told returns, for the instances of a database, the counters up to which others may
// know from this database what was saved as them. An instance without a note is missing;
// nil means that nothing was ever noted.
func Told(ctx context.Context, tx *db.Tx, databaseID string) (map[string]int64, error) {
	var fields string
	err := tx.QueryRow(ctx, `SELECT extra_fields FROM morango_syncsession WHERE id = $1`, databaseID).Scan(&fields)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what database %s has told others: %w", databaseID, err)
	}
	var t told
	if err := json.Unmarshal([]byte(fields), &t); err != nil {
		return nil, fmt.Errorf("what database %s has told others is not JSON: %w", databaseID, err)
	}
	if t.Told == nil {
		t.Told = map[string]int64{}
	}
	return t.Told, nil
}

// SetTold notes counters up to which others are going to know what was saved, before
// they do. A counter never falls; when none rises nothing is written.
func SetTold(ctx context.Context, tx *db.Tx, databaseID string, counters map[string]int64, now time.Time) error {
	before, err := Told(ctx, tx, databaseID)
	if err != nil {
		return err
	}
	all := told{Told: maps.Clone(before)}
	if all.Told == nil {
		all.Told = map[string]int64{}
	}
	for id, n := range counters {
		if have, ok := before[id]; !ok || n > have {
			all.Told[id] = n
		}
	}
	if before != nil && maps.Equal(all.Told, before) {
		return nil
	}
	text, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("note what database %s tells others: %w", databaseID, err)
	}
	if before == nil {
		return CreateSync(ctx, tx, Sync{ID: databaseID, StartTime: now, LastTime: now, ConnectionKind: toldKind, ExtraFields: string(text)})
	}
	_, err = tx.Exec(ctx, `UPDATE morango_syncsession SET extra_fields = $2, last_activity_timestamp = $3 WHERE id = $1`,
		databaseID, string(text), tx.Time(now))
	if err != nil {
		return fmt.Errorf("note what database %s tells others: %w", databaseID, err)
	}
	return nil
}
