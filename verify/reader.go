package verify

import (
	"cmp"
	"context"
	"fmt"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store"
)

// reader reads the records of a profile under a filter, span by span. Where the filter
// matches few, they are found by their partition and kept in memory as entries; else
// the records of a span are found by their id, and those outside the filter passed over.
type reader struct {
	tx      *db.Tx
	profile string
	filter  partition.Filter
	covered counter.ByPartition // versions that count; nil: all
	ids     map[string]bool     // that count in any case
	all     bool                // whatever the profile and the filter
	few     []Entry             // when the filter is narrow
	isFew   bool
}

const (
	comparedColumns = `id, profile, model_name, partition, source_id, last_saved_instance, last_saved_counter,
		deleted, hard_deleted, _self_ref_fk, serialized, conflicting_serialized_data`
	underPartition = `SELECT ` + comparedColumns + ` FROM morango_store WHERE `
	withinSpan     = `SELECT ` + comparedColumns + ` FROM morango_store WHERE id >= $1 AND id <= $2 ORDER BY id`
)

func newReader(ctx context.Context, tx *db.Tx, q Question) (*reader, error) {
	r := &reader{tx: tx, profile: q.Profile, filter: q.Filter, covered: q.Covered, ids: map[string]bool{}}
	for _, id := range q.IDs {
		r.ids[id] = true
	}
	if q.Filter.Contains("") || len(q.Sums)+len(q.Lists) == 0 {
		return r, nil
	}
	most := int64(narrow)
	if q.Brief && !q.Whole {
		most = glanceRecords
	}
	n, err := store.CountUnder(ctx, tx, q.Filter, most)
	if err != nil {
		return nil, err
	}
	if r.isFew = n <= most; !r.isFew {
		return r, nil
	}
	cond, args := tx.PrefixCond("partition", q.Filter, 1)
	return r, r.query(ctx, underPartition+cond, args, func(_ string, e Entry) bool {
		if e.ID != "" {
			r.few = append(r.few, e)
		}
		return true
	})
}

// read calls add with the records of a span, and returns the id up to which it came:
// the span's end, or less when more than limit records had to be read or enough says
// so. It reads at least one.
func (r *reader) read(ctx context.Context, s Span, limit int, enough func() bool, add func(Entry)) (last string, err error) {
	if r.isFew {
		for _, e := range r.few {
			if s.contains(e.ID) {
				add(e)
			}
		}
		return s.Last, nil
	}
	last = s.Last
	n := 0
	err = r.query(ctx, withinSpan, []any{s.First, s.Last}, func(id string, e Entry) bool {
		if n++; n > limit || n%1000 == 0 && enough() {
			last = before(id)
			return false
		}
		if e.ID != "" {
			add(e)
		}
		return true
	})
	return last, err
}

// query runs a query for records until one is refused. A record of another profile or
// outside the filter, or that does not count, comes with the zero Entry.
func (r *reader) query(ctx context.Context, query string, args []any, each func(id string, e Entry) bool) error {
	rows, err := r.tx.Query(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read records to sum them up: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var e Entry
		var texts [6]string // profile, model, source id, self-reference, serialized, conflicting
		var deleted, hard bool
		if err := rows.Scan((*db.ID)(&e.ID), &texts[0], &texts[1], &e.Partition, &texts[2], (*db.ID)(&e.Version.Instance),
			&e.Version.Counter, &deleted, &hard, &texts[3], &texts[4], &texts[5]); err != nil {
			return fmt.Errorf("read a record to sum it up: %w", err)
		}
		id := e.ID
		if !r.all && (texts[0] != r.profile || !r.filter.Contains(e.Partition) || !r.counts(e)) {
			e = Entry{}
		} else {
			e.Content = content(append(texts[:], e.Partition), deleted, hard)
		}
		if !each(id, e) {
			return nil
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read records to sum them up: %w", err)
	}
	return nil
}

// counts says whether a record is meant, by its version.
func (r *reader) counts(e Entry) bool {
	return r.covered == nil || r.ids[e.ID] || r.covered.Covers(e.Partition, e.Version)
}

func byID(a, b Entry) int { return cmp.Compare(a.ID, b.ID) }
