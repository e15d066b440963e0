package lacking

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/store"
)

// How long a list of the records that are to travel may be, and up to how many records
// under a narrow filter one is made, see store.Lacking.FindSparse; how many keys are listed in one go, of 8 bytes each,
// and how often.
const (
	maxChanged = 20_000
	maxUnder   = 100_000
	maxKeys    = 500_000
	maxLists   = 5
)

// mostClaims is how many instances a query compares with one by one.
const mostClaims = 200

// short says how long a list may be, and how many times the records under a filter the store must have for these to be
// found by keys.
type short struct{ changed, under, keys, times int64 }

// listed is a record of a list and its place: see place.
type listed struct {
	row, group int64
	id         string
}

// plan says how the records that are to travel are read, after a place: those of a list by
// their ids, and of some models all that the store has, in its order, page by page, or what it has at some keys. On SQLite
// there is the one or the other, and all models are one.
type plan struct {
	list []listed // in their order
	all  []int64  // ranks of the models, in their order
	keys keys
}

// planOf looks for what is to travel.
func (o order) planOf(ctx context.Context, tx *db.Tx, job Job, at place, s short) (p plan, err error) {
	found, ok, err := job.lacking().FindSparse(ctx, tx, s.changed, s.under)
	switch {
	case err != nil:
		return p, err
	case ok:
		return plan{list: o.listOf(found, at)}, nil
	case o.byRow:
		p.all = []int64{0}
	case o.grouped:
		p, err = o.byIndex(ctx, tx, at)
	default:
		return o.byModels(ctx, tx, job, at, s.changed)
	}
	if err != nil {
		return p, err
	}
	few, err := job.lacking().Few(ctx, tx, maxLists*s.keys, s.times)
	if few {
		p.keys.most = s.keys
	}
	return p, err
}

// The statements that go from model to model by the index.
const (
	firstModel = `SELECT model_name FROM morango_store ORDER BY model_name LIMIT 1`
	nextModel  = `SELECT model_name FROM morango_store WHERE model_name > $1 ORDER BY model_name LIMIT 1`
)

// byIndex is a plan in which all that the store has of each model is read, from a place on, where
// that costs no more than those records.
func (o order) byIndex(ctx context.Context, tx *db.Tx, at place) (p plan, err error) {
	var name string
	for err = tx.QueryRow(ctx, firstModel).Scan(&name); err == nil; err = tx.QueryRow(ctx, nextModel, name).Scan(&name) {
		rank := o.rank(name)
		if (at.id == "" || rank >= at.row) && !slices.Contains(p.all, rank) {
			p.all = append(p.all, rank)
		}
	}
	slices.Sort(p.all)
	if !errors.Is(err, sql.ErrNoRows) {
		return p, fmt.Errorf("look which models there are: %w", err)
	}
	return p, nil
}

// listOf puts what was found into order, as far as it comes after a place.
func (o order) listOf(found []store.Found, at place) []listed {
	list := make([]listed, 0, len(found))
	for _, r := range found {
		one := listed{row: r.Row, id: r.ID}
		if !o.byRow {
			if one.row = o.rank(r.Model); o.groups(one.row) {
				one.group = r.Row
			}
		}
		if at.id == "" || compare(one, listed{at.row, at.group, at.id}) > 0 {
			list = append(list, one)
		}
	}
	slices.SortFunc(list, compare)
	return list
}

func compare(a, b listed) int {
	return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.group, b.group), strings.Compare(a.id, b.id))
}

// The statements that look for models of which little is to travel.
const (
	countModels = `SELECT s.model_name, COUNT(*) FROM morango_store s WHERE s.profile = $1 AND (FILTER) AND (ABOVE) GROUP BY s.model_name`
	listModels  = `SELECT s.id, s.model_name, s.partition, s.last_saved_instance, s.last_saved_counter FROM morango_store s
		WHERE s.profile = $1 AND (FILTER) AND (ABOVE) AND (MODELS)`
)

// byModels is a plan in which the store is read once for each model of which much is to
// travel. Those of the others, up to most, are a list.
func (o order) byModels(ctx context.Context, tx *db.Tx, job Job, at place, most int64) (p plan, err error) {
	names, counts, err := o.count(ctx, tx, job, at)
	if err != nil {
		return p, err
	}
	ranks := slices.SortedFunc(maps.Keys(counts), func(a, b int64) int { return cmp.Compare(counts[a], counts[b]) })
	var few []string
	for _, rank := range ranks {
		if most -= counts[rank]; most < 0 {
			p.all = append(p.all, rank)
		} else {
			few = append(few, names[rank]...)
		}
	}
	slices.Sort(p.all)
	if len(few) == 0 {
		return p, nil
	}
	found, err := listOfModels(ctx, tx, job, few)
	p.list = o.listOf(found, at)
	return p, err
}

// count returns the models of which something is to travel, from a place on, by rank, and of
// how many records: about, for what Job.wants alone decides counts.
func (o order) count(ctx context.Context, tx *db.Tx, job Job, at place) (names map[int64][]string, counts map[int64]int64, err error) {
	query, args := job.fill(tx, countModels, "s.partition")
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, nil, fmt.Errorf("count records by models: %w", err)
	}
	defer rows.Close()
	names, counts = map[int64][]string{}, map[int64]int64{}
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return nil, nil, err
		}
		if rank := o.rank(name); at.id == "" || rank >= at.row {
			names[rank] = append(names[rank], name)
			counts[rank] += n
		}
	}
	return names, counts, rows.Err()
}

// listOfModels lists what is to travel of some models.
func listOfModels(ctx context.Context, tx *db.Tx, job Job, models []string) (found []store.Found, err error) {
	query, args := job.fill(tx, listModels, "s.partition")
	args = append(args, db.JSONList(models))
	rows, err := tx.Query(ctx, strings.Replace(query, "(MODELS)", tx.Among("s.model_name", len(args)), 1), args...)
	if err != nil {
		return nil, fmt.Errorf("list the records of some models: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, instance db.ID
		var one store.Found
		var part string
		var n int64
		if err := rows.Scan(&id, &one.Model, &part, &instance, &n); err != nil {
			return nil, err
		}
		if job.wants(part, counter.Version{Instance: string(instance), Counter: n}) {
			one.ID = string(id)
			found = append(found, one)
		}
	}
	return found, rows.Err()
}

// above is a condition that leaves out what the receiver claims throughout the filter. Its
// parameters start at $first. It lets pass what only Job.wants can decide.
func (j Job) above(first int) (condition string, args []any) {
	floor := j.Receiver.Throughout(j.filter())
	instances := make([]string, 0, len(floor))
	for instance := range floor {
		instances = append(instances, instance)
	}
	slices.Sort(instances)
	if len(instances) == 0 {
		return "s.last_saved_counter > 0", nil
	}
	var b strings.Builder
	b.WriteString("s.last_saved_counter > CASE s.last_saved_instance")
	for _, instance := range instances[:min(len(instances), mostClaims)] {
		// A bound number alone has no type yet for PostgreSQL.
		fmt.Fprintf(&b, " WHEN $%d THEN CAST($%d AS integer)", first+len(args), first+len(args)+1)
		args = append(args, instance, floor[instance])
	}
	b.WriteString(" ELSE 0 END")
	return b.String(), args
}
