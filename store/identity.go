package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
)

// LivingInstances returns the instances under the database id in use, with their
// counters: those of which nobody else can know more than this database does, unless it
// is a copy. Instances under earlier database ids are others' as much as ours: the
// database that this one was copied from may go on saving as them.
func LivingInstances(ctx context.Context, tx *db.Tx) (map[string]int64, error) {
	return instances(ctx, tx, `SELECT id, counter FROM morango_instanceidmodel WHERE current
		OR database_id IN (SELECT id FROM morango_databaseidmodel WHERE current)`)
}

// Self is what a database is: its id, "" when it has none yet, and the instances that it has used, with
// their counters; all of them, and those that LivingInstances returns.
type Self struct {
	Database    string
	All, Living map[string]int64
}

const selectSelf = `SELECT d.id, i.id, i.counter, i.current OR i.database_id IN (SELECT id FROM morango_databaseidmodel WHERE current)
	FROM (SELECT (` + selectDatabase + `) AS id) d LEFT JOIN morango_instanceidmodel i ON TRUE`

// ReadSelf reads it in one statement.
func ReadSelf(ctx context.Context, tx *db.Tx) (Self, error) {
	self := Self{All: map[string]int64{}, Living: map[string]int64{}}
	rows, err := tx.Query(ctx, selectSelf)
	if err != nil {
		return self, fmt.Errorf("read own instances: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var instance db.ID
		var n sql.NullInt64
		var living sql.NullBool
		if err := rows.Scan((*db.ID)(&self.Database), &instance, &n, &living); err != nil {
			return self, fmt.Errorf("read own instances: %w", err)
		}
		if instance == "" {
			continue // there is none
		}
		self.All[string(instance)] = n.Int64
		if living.Bool {
			self.Living[string(instance)] = n.Int64
		}
	}
	if err := rows.Err(); err != nil {
		return self, fmt.Errorf("read own instances: %w", err)
	}
	return self, nil
}

// databaseID returns the database id in use, "" when there is none yet.
func databaseID(ctx context.Context, tx *db.Tx) (string, error) {
	var id db.ID
	err := tx.QueryRow(ctx, selectDatabase).Scan(&id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read the database id: %w", err)
	}
	return string(id), nil
}

// Instances returns every instance that this database has used, the current one
// first, then those that saved most.
func Instances(ctx context.Context, tx *db.Tx) ([]Instance, error) {
	rows, err := tx.Query(ctx, `SELECT `+instanceColumns+` FROM morango_instanceidmodel ORDER BY current DESC, counter DESC, id`)
	if err != nil {
		return nil, fmt.Errorf("read own instances: %w", err)
	}
	defer rows.Close()
	var all []Instance
	for rows.Next() {
		var i Instance
		if err := rows.Scan(i.columns()...); err != nil {
			return nil, fmt.Errorf("read own instances: %w", err)
		}
		all = append(all, i)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read own instances: %w", err)
	}
	return all, nil
}

// Ahead returns an instance of own of which the claims know more than own says that
// others can know, and how much they know: the database is a copy then, whose
// original went on. The id is "" when there is none.
func Ahead(claims counter.Counters, own map[string]int64) (instance string, known int64) {
	for _, id := range sortedKeys(own) {
		if n := claims[id]; n > own[id] {
			return id, n
		}
	}
	return "", 0
}

// RenewDatabase gives the database a new database id, newID's, and so the machine a
// new instance id, and returns that instance. Ids that were in use stay as rows.
func RenewDatabase(ctx context.Context, tx *db.Tx, m Machine, newID func() string) (Instance, error) {
	if _, err := tx.Exec(ctx, `UPDATE morango_databaseidmodel SET current = FALSE WHERE current`); err != nil {
		return Instance{}, fmt.Errorf("retire the database id: %w", err)
	}
	return CurrentInstance(ctx, tx, m, newID)
}

const (
	restampStore = `UPDATE morango_store SET last_saved_instance = $1, last_saved_counter = $2
		WHERE last_saved_instance = $3 AND last_saved_counter > $4`
	restampedPlaces = `SELECT DISTINCT partition FROM morango_store WHERE last_saved_instance = $1 AND last_saved_counter = $2`
	restamped       = ` WHERE store_model_id IN (SELECT id FROM morango_store
			WHERE last_saved_instance = $1 AND last_saved_counter = $2)
		AND instance_id = $3 AND counter > $4`
	// Every record that was stamped has a history that says so: the new version goes
	// in for it, whatever else the record has seen.
	restampHistory = `INSERT INTO morango_recordmaxcounter (store_model_id, instance_id, counter)
		SELECT id, last_saved_instance, last_saved_counter FROM morango_store
		WHERE last_saved_instance = $1 AND last_saved_counter = $2
		ON CONFLICT (store_model_id, instance_id) DO UPDATE SET counter = excluded.counter`
)

// Restamp takes back what this database saved as instance from above a counter: those
// rows get a version of to, and nothing here claims or remembers a version of from
// above the counter any more. It is for versions that the original of this database
// has used too, while nobody but this database has these rows under them.
func Restamp(ctx context.Context, tx *db.Tx, from string, above int64, to string) (rows int64, err error) {
	n, err := NextCounter(ctx, tx, to)
	if err != nil {
		return 0, err
	}
	if rows, err = tx.Exec(ctx, restampStore, to, n, from, above); err != nil {
		return 0, fmt.Errorf("stamp the rows of instance %s above %d again: %w", from, above, err)
	}
	if err := touchOf(ctx, tx, restampedPlaces, to, n); err != nil {
		return 0, err
	}
	type step struct {
		query string
		args  []any
	}
	steps := []step{
		{restampHistory, []any{to, n}},
		{`UPDATE morango_recordmaxcounter SET counter = $4` + restamped, []any{to, n, from, above}},
		{`UPDATE morango_databasemaxcounter SET counter = $2 WHERE instance_id = $1 AND counter > $2`, []any{from, above}},
		{`UPDATE morango_instanceidmodel SET counter = $2 WHERE id = $1 AND counter > $2`, []any{from, above}},
	}
	if above == 0 { // a counter of 0 is no version: there is nothing to remember
		steps[1].query = `DELETE FROM morango_recordmaxcounter` + restamped
		steps[2] = step{`DELETE FROM morango_databasemaxcounter WHERE instance_id = $1`, []any{from}}
	}
	for _, s := range steps {
		if _, err := tx.Exec(ctx, s.query, s.args...); err != nil {
			return 0, fmt.Errorf("forget the versions of instance %s above %d: %w", from, above, err)
		}
	}
	return rows, nil
}
