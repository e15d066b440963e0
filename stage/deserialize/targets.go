package deserialize

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
)

// target is what is known of a row that others refer to.
type target struct {
	stored               bool // the store has it
	deleted, hardDeleted bool // as the store has it
	dirty, mine          bool // the store row is dirty, and this run's to apply
	present              bool // its application table has it
	edited               bool // and the application has changed it since
}

// targets is what is known of the rows of one table.
type targets map[string]target

// verdictOn says what is missing of a row's targets, and whether one of them is
// deleted. Rows of a tree go by what the application's tables hold, others by what
// the store holds, as in the reference: a tree is applied from its root down, so
// what the application lacks cannot come later in the same run.
func (p *page) verdictOn(w candidate) (missing string, doomed, hard bool) {
	tree := p.model.SelfReference() != nil
	for i, c := range p.model.Columns {
		id, ok := w.values[i].(string)
		if c.References == nil || !ok {
			continue
		}
		t, asked := p.tables[c.References.Table][id]
		if !asked {
			continue // it is known to be here
		}
		dead, hardGone := p.going(id, &t)
		going := t.deleted && t.mine && !t.edited && !p.stuck(id, p.outcome)
		switch {
		case !tree && p.run.settled[keyOf(id)] == refused && !(p.options.Sparing && t.present):
			missing = p.waitsFor(id, inColumn(c))
		case tree && t.present && !going:
		case t.deleted && !(t.dirty && t.edited):
			doomed, hard = true, hard || t.hardDeleted
		case dead: // by this run: the store does not know yet
			doomed, hard = true, hard || hardGone
		case !t.present, !tree && !t.stored:
			missing = missingText(id, inColumn(c))
		}
	}
	return missing, doomed, hard
}

// going reports whether this run has recorded a row as deleted, which the store does
// not know before the next serialize, and whether hard. Only a sparing run lets that
// pass on to what hangs on the row; else it is the next run's, as in the reference.
func (p *page) going(id string, t *target) (dead, hard bool) {
	hard, dead = p.outcome.doomed[id]
	t.present = t.present && !dead
	if !p.options.Sparing || dead || t.present {
		return dead && p.options.Sparing, hard
	}
	hard, dead = p.run.dead[keyOf(id)]
	return dead, hard
}

// storedTargets takes the ids, and the run's scope.
const storedTargets = "SELECT id, deleted, hard_deleted, dirty_bit, dirty_bit AND %s FROM morango_store WHERE %s"

// lookUp asks after all targets of the page at once, by table.
func (p *page) lookUp(ctx context.Context) error {
	wanted := map[string]map[string]bool{}
	for i, c := range p.model.Columns {
		if c.References == nil {
			continue
		}
		table := c.References.Table
		if wanted[table] == nil {
			wanted[table] = map[string]bool{}
		}
		for _, w := range p.rows {
			if w.values == nil {
				continue
			}
			if id, ok := w.values[i].(string); ok && !p.known.has(table, keyOf(id)) {
				wanted[table][id] = true
			}
		}
	}
	p.tables = make(map[string]targets, len(wanted))
	for table, ids := range wanted {
		if len(ids) == 0 {
			continue
		}
		found, err := p.lookUpTable(ctx, table, ids)
		if err != nil {
			return err
		}
		p.tables[table] = found
		p.learn(table, found)
	}
	return nil
}

func (p *page) lookUpTable(ctx context.Context, table string, wanted map[string]bool) (targets, error) {
	ids := make([]string, 0, len(wanted))
	for id := range wanted {
		ids = append(ids, id)
	}
	p.asked += len(ids)
	scope, args := p.scope(p.tx, 2)
	rows, err := p.tx.Query(ctx, fmt.Sprintf(storedTargets, scope, p.tx.AmongIDs("id", 1)), append([]any{db.JSONList(ids)}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("look up targets in the store: %w", err)
	}
	known := make(targets, len(ids))
	for _, id := range ids {
		known[id] = target{}
	}
	_, err = scan(rows, func(rows *sql.Rows) (id string, err error) {
		t := target{stored: true}
		err = rows.Scan((*db.ID)(&id), &t.deleted, &t.hardDeleted, &t.dirty, &t.mine)
		known[id] = t
		return id, err
	})
	if err != nil {
		return nil, fmt.Errorf("look up targets in the store: %w", err)
	}
	edited, err := app.Targets(ctx, p.tx, table, ids)
	if err != nil {
		return nil, err
	}
	for id, changed := range edited {
		t := known[id]
		t.present, t.edited = true, changed
		known[id] = t
	}
	return known, nil
}

// sound says that a target is here, without fault.
func (t target) sound() bool { return t == target{stored: true, present: true} }

// learn remembers those of the targets of a table that are without fault.
func (r *run) learn(table string, found targets) {
	for id, t := range found {
		if t.sound() {
			r.known.add(table, keyOf(id))
		}
	}
}
