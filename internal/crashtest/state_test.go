//go:build linux

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/morango-go/morango/db"
)

// state is what a side's database holds.
type state struct {
	side    string
	rows    map[string]string // of the application's tables, the beginning of their texts by id
	dirty   map[string]bool   // rows not yet serialized
	records map[string]stored
	seen    map[string]map[string]int64 // record max counters, by record and instance
	claims  map[string]map[string]int64 // database max counters, by prefix and instance
}

// stored is a row of the store.
type stored struct {
	content
	instance string
	counter  int64
	place    string // partition
	waiting  bool   // not yet in the application's table
}

// look reads a side's database in one snapshot, and refuses what is half written.
func look(ctx context.Context, side, target string) (*state, error) {
	d, err := db.Open(ctx, target, db.Options{MustExist: true})
	if err != nil {
		return nil, err
	}
	s := &state{side: side, rows: map[string]string{}, dirty: map[string]bool{}, records: map[string]stored{}}
	err = d.Read(ctx, func(tx *db.Tx) (err error) {
		if err := errors.Join(s.sound(ctx, tx), s.read(ctx, tx)); err != nil {
			return err
		}
		if s.seen, err = counters(ctx, tx, `SELECT store_model_id, instance_id, counter FROM morango_recordmaxcounter`); err != nil {
			return err
		}
		s.claims, err = counters(ctx, tx, `SELECT partition, instance_id, counter FROM morango_databasemaxcounter`)
		return err
	})
	if err == nil {
		err = s.settled()
	}
	if err != nil {
		err = fmt.Errorf("the database of the %s: %w", side, err)
	}
	return s, errors.Join(err, d.Close())
}

// half are questions whose answer is 0 where nothing is half written.
var half = map[string]string{
	"records whose own version is not in their history": `SELECT count(*) FROM morango_store s WHERE NOT EXISTS (
		SELECT 1 FROM morango_recordmaxcounter r WHERE r.store_model_id = s.id AND r.instance_id = s.last_saved_instance AND r.counter >= s.last_saved_counter)`,
	"histories without a record": `SELECT count(*) FROM morango_recordmaxcounter r WHERE NOT EXISTS (
		SELECT 1 FROM morango_store s WHERE s.id = r.store_model_id)`,
	"versions of ours above our counter": `SELECT count(*) FROM morango_recordmaxcounter r WHERE EXISTS (
		SELECT 1 FROM morango_instanceidmodel i WHERE i.id = r.instance_id AND i.counter < r.counter)`,
	"claims of ours above our counter": `SELECT count(*) FROM morango_databasemaxcounter c WHERE EXISTS (
		SELECT 1 FROM morango_instanceidmodel i WHERE i.id = c.instance_id AND i.counter < c.counter)`,
	"histories in a buffer without a record": `SELECT count(*) FROM morango_recordmaxcounterbuffer r WHERE NOT EXISTS (
		SELECT 1 FROM morango_buffer b WHERE b.transfer_session_id = r.transfer_session_id AND b.model_uuid = r.model_uuid)`,
	"buffered records without a history": `SELECT count(*) FROM morango_buffer b WHERE NOT EXISTS (
		SELECT 1 FROM morango_recordmaxcounterbuffer r WHERE b.transfer_session_id = r.transfer_session_id AND b.model_uuid = r.model_uuid)`,
	"buffered records of no session": `SELECT count(*) FROM morango_buffer b WHERE NOT EXISTS (
		SELECT 1 FROM morango_transfersession t WHERE t.id = b.transfer_session_id)`,
	"transfer sessions of no sync session": `SELECT count(*) FROM morango_transfersession t WHERE NOT EXISTS (
		SELECT 1 FROM morango_syncsession s WHERE s.id = t.sync_session_id)`,
	"current instances but one": `SELECT count(*) - 1 FROM morango_instanceidmodel WHERE current HAVING count(*) > 1`,
	"certificates of no parent": `SELECT count(*) FROM morango_certificate c WHERE c.parent_id IS NOT NULL AND NOT EXISTS (
		SELECT 1 FROM morango_certificate p WHERE p.id = c.parent_id)`,
}

