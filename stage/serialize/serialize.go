// Package serialize is the stage that takes changed rows out of the
// application's tables into the store and stamps them with a version, together
// with the deletions that the application made.
//
// It belongs to the stages layer. It imports the words and tables layers and
// package stage. On a row's path it is the first step.
//
// The rows are taken in transactions of bounded length, so that the application
// can write in between. Each transaction that stamps something raises the
// instance counter and stamps with that value alone; a row and its history commit
// together, and the dirty bits of exactly the rows that were read are cleared with
// them. Only when everything is stamped does a last transaction claim it.
package serialize

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store"
)

const (
	transactionRows = 5000    // at most, or what can be done in the time of a part
	pageRows        = 512     // a power of two, as are the statements of many rows
	roomAtOnce      = 3 << 19 // bytes of records that wait to be written
	problemsKept    = 100
)

// Report says what a run did. Records is the sum of New, Changed and Deleted.
// Conflicts counts those of Changed for which a peer's version was waiting to be
// deserialized; it was put aside among the conflicting texts.
// LeftOut holds the first rows that could not be serialized and stay dirty;
// LeftOutTotal counts them all.
type Report struct {
	Records, New, Changed, Deleted int64
	Conflicts                      int64
	LeftOut                        []Problem
	LeftOutTotal                   int64
}

// Problem is a row that was left out, and why.
type Problem struct {
	Model, ID, Reason string
}

// Run serializes the dirty rows of the profile that lie in the filter (the zero
// filter means all) and all recorded deletions, then claims them. It works in
// transactions of bounded length and can be run again at any time; with nothing
// to do it writes nothing. tick, when not nil, is called after each transaction
// with the number of records done so far. On an error the report says what the
// transactions before it did.
//
// Whoever gives the profile a new column first has the store rows that carry it
// already deserialized again: here the row's value wins.
func Run(ctx context.Context, env stage.Env, filter partition.Filter, tick func(done int64)) (Report, error) {
	r, err := Begin(ctx, env, filter)
	for more := true; more && err == nil; {
		if more, err = r.Next(ctx); more && tick != nil {
			tick(r.report.Records)
		}
	}
	return r.report, err
}

// Running is a run that goes on piece by piece, as its caller wishes. Make it with Begin. One
// that is left before its end has claimed nothing, and a later run does the rest.
type Running struct{ run }

// Begin begins a run: it looks for what there is to do, without a lock.
func Begin(ctx context.Context, env stage.Env, filter partition.Filter) (*Running, error) {
	r := &Running{run{env: env, filter: filter}}
	if err := r.look(ctx); err != nil {
		return r, fmt.Errorf("serialize: %w", err)
	}
	return r, nil
}

// Idle reports whether a run would find nothing to do.
func Idle(ctx context.Context, tx *db.Tx, env stage.Env, filter partition.Filter) (bool, error) {
	walks, err := app.Walks(ctx, tx, env.Profile, filter)
	if err != nil || slices.ContainsFunc(walks, func(w *app.Walk) bool { return w.Dirty }) {
		return false, err
	}
	if waits, err := deletionsWait(ctx, tx, env.Profile.Name); err != nil || waits {
		return false, err
	}
	return store.OwnClaimed(ctx, tx, filter)
}

// Claim claims what is serialized already, and serializes nothing.
func Claim(ctx context.Context, env stage.Env, filter partition.Filter) error {
	r := &Running{run{env: env, filter: filter, at: position{finished: true}}}
	err := env.DB.Read(ctx, func(tx *db.Tx) (err error) {
		r.claimed, err = store.OwnClaimed(ctx, tx, filter)
		return err
	})
	if err == nil {
		_, err = r.Next(ctx)
	}
	return err
}

// Report says what the run has done so far.
func (r *Running) Report() Report { return r.report }

// Serialized says whether all is serialized, and what Next does is claim it.
func (r *Running) Serialized() bool { return r.at.finished }

// Next does the next transaction's work: that of rows and deletions, as long as there are
// any, and then the claim, after which there is no more.
func (r *Running) Next(ctx context.Context) (more bool, err error) {
	if !r.at.finished {
		if err := r.transaction(ctx); err != nil {
			return true, fmt.Errorf("serialize: %w", err)
		}
		return true, nil
	}
	if r.claimed {
		return false, nil
	}
	err = r.env.DB.Write(ctx, func(tx *db.Tx) error {
		if err := tx.Lock(ctx, r.filter, false); err != nil {
			return err
		}
		return store.ClaimOwn(ctx, tx, r.filter)
	})
	if err != nil {
		return true, fmt.Errorf("serialize: claim what is serialized: %w", err)
	}
	r.claimed = true
	return false, nil
}

// run is one run of the stage: how far it has come, and what it did.
type run struct {
	env     stage.Env
	filter  partition.Filter
	walks   []*app.Walk // over the rows of each model
	shapes  []shape     // of each
	claimed bool        // nothing is to be done, and all is claimed already
	careful bool        // it was guessed once that the store does not know a record, and it did
	pace    float64     // rows a second, commit included; 0 before the first transaction
	at      position
	report  Report
}

