package deserialize

import (
	"context"
	"maps"
	"slices"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
)

// Arrivals applies records while they arrive, in the transactions that merge them into the
// store: those of which there is no doubt, for a run of the stage would apply them just so.
// All others stay for the stage. It lives as long as a stream is received, remembers which
// targets are there, and is not for concurrent use. Make it with NewArrivals.
type Arrivals struct {
	run      *run
	decoders map[*model.Model]*record.Decoder
	refusals map[*model.Model]int // of rows: see patience
	singly   map[string]bool      // tables of which some target was not sound: each is asked after
	early    *early               // see Decode; nil: nothing
	stale    bool                 // of the records before none was new

	// Of the transaction under way:
	written []*model.Model // models of which rows were written
	arrived map[slot]bool  // rows that are written, of tables that others refer to
	coming  map[slot]bool  // rows that arrive, of such tables: the database is not asked after them
	mark    string         // of the database as it leaves it
}

// Mostly the application has none of the rows that the store has not, so nobody asks, before
// the database has refused rows of a model. After so many refusals all are left to the stage.
const patience = 2

// NewArrivals prepares for a stream that comes to the environment's database.
func NewArrivals(env stage.Env) *Arrivals {
	a := &Arrivals{run: newRun(env, partition.Filter{}, Options{}, nil), decoders: map[*model.Model]*record.Decoder{},
		refusals: map[*model.Model]int{}, singly: map[string]bool{}, arrived: map[slot]bool{}, coming: map[slot]bool{}}
	for _, m := range env.Profile.Models {
		a.decoders[m] = record.NewDecoder(m)
	}
	return a
}

// Begin begins a transaction, which holds the locks of what arrives and has written nothing
// yet.
func (a *Arrivals) Begin(ctx context.Context, tx *db.Tx) error {
	a.written = a.written[:0]
	return a.run.known.begin(ctx, tx)
}

// End ends the transaction: nothing is written after it.
func (a *Arrivals) End(ctx context.Context, tx *db.Tx) (err error) {
	a.mark, err = tx.Mark(ctx)
	return err
}

// Committed says that the transaction that ended last is committed: what is known of targets
// holds for the next, if nobody else writes before it.
func (a *Arrivals) Committed() { a.run.known.mark = a.mark }

// Refused reports whether a transaction failed because the database refuses what Apply
// wrote, at once or at the commit. It is to be done again without Apply, which is more careful
// with the rows of these models from then on.
func (a *Arrivals) Refused(err error) bool {
	if !isRefusal(err) || len(a.written) == 0 {
		return false
	}
	for _, m := range a.written {
		a.refusals[m]++
	}
	a.written = a.written[:0]
	return true
}

// Apply writes those of the records into the application's tables of which there is no
// doubt, model by model so that targets come first, and says which they are. The store must
// have none of the records, and get them in the same transaction: these as clean, the others
// as dirty. Changed are records that the store has, and gets in the same transaction in
// another version. In between goOn is called, whose errors are returned. On an error the transaction must be rolled back;
// see Refused.
func (a *Arrivals) Apply(ctx context.Context, tx *db.Tx, fresh, changed []*record.Record, goOn func() error) ([]bool, error) {
	clear(a.coming)
	clear(a.arrived)
	for _, r := range changed {
		if s, ok := a.target(r); ok {
			a.run.known.drop(s)
			a.coming[s] = true
		}
	}
	if a.stale = len(fresh) == 0; a.stale {
		return nil, nil
	}
	for _, r := range fresh {
		if s, ok := a.target(r); ok {
			a.coming[s] = true
		}
	}
	applied := make([]bool, len(fresh))
	size := stage.AtOnce(tx, len(fresh))
	for at := 0; at < len(fresh); at += size {
		end := min(at+size, len(fresh))
		if err := goOn(); err != nil {
			return nil, err
		}
		if err := a.some(ctx, tx, fresh[at:end], applied[at:end]); err != nil {
			return nil, err
		}
	}
	for s := range a.arrived {
		a.run.known.add(a.run.known.tables[s.table-1], s.id)
	}
	return applied, nil
}

// some is Apply for some of the fresh records.
func (a *Arrivals) some(ctx context.Context, tx *db.Tx, fresh []*record.Record, applied []bool) error {
	batches, err := a.batches(ctx, tx, fresh)
	if err != nil {
		return err
	}
	targets, err := a.targets(ctx, tx, batches)
	if err != nil {
		return err
	}
	for _, b := range batches {
		rows := a.judge(b, targets, applied)
		if len(rows) == 0 {
			continue
		}
		if err := tx.Capture(ctx, false); err != nil {
			return err
		}
		if !slices.Contains(a.written, b.model) {
			a.written = append(a.written, b.model)
		}
		if err := app.Insert(ctx, tx, b.model, rows); err != nil {
			a.written = append(a.written[:0], b.model) // the others are not at fault
			return err
		}
	}
	for table, found := range targets { // only now, for what is learned can take the place of what was known
		a.run.learn(table, found)
	}
	return nil
}

// batch is the records of one model that a row can be made of.
type batch struct {
	page
	places []int // of each among all records
}

