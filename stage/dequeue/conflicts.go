package dequeue

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store"
)

const (
	// chunkRecords and chunkBytes bound the conflicts whose texts are in memory at once.
	chunkRecords = 200
	chunkBytes   = 8 << 20
)

// Merge merges records that came with a transfer session into those of the store that
// they are in conflict with: of each the store must have the record, and neither has
// seen the other's version. Each is merged by its model's rule. Those whose content is
// new are stamped with one fresh counter value of this transaction, so it is called
// mostly once in a transaction, under the locks of the session's filter. The memory that it
// takes is that of twice the records.
func Merge(ctx context.Context, tx *db.Tx, env stage.Env, session string, theirs []record.Record) (Report, error) {
	m := &merge{tx: tx, env: env, session: session}
	err := m.records(ctx, theirs)
	return m.report, err
}

// byRule merges the page's conflicts of models that have a rule of their own, in Go and
// a bounded number at a time. They are no conflicts any more for what follows.
func (m *merge) byRule(ctx context.Context) error {
	var names []string
	for _, one := range m.env.Profile.Models {
		if !m.rule(one.Name).IsReference() {
			names = append(names, one.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	for {
		ids, err := m.nextConflicts(ctx, names)
		if err != nil {
			return fmt.Errorf("find conflicts of models with rules of their own: %w", err)
		}
		if len(ids) == 0 {
			return nil
		}
		theirs, err := buffer.Some(ctx, m.tx, m.session, ids)
		if err != nil {
			return err
		}
		if err := m.records(ctx, theirs); err != nil {
			return err
		}
		if _, err := m.tx.Exec(ctx, noteSettled+m.tx.IDs(1), db.JSONList(ids)); err != nil {
			return fmt.Errorf("note conflicts that are merged: %w", err)
		}
	}
}

// rule returns the merge rule of a model.
func (m *merge) rule(name string) record.Rule {
	one, _ := m.env.Profile.Model(name)
	return record.RuleOf(one, m.env.Merge[name])
}

// nextConflicts returns the ids of some conflicts of these models, in id order: no more
// than may be in memory at once, but one.
func (m *merge) nextConflicts(ctx context.Context, names []string) (ids []string, err error) {
	rows, err := m.tx.Query(ctx, fmt.Sprintf(ruledConflicts, m.tx.Texts(3)),
		m.session, m.env.Profile.Name, db.JSONList(names), chunkRecords)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for size := int64(0); rows.Next(); {
		var id db.ID
		var bytes int64
		if err := rows.Scan(&id, &bytes); err != nil {
			return nil, err
		}
		if size += bytes; size > chunkBytes && len(ids) > 0 {
			break
		}
		ids = append(ids, string(id))
	}
	return ids, rows.Err()
}

// stored is a record with what else a store row has.
type stored struct {
	record.Record
	dirty  bool
	reason string
	last   any // transfer session that changed it last; nil for none
}

// records merges records into those of the store.
func (m *merge) records(ctx context.Context, theirs []record.Record) error {
	for len(theirs) > 0 {
		n, size := 0, 0
		for ; n < min(len(theirs), chunkRecords) && (n == 0 || size < chunkBytes); n++ {
			size += len(theirs[n].Serialized) + len(theirs[n].Conflicting)
		}
		if err := m.chunk(ctx, theirs[:n]); err != nil {
			return err
		}
		theirs = theirs[n:]
	}
	return nil
}

// chunk merges a bounded number of records.
func (m *merge) chunk(ctx context.Context, theirs []record.Record) error {
	ids := make([]string, len(theirs))
	for i, r := range theirs {
		ids[i] = r.ID
	}
	mine, err := storedRecords(ctx, m.tx, ids)
	if err != nil {
		return fmt.Errorf("read the store's side of conflicts: %w", err)
	}
	var rows, histories [][]any
	var places []string
	for _, r := range theirs {
		old, there := mine[r.ID]
		if !there {
			return fmt.Errorf("merge record %s: the store does not have it", r.ID)
		}
		merged, fresh := m.ruleFor(old.Record, r).Settle(old.Record, r)
		if fresh {
			if err := m.freshVersion(ctx); err != nil {
				return err
			}
			merged.Version = m.stamp
			merged.History[m.stamp.Instance] = m.stamp.Counter
			m.report.Conflicts++
		} else {
			m.report.Joined++
		}
		if fresh || !record.SameContent(merged, old.Record) {
			old = m.changed(old, merged)
		}
		if old.Version != merged.Version {
			rows, places = append(rows, old.row(merged)), append(places, old.Partition, merged.Partition)
		}
		for instance, n := range merged.History {
			if n > old.History[instance] || n == 0 {
				histories = append(histories, []any{r.ID, instance, n})
			}
		}
	}
	if err := m.tx.InsertAll(ctx, intoStore, rows); err != nil {
		return fmt.Errorf("write merged records: %w", err)
	}
	if err := m.tx.InsertAll(ctx, intoHistory, histories); err != nil {
		return fmt.Errorf("unite the histories of merged records: %w", err)
	}
	return store.Touch(ctx, m.tx, places)
}

// ruleFor is the rule of both versions' model.
func (m *merge) ruleFor(mine, theirs record.Record) record.Rule {
	if mine.Model != theirs.Model || mine.Profile != m.env.Profile.Name {
		return record.Rule{}
	}
	return m.rule(mine.Model)
}

// changed notes at a store row that the session changes it to r. It is to be
// deserialized when that could change the application's row.
func (m *merge) changed(old stored, r record.Record) stored {
	if m.ruleFor(old.Record, r).IsReference() || r.Serialized != old.Serialized ||
		r.Deleted != old.Deleted || r.HardDeleted != old.HardDeleted {
		old.dirty, old.reason = true, ""
	}
	old.last = m.session
	return old
}

// row is the store row of a merged record.
func (s stored) row(r record.Record) []any {
	return []any{r.ID, r.Profile, r.Model, r.Partition, r.SourceID, r.Serialized, r.Conflicting, r.SelfRef,
		r.Deleted, r.HardDeleted, r.Version.Instance, r.Version.Counter, s.dirty, s.reason, s.last}
}

var (
	intoStore = db.Insert{
		Table: "morango_store",
		Columns: []string{"id", "profile", "model_name", "partition", "source_id", "serialized",
			"conflicting_serialized_data", "_self_ref_fk", "deleted", "hard_deleted", "last_saved_instance",
			"last_saved_counter", "dirty_bit", "deserialization_error", "last_transfer_session_id"},
		Conflict: onConflict,
	}
	intoHistory = db.Insert{
		Table:    "morango_recordmaxcounter",
		Columns:  []string{"store_model_id", "instance_id", "counter"},
		Conflict: raiseCounter,
	}
)

// storedRecords reads records of the store, with their histories.
func storedRecords(ctx context.Context, tx *db.Tx, ids []string) (map[string]stored, error) {
	rows, err := tx.Query(ctx, readStored+tx.IDs(1), db.JSONList(ids))
	if err != nil {
		return nil, err
	}
	found, err := scanStored(rows)
	if err != nil {
		return nil, err
	}
	return found, store.Histories(ctx, tx, ids, func(id, instance string, n int64) {
		if r, there := found[id]; there {
			r.History[instance] = n
		}
	})
}

func scanStored(rows *sql.Rows) (map[string]stored, error) {
	defer rows.Close()
	found := map[string]stored{}
	for rows.Next() {
		s := stored{Record: record.Record{History: counter.Counters{}}}
		var id, instance, last db.ID
		if err := rows.Scan(&id, &s.Profile, &s.Model, &s.Partition, &s.SourceID, &s.Serialized, &s.Conflicting,
			&s.SelfRef, &s.Deleted, &s.HardDeleted, &instance, &s.Version.Counter, &s.dirty, &s.reason, &last); err != nil {
			return nil, err
		}
		s.ID, s.Version.Instance = string(id), string(instance)
		if last != "" {
			s.last = string(last)
		}
		found[s.ID] = s
	}
	return found, rows.Err()
}

// freshVersion makes the version of this run's merges, once. The counter rises only
// for a merge, and in the transaction that stamps.
func (m *merge) freshVersion(ctx context.Context) error {
	if m.stamp.Counter > 0 {
		return nil
	}
	spare, err := m.env.NewID()
	if err != nil {
		return err
	}
	instance, err := store.CurrentInstance(ctx, m.tx, m.env.Machine, func() string { return spare })
	if err != nil {
		return err
	}
	m.stamp.Instance = instance.ID
	m.stamp.Counter, err = store.NextCounter(ctx, m.tx, instance.ID)
	return err
}