// position is where the next transaction goes on: rows of a walk after a place; then,
// when all walks are through, deletions.
type position struct {
	walk     int
	after    app.Place
	fresh    bool // of the page before it the store knew nothing
	finished bool
}

// look finds out, without a lock, whether there is anything to do. Rows that an
// application wrote without source id or partition get what the profile's rules
// say, for until then no filter finds them.
func (r *run) look(ctx context.Context) error {
	var lacking []*model.Model
	dirty, deletions := false, false
	err := r.env.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if r.walks, err = app.Walks(ctx, tx, r.env.Profile, r.filter); err != nil {
			return err
		}
		lacking, dirty = lacking[:0], false
		for _, w := range r.walks {
			if !w.Dirty {
				continue
			}
			dirty = true
			lacks, err := w.LacksIDs(ctx, tx)
			if err != nil {
				return err
			}
			if lacks {
				lacking = append(lacking, w.Model)
			}
		}
		if deletions, err = deletionsWait(ctx, tx, r.env.Profile.Name); err != nil {
			return err
		}
		if !dirty && !deletions {
			r.claimed, err = store.OwnClaimed(ctx, tx, r.filter)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, m := range lacking {
		if err := r.fillIDs(ctx, m); err != nil {
			return fmt.Errorf("source ids and partitions of model %s: %w", m.Name, err)
		}
	}
	if r.at.finished = !dirty && !deletions; r.at.finished {
		return nil
	}
	for _, w := range r.walks {
		s := shapeOf(r.env.Profile, w.Model)
		s.rule = record.RuleOf(w.Model, r.env.Merge[w.Model.Name])
		r.shapes = append(r.shapes, s)
	}
	return nil
}

// fillIDs fills in the source ids and partitions of a model's changed rows.
func (r *run) fillIDs(ctx context.Context, m *model.Model) error {
	return r.env.DB.Write(ctx, func(tx *db.Tx) error {
		var failed error
		random := func() string {
			id, err := r.env.NewID()
			if err != nil {
				failed = err
			}
			return id
		}
		if err := app.FillIDs(ctx, tx, r.env.Profile, m, random); err != nil {
			return err
		}
		return failed
	})
}

// transaction does the next bounded piece of work. Nothing of r changes unless it
// commits, for the database may ask to run it again.
func (r *run) transaction(ctx context.Context) error {
	lock, err := r.lock(ctx)
	if err != nil {
		return err
	}
	p, err := r.try(ctx, lock, false)
	if db.IsConstraint(err) { // the store knows a record that the page did not find
		r.careful = true
		p, err = r.try(ctx, lock, true)
	}
	if err != nil {
		return err
	}
	r.at = p.at
	r.report.add(p.report)
	r.keepPace(p)
	return nil
}

// try does the piece of work in a transaction. careful: also of a record that the store
// does not know something may be there.
func (r *run) try(ctx context.Context, lock partition.Filter, careful bool) (p *pass, err error) {
	err = r.env.DB.WritePart(ctx, r, func(tx *db.Tx) error {
		if err := tx.Lock(ctx, lock, false); err != nil {
			return err
		}
		p = &pass{run: r, tx: tx, at: r.at, began: r.env.Now(), budget: r.budget(tx.PartTime()), careful: careful}
		p.least, p.end = p.budget-pageRows, p.began.Add(tx.PartTime())
		if r.pace == 0 {
			p.end = p.began.Add(tx.PartTime() / 4)
		}
		if err := p.work(ctx); err != nil {
			return err
		}
		return store.Touch(ctx, tx, p.touched)
	})
	return p, err
}

// budget is how many rows a transaction of such a time takes at most.
func (r *run) budget(most time.Duration) int {
	rows := transactionRows
	if r.pace > 0 {
		fit := int(min(r.pace*most.Seconds(), transactionRows))
		rows = min(max(fit/pageRows*pageRows, pageRows), rows)
	}
	if r.env.SerializeRows > 0 {
		rows = min(r.env.SerializeRows, rows)
	}
	return rows
}

// keepPace learns from a transaction how many rows fit into a time: only
// when it has committed it is known how long writing takes. So the first one reads for a
// quarter of its time.
func (r *run) keepPace(p *pass) {
	if done := p.least + pageRows - p.budget; done >= pageRows {
		r.pace = float64(done) / max(r.env.Now().Sub(p.began), 1).Seconds()
	}
}

// lock returns what the next transaction has to lock: the filter, or everything
// when deletions wait, because those are taken whatever their partition.
func (r *run) lock(ctx context.Context) (partition.Filter, error) {
	lock := r.filter
	err := r.env.DB.Read(ctx, func(tx *db.Tx) error {
		pending, err := deletionsWait(ctx, tx, r.env.Profile.Name)
		if pending {
			lock = partition.All()
		}
		return err
	})
	return lock, err
}

// add takes the counts of a committed transaction over.
func (r *Report) add(more Report) {
	r.New += more.New
	r.Changed += more.Changed
	r.Deleted += more.Deleted
	r.Conflicts += more.Conflicts
	r.Records = r.New + r.Changed + r.Deleted
	r.LeftOutTotal += more.LeftOutTotal
	r.LeftOut = append(r.LeftOut, more.LeftOut[:min(len(more.LeftOut), problemsKept-len(r.LeftOut))]...)
}
