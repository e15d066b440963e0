package serialize

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/store"
)

// pass is the work of one transaction.
type pass struct {
	run    *run
	tx     *db.Tx
	at     position
	budget int // rows that may still be read
	end    time.Time
	report Report

	instance string // who stamps; "" until something is to be stamped
	counter  int64
}

// work takes pages of changed rows, model by model in dependency order, then of
// deletions, until nothing is left, the budget is spent or the time is over.
func (p *pass) work(ctx context.Context) error {
	models := p.run.env.Profile.Models
	for p.at.model < len(models) {
		if p.spent() {
			return nil
		}
		m, limit := models[p.at.model], min(p.budget, pageRows)
		rows, err := app.DirtyPage(ctx, p.tx, m, p.run.filter, p.at.after, limit)
		if err != nil {
			return err
		}
		p.budget -= len(rows)
		if err := p.rows(ctx, m, rows); err != nil {
			return err
		}
		if len(rows) == limit {
			p.at.after = rows[limit-1].ID
		} else {
			p.at.model, p.at.after = p.at.model+1, ""
		}
	}
	var err error
	p.at.finished, err = p.deletions(ctx)
	return err
}

// spent reports whether the rest is for another transaction. A page of rows is for each,
// however long it had to wait for its locks: so few rows share one counter on any machine.
func (p *pass) spent() bool {
	return p.budget <= 0 || p.budget <= transactionRows-pageRows && !p.run.env.Now().Before(p.end)
}

// version makes sure that this transaction has a counter of its own. It is called
// only when something is going to be stamped with it.
func (p *pass) version(ctx context.Context) error {
	if p.instance != "" {
		return nil
	}
	var failed error
	newID := func() string {
		id, err := p.run.env.NewID()
		failed = err
		return id
	}
	instance, err := store.CurrentInstance(ctx, p.tx, p.run.env.Machine, newID)
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	p.instance = instance.ID
	p.counter, err = store.NextCounter(ctx, p.tx, instance.ID)
	return err
}

// known is what the store holds of a record that is serialized again.
type known struct {
	record.Record        // without history
	place         string // its partition
	dirty         bool
}

// entry is a store row to be written.
type entry struct {
	id, partition, sourceID          string
	serialized, conflicting, selfRef string
	dirty                            bool // is to be deserialized
}

// rows serializes one page of a model's rows and clears their dirty bits.
func (p *pass) rows(ctx context.Context, m *model.Model, rows []app.Row) error {
	ids := make([]string, 0, len(rows))
	good := make([]app.Row, 0, len(rows))
	shape := shapeOf(p.run.env.Profile, m)
	shape.rule = record.RuleOf(m, p.run.env.Merge[m.Name])
	for _, row := range rows {
		if fault := shape.fault(row); fault != nil {
			p.leaveOut(m, row, fault)
			continue
		}
		good = append(good, row)
		ids = append(ids, row.ID)
	}
	if len(good) == 0 {
		return nil
	}
	stored, err := knownRows(ctx, p.tx, ids)
	if err != nil {
		return err
	}
	if err := p.version(ctx); err != nil {
		return err
	}
	shape.version = counter.Version{Instance: p.instance, Counter: p.counter}
	entries := make([]entry, 0, len(good))
	ids = ids[:0]
	for _, row := range good {
		old, again := stored[row.ID]
		e, err := shape.settled(row, old, again)
		if err != nil {
			p.leaveOut(m, row, err)
			continue
		}
		entries, ids = append(entries, e), append(ids, row.ID)
		if again {
			p.report.Changed++
			if old.dirty {
				p.report.Conflicts++
			}
		} else {
			p.report.New++
		}
	}
	if err := p.write(ctx, m, entries, stored); err != nil {
		return err
	}
	return app.ClearDirty(ctx, p.tx, m, ids)
}

// leaveOut reports a row that stays as it is.
func (p *pass) leaveOut(m *model.Model, row app.Row, reason error) {
	p.report.LeftOutTotal++
	if len(p.report.LeftOut) < problemsKept {
		p.report.LeftOut = append(p.report.LeftOut, Problem{Model: m.Name, ID: row.ID, Reason: reasonOf(m, row, reason)})
	}
}

// shape knows where in a model's rows stands what, and as what they are saved.
type shape struct {
	profile             string
	model               *model.Model
	rule                record.Rule
	version             counter.Version
	travels             []int // places of the serialized columns
	sourceID, partition int
	selfRef             int // place of the self-reference, -1 when there is none
}

// shapeOf finds the places. A foreign key into the model's own table makes a tree
// too when several models share the table.
func shapeOf(profile *model.Profile, m *model.Model) shape {
	s := shape{profile: profile.Name, model: m, selfRef: -1}
	for i, c := range m.Columns {
		if !c.Local {
			s.travels = append(s.travels, i)
		}
		switch c.Name {
		case model.ColumnSourceID:
			s.sourceID = i
		case model.ColumnPartition:
			s.partition = i
		}
		if c.References == nil {
			continue
		}
		if target, ok := profile.Model(c.References.Model); ok && target.Table == m.Table {
			s.selfRef = i
		}
	}
	return s
}

