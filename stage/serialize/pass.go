package serialize

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	run     *run
	tx      *db.Tx
	at      position
	budget  int // rows that may still be read
	least   int // of it when the first page of rows is done
	end     time.Time
	careful bool // do not rely on what the store was found not to have
	report  Report
	touched []string // partitions in which records were written

	instance string // who stamps; "" until something is to be stamped
	counter  int64
}

// work takes pages of changed rows, model by model in dependency order, then of
// deletions, until nothing is left, the budget is spent or the time is over.
func (p *pass) work(ctx context.Context) error {
	for p.at.walk < len(p.run.walks) {
		if p.spent() {
			return nil
		}
		walk, limit := p.run.walks[p.at.walk], min(p.budget, pageRows)
		rows, last, err := walk.Page(ctx, p.tx, p.at.after, limit)
		if err != nil {
			return err
		}
		p.budget -= len(rows)
		if err := p.rows(ctx, rows, last); err != nil {
			return err
		}
		if len(rows) == limit {
			p.at.after = last
		} else {
			p.at.walk, p.at.after = p.at.walk+1, app.Place{}
		}
	}
	var err error
	p.at.finished, err = p.deletions(ctx)
	return err
}

// spent reports whether the rest is for another transaction. A page of rows is for each,
// however long it had to wait for its locks: so few rows share one counter on any machine.
func (p *pass) spent() bool {
	return p.budget <= 0 || p.budget <= p.least && !p.run.env.Now().Before(p.end)
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
	dirty                            bool   // is to be deserialized
	again                            bool   // the store knows the record,
	was                              string // in this partition
}

// rows serializes the page of rows from the position up to a place, and clears their
// dirty bits.
func (p *pass) rows(ctx context.Context, rows []app.Row, last app.Place) error {
	walk, shape := p.run.walks[p.at.walk], p.run.shapes[p.at.walk]
	m := walk.Model
	good := rows[:0]
	ids := make([]string, 0, len(rows))
	for _, row := range rows {
		if fault := shape.fault(row); fault != nil {
			p.leaveOut(m, row, fault)
			continue
		}
		good, ids = append(good, row), append(ids, row.ID)
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
		p.count(old, again)
	}
	if err := p.write(ctx, m, entries); err != nil {
		return err
	}
	return walk.Clear(ctx, p.tx, p.at.after, last, ids, len(ids) == len(rows))
}

// count adds a row to the report.
func (p *pass) count(old known, again bool) {
	switch {
	case !again:
		p.report.New++
	case old.dirty:
		p.report.Conflicts++
		fallthrough
	default:
		p.report.Changed++
	}
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
	travels             []int  // places of the serialized columns
	room                []byte // for a text
	sourceID, partition int
	selfRef             int // place of the self-reference, -1 when there is none
}

// shapeOf finds the places. A foreign key into the model's own table makes a tree
// too when several models share the table.
func shapeOf(profile *model.Profile, m *model.Model) shape {
	s := shape{profile: profile.Name, model: m, selfRef: -1, room: make([]byte, 0, 64*len(m.Columns))}
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
	values := row.Values
	if len(s.travels) < len(values) {
		values = make([]any, len(s.travels))
		for i, place := range s.travels {
			values[i] = row.Values[place]
		}
	}
	e := entry{id: row.ID, conflicting: old.Conflicting, again: again, was: old.place}
	e.sourceID, _ = row.Values[s.sourceID].(string)
	e.partition, _ = row.Values[s.partition].(string)
	if s.selfRef >= 0 {
		e.selfRef, _ = row.Values[s.selfRef].(string)
	}
	if !again {
		text, err := record.EncodeIn(s.room, s.model, values)
		e.serialized = string(text)
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
	var err error
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
	stored := map[string]known{} // of fresh rows it stays empty
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
	raise = `ON CONFLICT (store_model_id, instance_id) DO UPDATE SET counter = excluded.counter`
)

// write stamps records of a model with this transaction's version, in the order of their
// ids, which is that of most indexes.
func (p *pass) write(ctx context.Context, m *model.Model, entries []entry) error {
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.id, b.id) })
	var fresh, freshHistory, again, history [][]any
	for _, e := range entries {
		row := []any{e.id, e.partition, e.sourceID, e.serialized, e.selfRef, e.conflicting, e.dirty}
		if e.again {
			again, history, p.touched = append(again, row), append(history, row[:1]), append(p.touched, e.was)
		} else {
			fresh, freshHistory, p.touched = append(fresh, row[:5]), append(freshHistory, row[:1]), append(p.touched, e.partition)
		}
	}
	profile, version := p.run.env.Profile.Name, counter.Version{Instance: p.instance, Counter: p.counter}
	into, counters := intoEmpty(profile, m.Name, version), intoHistory(version)
	if p.careful {
		into.Conflict, counters.Conflict = overwrite, raise
	}
	if err := p.insert(ctx, into, fresh, counters, freshHistory); err != nil {
		return err
	}
	into, counters.Conflict = intoStore(profile, m.Name, version), raise
	into.Conflict = overwrite
	return p.insert(ctx, into, again, counters, history)
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
