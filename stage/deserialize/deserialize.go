// Package deserialize is the stage that brings dirty store rows into the
// application's tables: rows that arrived are written, deleted ones removed, and
// what cannot be applied yet waits in the store with its reason.
//
// Rows are written parents before children and removed children before parents,
// in transactions of bounded length between which everything is consistent, so
// that a run that was interrupted is simply run again. Lists of ids are read on a
// snapshot; each transaction reads its rows again and leaves out those that
// somebody else has applied meanwhile.
//
// Arrivals does the same for rows while they arrive by a stream, in the transactions
// that merge them into the store, as far as there is no doubt.
//
// It belongs to the stages layer. It imports the words and tables layers and
// stage. On a row's path it is the last step, from the store into the
// application's table of the receiving peer.
package deserialize

import (
	"context"
	"fmt"
	"slices"

	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage"
)

// Options choose what a run leaves out. The zero value tries every dirty row.
type Options struct {
	// SkipErroring leaves out rows that already carry a deserialization error.
	SkipErroring bool
	// Sparing bounds what rows with an error cost. They are tried again when what
	// they miss has come, as far as the run applies something or Changed is set; of the
	// others some are tried, beginning at a random place. And what hangs on rows that the
	// run deletes is deleted by the same run, not one level by each; but nothing that the
	// application has changed and nobody has serialized: then they wait.
	Sparing bool
	// Changed says that the store has gained rows since the last run by other ways than
	// through this stage: the caller has serialized.
	Changed bool
	// Except are transfer sessions that are still on their way, and apply what they brought
	// themselves: a small one need not wait until the rows of a large one are in place.
	Except []string
}

// Report counts what a run did, in records.
type Report struct {
	Applied int64 // written into an application table
	Deleted int64 // became deleted in the application, those that a cascade took along included
	Errors  int64 // kept dirty in the store with a deserialization error
	Waiting int64 // left dirty because the application changed the row in between, or one that would go with it
}

// After adds what an earlier run did: what waits is as this one left it.
func (r Report) After(earlier Report) Report {
	r.Applied += earlier.Applied
	r.Deleted += earlier.Deleted
	return r
}

// limits say how much is done at once. The lists and windows bound memory; the
// transactions bound how long a local writer waits.
type limits struct {
	list    int // ids listed at once
	batch   int // rows written or removed in one transaction
	text    int // bytes of JSON read in one transaction
	page    int // rows asked after in one question
	window  int // rows of a tree held at once, as ids only
	cascade int // rows that refer to deleted ones, at once and per level
	depth   int // levels of a tree removed at once
	again   int // rows with an error that a sparing run tries without a reason
}

var usual = limits{list: 20_000, batch: 2_000, text: 8 << 20, page: 500, window: 100_000,
	cascade: 500, depth: 200, again: 200}

// Run applies the dirty store rows of the environment's profile that lie in the
// filter; the zero filter is all. It works in transactions of bounded length and
// may be run again after any interruption. A row that cannot be applied is
// counted and never an error of the run; the caller serializes the same filter
// first, so that local changes are in the store. tick, when not nil, hears the
// number of rows looked at so far.
func Run(ctx context.Context, env stage.Env, filter partition.Filter, o Options, tick func(done int64)) (Report, error) {
	r := newRun(env, filter, o, tick)
	work := r.all
	if o.Sparing {
		work = r.sparing
	}
	if err := work(ctx); err != nil {
		return r.report(), fmt.Errorf("deserialize: %w", err)
	}
	return r.report(), nil
}

// run is one run of the stage.
type run struct {
	env     stage.Env
	filter  partition.Filter
	options Options
	tick    func(done int64)
	limits  limits
	job     *byte // what the run is to db.WritePart, which keeps it for a while

	settled map[key]verdict // rows that this run has tried and left dirty
	lacks   map[key]key     // of these what they miss in the end, where it is another row
	dead    map[key]bool    // rows that this run has recorded as deleted, and whether hard
	chosen  *chosen         // the rows to try; nil lists them

	known   known           // targets that have been found
	asked   int             // targets that the database was asked after
	wanted  map[string]bool // tables that others refer to
	careful map[string]bool // models of which rows were refused: each may clash with what is there

	done, applied, deleted int64
	clashes                chosen // rows that a constraint of their table refused
	writing, removing      left
}

func newRun(env stage.Env, filter partition.Filter, o Options, tick func(done int64)) *run {
	r := &run{env: env, filter: filter, options: o, tick: tick, limits: usual, job: new(byte),
		settled: map[key]verdict{}, lacks: map[key]key{}, dead: map[key]bool{}, wanted: map[string]bool{}, careful: map[string]bool{}}
	for _, m := range env.Profile.Models {
		for _, c := range m.References() {
			r.wanted[c.References.Table] = true
		}
	}
	return r
}

func (r *run) report() Report {
	return Report{Applied: r.applied, Deleted: r.deleted,
		Errors: r.writing.errors + r.removing.errors, Waiting: r.writing.waiting + r.removing.waiting}
}

// left counts the rows that a pass left dirty.
type left struct{ errors, waiting int64 }

// all writes the models in dependency order, and then removes in the other
// direction: a row that moved away from a deleted one must be written before the
// deletion reaches what still refers to it.
func (r *run) all(ctx context.Context) error {
	if err := r.write(ctx); err != nil {
		return err
	}
	before := r.deleted
	if err := r.removeAll(ctx); err != nil {
		return err
	}
	if r.removing.waiting > 0 {
		// What the application had edited may have gone with what it hung on.
		r.removing.waiting = 0
		if err := r.removeAll(ctx); err != nil {
			return err
		}
	}
	if r.clashes.rows == 0 || r.deleted == before || r.options.SkipErroring {
		return nil
	}
	// What a row clashed with may be gone now.
	if r.options.Sparing {
		again := r.clashes
		r.clashes = chosen{}
		return r.only(ctx, &again, r.write)
	}
	r.forgetAll()
	r.writing = left{}
	return r.write(ctx)
}

// forgetAll forgets what became of the rows that were tried: they may be tried again.
func (r *run) forgetAll() {
	clear(r.settled)
	clear(r.lacks)
}

// removeAll removes the deleted rows of all models from their tables.
func (r *run) removeAll(ctx context.Context) error {
	for _, m := range slices.Backward(r.env.Profile.Models) {
		if err := r.list(ctx, m, deletedRows, r.removeDeleted); err != nil {
			return fmt.Errorf("model %s: %w", m.Name, err)
		}
	}
	return nil
}

// write brings the rows of all models into their tables.
func (r *run) write(ctx context.Context) error {
	for _, m := range r.env.Profile.Models {
		which, handle := livingRows, r.writeFlat
		if m.SelfReference() != nil {
			which, handle = allRows, r.writeTree // a deleted row also waits for its parent
		}
		if err := r.list(ctx, m, which, handle); err != nil {
			return fmt.Errorf("model %s: %w", m.Name, err)
		}
	}
	return nil
}

// writeFlat writes rows that do not refer to each other.
func (r *run) writeFlat(ctx context.Context, m *model.Model, ids []string) error {
	for page := range slices.Chunk(ids, r.limits.batch) {
		items := make([]item, len(page))
		for i, id := range page {
			items[i].id = id
		}
		if err := r.batch(ctx, m, items); err != nil {
			return err
		}
	}
	return nil
}

// progress tells the listener how far the run is.
func (r *run) progress(rows int) {
	r.done += int64(rows)
	if r.tick != nil {
		r.tick(r.done)
	}
}
