package stream

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store"
)

// compared is how many records are compared with the store in one go.
const compared = 500

// one is a record on its way into the store.
type one struct {
	*record.Record
	is      standing
	place   string // the partition that it had in the store; if it is newer
	applied bool   // the application has it already; if it is fresh
}

// standing is how a record stands to the store.
type standing byte

const (
	stale standing = iota // the store has seen it
	fresh                 // the store has none of its id
	newer                 // it has seen the store's version
	other                 // neither has seen the other
)

// mergeRecords merges records, of which no two have the same id, into the store. They are given in the order in which they
// came: what they refer to comes before them. With allNew the store is not asked after them.
func (m *merging) mergeRecords(ctx context.Context, records []one, allNew bool) (Report, error) {
	ordered := make([]*one, len(records))
	for i := range records {
		ordered[i] = &records[i]
	}
	m.sort(ordered, func(r *one) string { return r.ID })
	if allNew {
		for _, r := range ordered {
			r.is = fresh
		}
	} else if err := m.compare(ctx, ordered); err != nil {
		return Report{}, fmt.Errorf("compare with the store: %w", err)
	}
	if m.Apply != nil {
		if err := m.applyFresh(ctx, records); err != nil {
			return Report{}, fmt.Errorf("apply new records at once: %w", err)
		}
	}
	if err := m.insert(ctx, ordered); err != nil {
		return Report{}, fmt.Errorf("write new and newer records: %w", err)
	}
	var report Report
	var others []record.Record
	for i := range records {
		switch records[i].is {
		case stale:
			report.Stale++
		case fresh:
			report.New++
			if records[i].applied {
				report.Applied++
			}
		case newer:
			report.FastForwards++
		case other:
			others = append(others, *records[i].Record)
		}
	}
	for part := range slices.Chunk(others, stage.AtOnce(m.tx, len(others))) {
		if err := m.disturbed(); err != nil {
			return Report{}, err
		}
		merged, err := m.Merge(ctx, m.tx, part)
		if err != nil {
			return Report{}, err
		}
		report = report.plus(merged)
	}
	return report, nil
}

// sort puts records into the order of models, and of each into that of a key, but trees as they came, on SQLite: whatever goes
// into one page of an index goes there together, and from 100,000 rows on most of these are not in the cache. For the store that
// is the order of ids. The application has an index for each column that refers to something, and what lies in one partition
// refers to the same: that is its order. Others get records in the store's order, and what one refers to comes before it there too.
func (m *merging) sort(records []*one, key func(*one) string) {
	if m.tx.Kind() != db.SQLite {
		return
	}
	turn, tree := make(map[string]int, len(m.Env.Profile.Models)), map[string]bool{}
	for i, of := range m.Env.Profile.Models {
		turn[of.Name], tree[of.Name] = i, of.SelfReference() != nil
	}
	slices.SortStableFunc(records, func(a, b *one) int {
		if byModel := cmp.Compare(turn[a.Model], turn[b.Model]); byModel != 0 || tree[a.Model] {
			return byModel
		}
		return strings.Compare(key(a), key(b))
	})
}

// applyFresh applies those that are fresh, and notes which it did.
func (m *merging) applyFresh(ctx context.Context, records []one) error {
	var added []*one
	var changed []*record.Record
	for i := range records {
		switch r := &records[i]; r.is {
		case fresh:
			added = append(added, r)
		case newer, other:
			changed = append(changed, r.Record)
		}
	}
	m.sort(added, func(r *one) string { return r.Partition })
	rows := make([]*record.Record, len(added))
	for i, r := range added {
		rows[i] = r.Record
	}
	applied, err := m.Apply.Apply(ctx, m.tx, rows, changed, m.disturbed)
	if err != nil || applied == nil {
		return err
	}
	for i, r := range added {
		r.applied = applied[i]
	}
	return nil
}

// held is the version and the history of a record in the store.
type held struct {
	version counter.Version
	place   string // its partition
	history counter.Counters
}

const versionsOf = `SELECT id, partition, last_saved_instance, last_saved_counter FROM morango_store WHERE `

// compare finds out how records stand to the store.
func (m *merging) compare(ctx context.Context, records []*one) error {
	for part := range slices.Chunk(records, compared) {
		if err := m.disturbed(); err != nil {
			return err
		}
		if err := classify(ctx, m.tx, part); err != nil {
			return err
		}
	}
	return nil
}

func classify(ctx context.Context, tx *db.Tx, records []*one) error {
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
			r.is = fresh
		case seen(mine.history, r.Version):
			r.is = stale
		case seen(r.History, mine.version):
			r.is, r.place = newer, mine.place
		default:
			r.is = other
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

// insert writes new and newer records with their histories. Capture is on meanwhile: what turns it off on SQLite is a foreign
// key that is broken until then, and as long as there is one SQLite looks for the histories of each new record, where there
// are none yet: in a large store on a page that is not in the cache.
func (m *merging) insert(ctx context.Context, ordered []*one) error {
	if m.tx.Kind() == db.SQLite {
		if err := m.tx.Capture(ctx, true); err != nil {
			return err
		}
	}
	var places []string
	for _, way := range []struct {
		is          standing
		row, unites string
	}{{fresh, "", ""}, {newer, takeOver, unite}} {
		into := db.Insert{Table: "morango_store", Columns: storeColumns, Conflict: way.row}
		history := db.Insert{Table: "morango_recordmaxcounter", Columns: []string{"store_model_id", "instance_id", "counter"},
			Conflict: way.unites, RollsBack: true}
		for part := range slices.Chunk(ordered, stage.AtOnce(m.tx, len(ordered))) {
			if err := m.disturbed(); err != nil {
				return err
			}
			rows, counters := rowsOf(part, way.is, m.session)
			if err := m.tx.InsertAll(ctx, into, rows); err != nil {
				return err
			}
			if err := m.tx.InsertAll(ctx, history, counters); err != nil {
				return err
			}
		}
	}
	for _, r := range ordered {
		switch r.is {
		case fresh:
			places = append(places, r.Partition)
		case newer:
			places = append(places, r.Partition, r.place)
		}
	}
	return store.Touch(ctx, m.tx, places)
}

// rowsOf gives those of the records that stand so to the store as rows of it and of the histories. What
// has arrived is dirty until it is deserialized, but for what is applied already.
func rowsOf(records []*one, is standing, session string) (rows, counters [][]any) {
	rows = make([][]any, 0, len(records))
	for _, r := range records {
		if r.is != is {
			continue
		}
		rows = append(rows, []any{
			r.ID, r.Profile, r.Model, r.Partition, r.SourceID, r.Serialized, r.Conflicting, r.SelfRef,
			r.Deleted, r.HardDeleted, r.Version.Instance, r.Version.Counter, !r.applied, "", session,
		})
		for _, instance := range slices.Sorted(maps.Keys(r.History)) {
			counters = append(counters, []any{r.ID, instance, r.History[instance]})
		}
	}
	return rows, counters
}