// fault tells why a row cannot be serialized.
func (s shape) fault(row app.Row) error {
	if row.Fault != nil {
		return row.Fault
	}
	sourceID, _ := row.Values[s.sourceID].(string)
	partition, _ := row.Values[s.partition].(string)
	selfRef := ""
	if s.selfRef >= 0 {
		selfRef, _ = row.Values[s.selfRef].(string)
	}
	return unsendable(s.profile, s.model, row, partition, sourceID, selfRef)
}

// entry makes the store row of an application row. Of a known record it keeps what
// this build does not know. What a peer sent but was not yet deserialized is merged by
// the model's rule; under the reference's it goes to the head of the conflicting texts,
// and so it does under any when it is a deletion, for the row exists again.
func (s shape) entry(row app.Row, old known, again bool) (entry, error) {
	values := make([]any, len(s.travels))
	for i, place := range s.travels {
		values[i] = row.Values[place]
	}
	e := entry{id: row.ID, conflicting: old.Conflicting}
	e.sourceID, _ = row.Values[s.sourceID].(string)
	e.partition, _ = row.Values[s.partition].(string)
	if s.selfRef >= 0 {
		e.selfRef, _ = row.Values[s.selfRef].(string)
	}
	var err error
	if !again {
		e.serialized, err = record.Encode(s.model, values)
		return e, err
	}
	if old.dirty && !old.Deleted && !old.HardDeleted && !s.rule.IsReference() {
		merged, other, err := s.rule.Meet(old.Record, s.model, values, e.selfRef, s.version)
		e.serialized, e.conflicting, e.selfRef, e.dirty = merged.Serialized, merged.Conflicting, merged.SelfRef, other
		return e, err
	}
	if old.dirty {
		e.conflicting = old.Serialized + "\n" + old.Conflicting
	}
	e.serialized, err = s.rule.Update(old.Record, s.model, values, s.version)
	return e, err
}

const readStore = `SELECT id, partition, serialized, conflicting_serialized_data, _self_ref_fk, deleted, hard_deleted,
	last_saved_instance, last_saved_counter, dirty_bit FROM morango_store WHERE id IN `

// knownRows reads what the store holds of these records.
func knownRows(ctx context.Context, tx *db.Tx, ids []string) (map[string]known, error) {
	rows, err := tx.Query(ctx, readStore+tx.IDs(1), db.JSONList(ids))
	if err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	defer rows.Close()
	stored := make(map[string]known, len(ids))
	for rows.Next() {
		var id, instance db.ID
		var k known
		if err := rows.Scan(&id, &k.place, &k.Serialized, &k.Conflicting, &k.SelfRef, &k.Deleted, &k.HardDeleted,
			&instance, &k.Version.Counter, &k.dirty); err != nil {
			return nil, fmt.Errorf("read the store: %w", err)
		}
		k.ID, k.Version.Instance = string(id), string(instance)
		stored[k.ID] = k
	}
	return stored, rows.Err()
}

// Of a known record everything that follows from the row is overwritten; what it
// was created with, and the reason why it could not be deserialized, stay.
var (
	intoStore = db.Insert{
		Table: "morango_store",
		Columns: []string{"id", "profile", "model_name", "partition", "source_id", "serialized",
			"conflicting_serialized_data", "_self_ref_fk", "last_saved_instance", "last_saved_counter",
			"deleted", "hard_deleted", "dirty_bit", "deserialization_error", "last_transfer_session_id"},
		Conflict: `ON CONFLICT (id) DO UPDATE SET serialized = excluded.serialized,
			conflicting_serialized_data = excluded.conflicting_serialized_data, _self_ref_fk = excluded._self_ref_fk,
			last_saved_instance = excluded.last_saved_instance, last_saved_counter = excluded.last_saved_counter,
			deleted = FALSE, hard_deleted = FALSE, dirty_bit = excluded.dirty_bit, last_transfer_session_id = NULL,
			deserialization_error = CASE WHEN excluded.dirty_bit THEN '' ELSE morango_store.deserialization_error END`,
	}
	intoHistory = db.Insert{
		Table:    "morango_recordmaxcounter",
		Columns:  []string{"store_model_id", "instance_id", "counter"},
		Conflict: `ON CONFLICT (store_model_id, instance_id) DO UPDATE SET counter = excluded.counter`,
	}
)

// write stamps records of a model with this transaction's version.
func (p *pass) write(ctx context.Context, m *model.Model, entries []entry, stored map[string]known) error {
	rows, histories := make([][]any, 0, len(entries)), make([][]any, 0, len(entries))
	places := make([]string, 0, len(entries))
	for _, e := range entries {
		if old, again := stored[e.id]; again {
			places = append(places, old.place)
		} else {
			places = append(places, e.partition)
		}
		rows = append(rows, []any{e.id, p.run.env.Profile.Name, m.Name, e.partition, e.sourceID, e.serialized,
			e.conflicting, e.selfRef, p.instance, p.counter, false, false, e.dirty, "", nil})
		histories = append(histories, []any{e.id, p.instance, p.counter})
	}
	if err := p.tx.InsertAll(ctx, intoStore, rows); err != nil {
		return fmt.Errorf("write %d records into the store: %w", len(rows), err)
	}
	if err := p.tx.InsertAll(ctx, intoHistory, histories); err != nil {
		return fmt.Errorf("write the record max counters of %d records: %w", len(rows), err)
	}
	return store.Touch(ctx, p.tx, places)
}