// sound refuses what SQLite finds wrong with the file, and what is half written.
func (s *state) sound(ctx context.Context, tx *db.Tx) error {
	questions := maps.Clone(half)
	if tx.Kind() == db.SQLite {
		questions["faults of the file"] = `SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'`
		questions["broken references"] = `SELECT count(*) FROM pragma_foreign_key_check`
		questions["marks of the engine's writing"] = `SELECT count(*) FROM morango_applying`
	}
	for what, question := range questions {
		rows, err := tx.Query(ctx, question)
		if err != nil {
			return err
		}
		n := 0
		for rows.Next() && err == nil {
			err = rows.Scan(&n)
		}
		if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
			return err
		}
		if n != 0 {
			return fmt.Errorf("%d %s", n, what)
		}
	}
	return nil
}

func (s *state) read(ctx context.Context, tx *db.Tx) error {
	for table := range sources {
		rows, err := tx.Query(ctx, `SELECT id, text, _morango_dirty_bit FROM `+table)
		if err != nil {
			return err
		}
		for rows.Next() && err == nil {
			var id, text string
			var dirty bool
			err = rows.Scan(&id, &text, &dirty)
			s.rows[id], _, _ = strings.Cut(text, filler)
			if dirty {
				s.dirty[id] = true
			}
		}
		if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
			return err
		}
	}
	if err := s.readGone(ctx, tx); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT id, last_saved_instance, last_saved_counter, serialized, conflicting_serialized_data, deleted, hard_deleted, dirty_bit, partition FROM morango_store`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var r stored
		if err := rows.Scan(&id, &r.instance, &r.counter, &r.Serialized, &r.Conflicting, &r.Deleted, &r.Hard, &r.waiting, &r.place); err != nil {
			return err
		}
		s.records[id] = r
	}
	return rows.Err()
}

// counters reads a table of counters.
func counters(ctx context.Context, tx *db.Tx, query string) (map[string]map[string]int64, error) {
	rows, err := tx.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]map[string]int64{}
	for rows.Next() {
		var key, instance string
		var n int64
		if err := rows.Scan(&key, &instance, &n); err != nil {
			return nil, err
		}
		if all[key] == nil {
			all[key] = map[string]int64{}
		}
		all[key][instance] = n
	}
	return all, rows.Err()
}

// honest refuses a claim of a side that covers a version which the other side holds and
// this one never had.
func (s *state) honest(other *state) error {
	for id, r := range other.records {
		for prefix, counters := range s.claims {
			if strings.HasPrefix(r.place, prefix) && counters[r.instance] >= r.counter && s.seen[id][r.instance] < r.counter {
				return fmt.Errorf("the %s claims %d of %s under %q, and has not got record %s: %+v", s.side, counters[r.instance], r.instance, prefix, id, r)
			}
		}
	}
	return nil
}

// readGone notes the rows whose deletion is not yet serialized.
func (s *state) readGone(ctx context.Context, tx *db.Tx) error {
	rows, err := tx.Query(ctx, `SELECT id FROM morango_deletedmodels`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		s.dirty[id] = true
	}
	return rows.Err()
}

// settled refuses rows that are not what the store says, where neither side of the two
// waits for the other.
func (s *state) settled() error {
	ids := map[string]bool{}
	for id := range s.rows {
		ids[id] = true
	}
	for id := range s.records {
		ids[id] = true
	}
	for id := range ids {
		text, there := s.rows[id]
		r, known := s.records[id]
		switch {
		case s.dirty[id] || r.waiting:
		case there != (known && !r.Deleted):
			return fmt.Errorf("record %s: in the table %v, and in the store %+v", id, there, r)
		case there && !strings.Contains(r.Serialized, `"`+text+filler+`"`):
			return fmt.Errorf("record %s: %q in the table, and in the store %+v", id, text, r)
		}
	}
	return nil
}

// same refuses two sides that are not equal and at rest.
func same(a, b *state) error {
	for _, s := range []*state{a, b} {
		for id, r := range s.records {
			if r.waiting || s.dirty[id] {
				return fmt.Errorf("the %s has not settled record %s: %+v", s.side, id, r)
			}
		}
		for id := range s.dirty {
			return fmt.Errorf("the %s has not saved record %s", s.side, id)
		}
	}
	for id := range maps.Keys(a.records) {
		if a.records[id] != b.records[id] {
			return fmt.Errorf("record %s: the %s has\n\t%+v\nthe %s\n\t%+v", id, a.side, a.records[id], b.side, b.records[id])
		}
	}
	if len(a.records) != len(b.records) || !maps.Equal(a.rows, b.rows) {
		return fmt.Errorf("%d and %d records, %d and %d rows", len(a.records), len(b.records), len(a.rows), len(b.rows))
	}
	return nil
}