// batches makes rows of the records that are neither deleted nor about to be, by model in
// dependency order, and looks where it has to whether the application has any.
func (a *Arrivals) batches(ctx context.Context, tx *db.Tx, fresh []*record.Record) ([]*batch, error) {
	ids := make([]string, len(fresh))
	for i := range fresh {
		ids[i] = fresh[i].ID
	}
	deleted, err := app.PendingDeletions(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	byModel := map[string]*batch{}
	for _, m := range a.run.env.Profile.Models {
		if a.refusals[m] < patience {
			byModel[m.Name] = &batch{page: page{run: a.run, tx: tx, model: m, decoder: a.decoders[m]}}
		}
	}
	early := a.decoded()
	for i, r := range fresh {
		b := byModel[r.Model]
		if b == nil || r.Deleted || r.HardDeleted || deleted[r.ID] || r.Profile != a.run.env.Profile.Name {
			continue
		}
		c := candidate{row: rowOf(r)}
		if d, ok := early[r.ID]; ok && d.row == c.row {
			c.values, c.broken = d.values, d.err
		} else {
			c.values, c.broken = b.decode(c.row)
		}
		if c.broken == nil && b.inPlace(c.values, r.SelfRef) {
			b.rows, b.places = append(b.rows, c), append(b.places, i)
		}
	}
	var filled []*batch
	for _, m := range a.run.env.Profile.Models {
		b := byModel[m.Name]
		if b == nil || len(b.rows) == 0 {
			continue
		}
		if a.refusals[m] > 0 {
			if err := b.lookAtOwn(ctx); err != nil {
				return nil, err
			}
		}
		filled = append(filled, b)
	}
	return filled, nil
}

// inPlace reports whether a row has in its tree the place that its record says.
func (b *batch) inPlace(values []any, parent string) bool {
	for i := range b.model.Columns {
		c := &b.model.Columns[i]
		if c.References != nil && c.References.Table == b.model.Table {
			id, _ := values[i].(string)
			return id == parent
		}
	}
	return true
}

// slot is a row of a table; false for what is no id, and when the table has no number.
func (a *Arrivals) slot(table, id string) (slot, bool) {
	if !ident.Valid(id) {
		return slot{}, false
	}
	s := slot{keyOf(id), a.run.known.number(table)}
	return s, s.table != 0
}

// target is the row that a record belongs to; false where no other can refer to it.
func (a *Arrivals) target(r *record.Record) (slot, bool) {
	m, ok := a.run.env.Profile.Model(r.Model)
	if !ok || !a.run.wanted[m.Table] {
		return slot{}, false
	}
	return a.slot(m.Table, r.ID)
}

// targets asks the database after the targets of all rows that are neither known nor among
// what has arrived, by table.
func (a *Arrivals) targets(ctx context.Context, tx *db.Tx, batches []*batch) (map[string]targets, error) {
	wanted := map[string]map[string]bool{}
	for _, b := range batches {
		for i := range b.model.Columns {
			c := &b.model.Columns[i]
			if c.References == nil {
				continue
			}
			table := c.References.Table
			for _, w := range b.rows {
				id, ok := w.values[i].(string)
				if s, numbered := a.slot(table, id); !ok || !numbered || a.coming[s] || a.run.known.has(table, s.id) {
					continue
				}
				if wanted[table] == nil {
					wanted[table] = map[string]bool{}
				}
				wanted[table][id] = true
			}
		}
	}
	found := make(map[string]targets, len(wanted))
	for table, ids := range wanted {
		var err error
		if found[table], err = a.lookUp(ctx, tx, table, ids); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// lookUp asks the database after targets of one table: how many are sound, and only where
// not all are what is wrong with which.
func (a *Arrivals) lookUp(ctx context.Context, tx *db.Tx, table string, wanted map[string]bool) (targets, error) {
	if !a.singly[table] {
		n, err := app.AsStored(ctx, tx, table, slices.Collect(maps.Keys(wanted)))
		if err != nil {
			return nil, err
		}
		if n == len(wanted) {
			all := make(targets, n)
			for id := range wanted {
				all[id] = target{stored: true, present: true}
			}
			return all, nil
		}
		a.singly[table] = true
	}
	p := page{run: a.run, tx: tx}
	return p.lookUpTable(ctx, table, wanted)
}

// judge picks the rows of which there is no doubt. Of a tree those come later whose parents
// are among them.
func (a *Arrivals) judge(b *batch, found map[string]targets, applied []bool) (rows []app.Row) {
	tree := b.model.SelfReference() != nil
	rows = make([]app.Row, 0, len(b.rows))
	for more := true; more; {
		more = false
		for i, c := range b.rows {
			place := b.places[i]
			if applied[place] || c.present || c.busy || !a.sound(b.model, c.values, found) {
				continue
			}
			applied[place], more = true, tree
			rows = append(rows, app.Row{ID: c.row.id, Values: c.values})
			if s, ok := a.slot(b.model.Table, c.row.id); ok && a.run.wanted[b.model.Table] {
				a.arrived[s] = true
			}
		}
	}
	return rows
}

// sound reports whether all that a row refers to is here, without fault.
func (a *Arrivals) sound(m *model.Model, values []any, found map[string]targets) bool {
	for i := range m.Columns {
		id, ok := values[i].(string)
		if m.Columns[i].References == nil || !ok {
			continue
		}
		table := m.Columns[i].References.Table
		s, numbered := a.slot(table, id)
		if !numbered || !a.arrived[s] && !a.run.known.has(table, s.id) && !found[table][id].sound() {
			return false
		}
	}
	return true
}
