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
	run     *run
	tx      *db.Tx
	at      position
	began   time.Time
	end     time.Time // of reading; writing what was read follows
	budget  int       // rows that may still be read
	least   int       // of it when the first page of rows is done
	careful bool      // do not rely on what the store was found not to have, or guessed not to have
	report  Report
	waiting batch
	touched []string // partitions in which records were written

	instance string // who stamps; "" until something is to be stamped
	counter  int64
}

// work takes pages of changed rows, model by model in dependency order, then of
// deletions, until nothing is left, the budget is spent or the time is over.
func (p *pass) work(ctx context.Context) error {
	for p.at.walk < len(p.run.walks) {
		if p.spent() {
			return p.write(ctx)
		}
		walk, limit := p.run.walks[p.at.walk], min(p.budget, pageRows)
		rows, last, err := walk.Page(ctx, p.tx, p.at.after, limit)
		if err != nil {
			return err
		}
		p.budget -= len(rows)
		if p.waiting.last == (app.Place{}) {
			p.waiting.after, p.waiting.whole = p.at.after, true
		}
		if err := p.rows(ctx, rows); err != nil {
			return err
		}
		if len(rows) > 0 {
			p.at.after, p.waiting.last = last, last
		}
		if end := len(rows) < limit; end || p.waiting.room >= roomAtOnce {
			if err := p.write(ctx); err != nil {
				return err
			}
			if end {
				p.at = position{walk: p.at.walk + 1}
			}
		}
	}
	var err error
	p.at.finished, err = p.deletions(ctx)
	return err
}

// spent reports whether the rest is for another transaction. A page of rows is for each,
// whatever it takes: so few rows share one counter on any machine.
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

// rows puts together the records of a page of rows.
func (p *pass) rows(ctx context.Context, rows []app.Row) error {
	m, shape := p.run.walks[p.at.walk].Model, p.run.shapes[p.at.walk]
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
	stored, err := p.known(ctx, ids)
	if err != nil {
		return err
	}
	if err := p.version(ctx); err != nil {
		return err
	}
	shape.version = counter.Version{Instance: p.instance, Counter: p.counter}
	for _, row := range good {
		old, again := stored[row.ID]
		e, err := shape.settled(row, old, again)
		if err != nil {
			p.leaveOut(m, row, err)
			continue
		}
		p.waiting.add(e)
		p.count(old, again)
	}
	return nil
}

// known reads what the store holds of these records. Behind a page of which it held nothing
// it is not asked: new rows come in great numbers. When that is wrong the records are
// refused, and the transaction is done again with care.
func (p *pass) known(ctx context.Context, ids []string) (map[string]known, error) {
	if p.at.fresh && !p.careful {
		return nil, nil
	}
	stored, err := knownRows(ctx, p.tx, ids)
	p.at.fresh = len(stored) == 0 && !p.run.careful
	return stored, err
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
	p.waiting.whole = false
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
	values              []any  // room for what stands there
	room                []byte // for a text
	sourceID, partition int
	selfRef             int // place of the self-reference, -1 when there is none
}

// shapeOf finds the places. A foreign key into the model's own table makes a tree
// too when several models share the table.
func shapeOf(profile *model.Profile, m *model.Model) shape {
	s := shape{profile: profile.Name, model: m, selfRef: -1, room: make([]byte, 0, 64*len(m.Columns))}
	s.values = make([]any, len(m.Columns))
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
		values = s.values[:len(s.travels)]
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
	last_saved_instance, last_saved_counter, dirty_bit FROM morango_store WHERE `

// knownRows reads what the store holds of these records.
func knownRows(ctx context.Context, tx *db.Tx, ids []string) (map[string]known, error) {
	rows, err := tx.Query(ctx, readStore+tx.AmongIDs("id", 1), db.JSONList(ids))
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
