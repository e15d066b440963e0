package serialize

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
)

// batch is records of one model that are put together and not yet written, and the rows
// that they were made of. A transaction writes them together, in the order of their ids,
// which is that of most indexes: so it changes each page of these once, and not once for
// each page of rows.
type batch struct {
	entries     []entry
	room        int       // bytes that they take
	after, last app.Place // between which the rows lie; a zero last when there are none
	whole       bool      // none of the rows there is left out
}

// roomOfEntry is what a record takes beside its text, about.
const roomOfEntry = 400

func (w *batch) add(e entry) {
	w.entries = append(w.entries, e)
	w.room += roomOfEntry + len(e.serialized) + len(e.conflicting)
}

// intoStore is how records are written that the store knows.
func intoStore(profile, model string, v counter.Version) db.Insert {
	return db.Insert{
		Table: "morango_store", RollsBack: true,
		Columns: []string{"id", "partition", "source_id", "serialized", "_self_ref_fk", "conflicting_serialized_data", "dirty_bit"},
		Same: []db.Same{
			{Column: "profile", Value: profile}, {Column: "model_name", Value: model},
			{Column: "last_saved_instance", Value: v.Instance}, {Column: "last_saved_counter", Value: v.Counter},
			{Column: "deleted", Value: false}, {Column: "hard_deleted", Value: false},
			{Column: "deserialization_error", Value: ""}, {Column: "last_transfer_session_id", Value: nil},
		},
	}
}

// intoEmpty is how records are written that the store does not know: nothing conflicts and
// nothing is to be deserialized.
func intoEmpty(profile, model string, v counter.Version) db.Insert {
	into := intoStore(profile, model, v)
	into.Columns = into.Columns[:5]
	into.Same = append(into.Same, db.Same{Column: "conflicting_serialized_data", Value: ""}, db.Same{Column: "dirty_bit", Value: false})
	return into
}

// intoHistory is what is written of a record's history.
func intoHistory(v counter.Version) db.Insert {
	return db.Insert{
		Table: "morango_recordmaxcounter", RollsBack: true,
		Columns: []string{"store_model_id"},
		Same:    []db.Same{{Column: "instance_id", Value: v.Instance}, {Column: "counter", Value: v.Counter}},
	}
}

// Of a known record everything that follows from the row is overwritten; what it
// was created with, and the reason why it could not be deserialized, stay.
const (
	overwrite = `ON CONFLICT (id) DO UPDATE SET serialized = excluded.serialized,
		conflicting_serialized_data = excluded.conflicting_serialized_data, _self_ref_fk = excluded._self_ref_fk,
		last_saved_instance = excluded.last_saved_instance, last_saved_counter = excluded.last_saved_counter,
		deleted = FALSE, hard_deleted = FALSE, dirty_bit = excluded.dirty_bit, last_transfer_session_id = NULL,
		deserialization_error = CASE WHEN excluded.dirty_bit THEN '' ELSE morango_store.deserialization_error END`
	overwriteEach = `UPDATE OR FAIL morango_store SET last_saved_instance = ?, last_saved_counter = ?, serialized = ?,
		_self_ref_fk = ?, conflicting_serialized_data = ?, dirty_bit = ?, deleted = FALSE, hard_deleted = FALSE,
		last_transfer_session_id = NULL, deserialization_error = CASE WHEN ? THEN '' ELSE deserialization_error END WHERE id = ?`
	raiseEach = `UPDATE OR FAIL morango_recordmaxcounter SET counter = ? WHERE instance_id = ? AND store_model_id = ?`
	raise     = `ON CONFLICT (store_model_id, instance_id) DO UPDATE SET counter = excluded.counter`
)

// write stamps the records that wait with this transaction's version, and clears the dirty
// bits of their rows. Capture is on while it writes into the store: what turns it off is a
// foreign key that is broken until then, and as long as there is one SQLite looks at each
// new record for what refers to it.
func (p *pass) write(ctx context.Context) error {
	w := p.waiting
	p.waiting = batch{entries: w.entries[:0]}
	if len(w.entries) == 0 {
		return nil
	}
	if err := p.tx.Capture(ctx, true); err != nil {
		return err
	}
	walk := p.run.walks[p.at.walk]
	slices.SortFunc(w.entries, func(a, b entry) int { return strings.Compare(a.id, b.id) })
	var fresh, freshHistory, again, history [][]any
	ids := make([]string, 0, len(w.entries))
	for _, e := range w.entries {
		row := []any{e.id, e.partition, e.sourceID, e.serialized, e.selfRef, e.conflicting, e.dirty}
		if e.again {
			again, history, p.touched = append(again, row), append(history, row[:1]), append(p.touched, e.was)
		} else {
			fresh, freshHistory, p.touched = append(fresh, row[:5]), append(freshHistory, row[:1]), append(p.touched, e.partition)
		}
		ids = append(ids, e.id)
	}
	profile, version := p.run.env.Profile.Name, counter.Version{Instance: p.instance, Counter: p.counter}
	into, counters := intoEmpty(profile, walk.Model.Name, version), intoHistory(version)
	if p.careful {
		into.Conflict, counters.Conflict = overwrite, raise
	}
	if err := p.insert(ctx, into, fresh, counters, freshHistory); err != nil {
		return err
	}
	if p.tx.Kind() == db.SQLite {
		if err := p.rewrite(ctx, again, counters, history); err != nil {
			return err
		}
	} else {
		into, counters.Conflict = intoStore(profile, walk.Model.Name, version), raise
		into.Conflict = overwrite
		if err := p.insert(ctx, into, again, counters, history); err != nil {
			return err
		}
	}
	return walk.Clear(ctx, p.tx, w.after, w.last, ids, w.whole)
}

// insert writes records and their histories.
func (p *pass) insert(ctx context.Context, into db.Insert, rows [][]any, counters db.Insert, histories [][]any) error {
	if err := p.tx.InsertAll(ctx, into, rows); err != nil {
		return fmt.Errorf("write %d records into the store: %w", len(rows), err)
	}
	if err := p.tx.InsertAll(ctx, counters, histories); err != nil {
		return fmt.Errorf("write the record max counters of %d records: %w", len(rows), err)
	}
	return nil
}

// rewrite is insert for records that the store knows, on SQLite.
func (p *pass) rewrite(ctx context.Context, rows [][]any, counters db.Insert, histories [][]any) error {
	for i, r := range rows {
		rows[i] = []any{r[3], r[4], r[5], r[6], r[6], r[0]}
	}
	if _, err := p.tx.Each(ctx, overwriteEach, []any{p.instance, p.counter}, rows); err != nil {
		return fmt.Errorf("write %d records into the store: %w", len(rows), err)
	}
	first, err := p.tx.Each(ctx, raiseEach, []any{p.counter, p.instance}, histories)
	if err == nil {
		counters.Conflict = ""
		err = p.tx.InsertAll(ctx, counters, first)
	}
	if err != nil {
		return fmt.Errorf("write the record max counters of %d records: %w", len(rows), err)
	}
	return nil
}
