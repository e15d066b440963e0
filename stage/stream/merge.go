package stream

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/store"
)

// atOnce is how many records are compared with the store in one go.
const atOnce = 500

// kinds is a chunk's records by how they stand to the store.
type kinds struct {
	fresh   []record.Record // the store has none of these ids
	applied []bool          // of these, whether the application has them already; nil: none
	newer   []record.Record // they have seen the store's version
	others  []record.Record // neither has seen the other
	stale   int64
	places  []string // partitions that the newer ones had
}

// mergeRecords merges records, of which no two have the same id, into the store.
func mergeRecords(ctx context.Context, tx *db.Tx, session string, records []record.Record, merge Merger, apply Applier) (Report, error) {
	var k kinds
	for part := range slices.Chunk(records, atOnce) {
		if err := k.classify(ctx, tx, part); err != nil {
			return Report{}, fmt.Errorf("compare with the store: %w", err)
		}
	}
	if apply != nil {
		var err error
		if k.applied, err = apply.Apply(ctx, tx, k.fresh, slices.Concat(k.newer, k.others)); err != nil {
			return Report{}, fmt.Errorf("apply new records at once: %w", err)
		}
	}
	if err := k.insert(ctx, tx, session); err != nil {
		return Report{}, fmt.Errorf("write new and newer records: %w", err)
	}
	report := Report{New: int64(len(k.fresh)), FastForwards: int64(len(k.newer)), Stale: k.stale}
	for _, done := range k.applied {
		if done {
			report.Applied++
		}
	}
	if len(k.others) > 0 {
		merged, err := merge(ctx, tx, k.others)
		if err != nil {
			return Report{}, err
		}
		report = report.plus(merged)
	}
	return report, nil
}

// held is the version and the history of a record in the store.
type held struct {
	version counter.Version
	place   string // its partition
	history counter.Counters
}

const versionsOf = `SELECT id, partition, last_saved_instance, last_saved_counter FROM morango_store WHERE `

// classify compares records with the store.
func (k *kinds) classify(ctx context.Context, tx *db.Tx, records []record.Record) error {
	ids := make([]string, len(records))
	for i, r := range records {
		ids[i] = r.ID
	}
	known, err := versions(ctx, tx, ids)
	if err != nil {
		return err
	}
	if len(known) > 0 {
		err := store.Histories(ctx, tx, slices.Collect(maps.Keys(known)), func(id, instance string, n int64) { known[id].history[instance] = n })
		if err != nil {
			return err
		}
	}
	for _, r := range records {
		switch mine, there := known[r.ID]; {
		case !there:
			k.fresh = append(k.fresh, r)
		case seen(mine.history, r.Version):
			k.stale++
		case seen(r.History, mine.version):
			k.newer, k.places = append(k.newer, r), append(k.places, mine.place)
		default:
			k.others = append(k.others, r)
		}
	}
	return nil
}

// seen says whether a history has the version: not, as for a claim, also when it does not
// know the instance and the counter is 0.
func seen(history counter.Counters, v counter.Version) bool {
	n, known := history[v.Instance]
	return known && n >= v.Counter
}

func versions(ctx context.Context, tx *db.Tx, ids []string) (map[string]held, error) {
	rows, err := tx.Query(ctx, versionsOf+tx.AmongIDs("id", 1), db.JSONList(ids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	known := map[string]held{}
	for rows.Next() {
		h := held{history: counter.Counters{}}
		var id, instance db.ID
		if err := rows.Scan(&id, &h.place, &instance, &h.version.Counter); err != nil {
			return nil, err
		}
		h.version.Instance = string(instance)
		known[string(id)] = h
	}
	return known, rows.Err()
}

var storeColumns = []string{
	"id", "profile", "model_name", "partition", "source_id", "serialized", "conflicting_serialized_data", "_self_ref_fk",
	"deleted", "hard_deleted", "last_saved_instance", "last_saved_counter", "dirty_bit", "deserialization_error",
	"last_transfer_session_id",
}

// takeOver puts a newer version in the place of the store's.
const takeOver = `ON CONFLICT (id) DO UPDATE SET profile = excluded.profile, model_name = excluded.model_name,
	partition = excluded.partition, source_id = excluded.source_id, serialized = excluded.serialized,
	conflicting_serialized_data = excluded.conflicting_serialized_data, _self_ref_fk = excluded._self_ref_fk,
	deleted = excluded.deleted, hard_deleted = excluded.hard_deleted, last_saved_instance = excluded.last_saved_instance,
	last_saved_counter = excluded.last_saved_counter, dirty_bit = excluded.dirty_bit,
	deserialization_error = excluded.deserialization_error, last_transfer_session_id = excluded.last_transfer_session_id`

// unite raises a record's history; it never falls.
const unite = `ON CONFLICT (store_model_id, instance_id) DO UPDATE SET counter = excluded.counter
	WHERE excluded.counter > morango_recordmaxcounter.counter`

// insert writes new and newer records with their histories.
func (k *kinds) insert(ctx context.Context, tx *db.Tx, session string) error {
	for _, part := range []struct {
		records     []record.Record
		applied     []bool
		row, unites string
	}{{k.fresh, k.applied, "", ""}, {k.newer, nil, takeOver, unite}} {
		rows, counters := rowsOf(part.records, part.applied, session)
		into := db.Insert{Table: "morango_store", Columns: storeColumns, Conflict: part.row}
		if err := tx.InsertAll(ctx, into, rows); err != nil {
			return err
		}
		history := db.Insert{Table: "morango_recordmaxcounter", Columns: []string{"store_model_id", "instance_id", "counter"},
			Conflict: part.unites, RollsBack: true}
		if err := tx.InsertAll(ctx, history, counters); err != nil {
			return err
		}
		for _, r := range part.records {
			k.places = append(k.places, r.Partition)
		}
	}
	return store.Touch(ctx, tx, k.places)
}

// rowsOf gives records as rows of the store and of the histories. What has arrived is
// dirty until it is deserialized, but for what is applied already.
func rowsOf(records []record.Record, applied []bool, session string) (rows, counters [][]any) {
	rows = make([][]any, 0, len(records))
	for i, r := range records {
		dirty := applied == nil || !applied[i]
		rows = append(rows, []any{
			r.ID, r.Profile, r.Model, r.Partition, r.SourceID, r.Serialized, r.Conflicting, r.SelfRef,
			r.Deleted, r.HardDeleted, r.Version.Instance, r.Version.Counter, dirty, "", session,
		})
		for _, instance := range slices.Sorted(maps.Keys(r.History)) {
			counters = append(counters, []any{r.ID, instance, r.History[instance]})
		}
	}
	return rows, counters
}
