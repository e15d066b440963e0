package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store"
)

// The bounds of one question.
const (
	MaxSpans   = 512     // that may be asked after at once
	MaxEntries = 2048    // that are listed in one answer
	maxScanned = 250_000 // records that are read for one span
	maxBrief   = 2_000   // when little work is wanted
	narrow     = 10_000  // records under a filter up to which they are found by their partition

	maxAskedParts = 64    // digests of partitions that are compared at once
	maxRanges     = 256   // of partitions that are summed up at once
	maxLists      = 2     // of partitions that are listed at once
	maxParts      = 1_024 // partitions in one list
	maxPlace      = 4_096 // bytes of a partition
	maxCovered    = 1_000 // claims to which a question restricts itself
	maxIDs        = 1_024 // records that are wanted in any case
	maxAhead      = 100   // records of an instance that are looked at to know whether one is ahead
)

// workTime is how long an answer works before it leaves the rest of the spans out.
const workTime = 2 * time.Second

// ErrTooMuch says that a span holds more records than may be listed.
var ErrTooMuch = errors.New("too many records to be listed: ask for digests of parts first")

// Question asks for digests of spans, or for the records themselves, of a profile
// within a filter.
type Question struct {
	Profile string
	Filter  partition.Filter
	Sums    []Span // to be summed up
	Lists   []Span // to be listed
	Claims  bool   // also what is claimed within the filter
	Brief   bool   // little work is wanted: few records are read for each span
	Whole   bool   // the filter's prefixes are partitions of which all is wanted

	// Covered, unless it is nil, restricts sums and lists to records whose versions it
	// covers: what the one who asks has, and believes that both have. Lists then hold the
	// records of IDs too, whatever their versions.
	Covered counter.ByPartition
	IDs     []string

	Kept    bool    // also what the digests sum up to that are kept of the filter's partitions
	Parts   []Part  // digests to be compared with the kept ones
	Ranges  []Range // of partitions whose kept digests are summed up
	PartsOf []Range // of partitions whose kept digests are listed
}

// Check refuses a question that is too large or makes no sense.
func (q Question) Check() error {
	if len(q.Sums)+len(q.Lists) > MaxSpans {
		return fmt.Errorf("digests of %d ranges are asked for; %d are allowed at once", len(q.Sums)+len(q.Lists), MaxSpans)
	}
	for _, s := range slices.Concat(q.Sums, q.Lists) {
		if err := s.Check(); err != nil {
			return err
		}
	}
	if len(q.Parts) > maxAskedParts || len(q.Ranges) > maxRanges || len(q.PartsOf) > maxLists {
		return fmt.Errorf("%d partitions, %d ranges and %d lists of them are asked after; %d, %d and %d are allowed at once",
			len(q.Parts), len(q.Ranges), len(q.PartsOf), maxAskedParts, maxRanges, maxLists)
	}
	pairs := 0
	for _, counters := range q.Covered {
		pairs += len(counters)
	}
	if len(q.Covered) > maxCovered || pairs > maxCovered || len(q.IDs) > maxIDs {
		return fmt.Errorf("the question restricts itself to %d claims and %d records; %d and %d are allowed", pairs, len(q.IDs), maxCovered, maxIDs)
	}
	return q.checkPlaces()
}

// checkPlaces refuses partitions that are none.
func (q Question) checkPlaces() error {
	var places []string
	for _, p := range q.Parts {
		places = append(places, p.Partition)
	}
	for i, r := range q.Ranges {
		if i > 0 && (q.Ranges[i-1].To == "" || r.From < q.Ranges[i-1].To) {
			return fmt.Errorf("range %d of partitions begins before the end of the one before it", i)
		}
	}
	for _, r := range slices.Concat(q.Ranges, q.PartsOf) {
		places = append(places, r.From, r.To)
	}
	for _, p := range places {
		if len(p) > maxPlace || strings.ContainsRune(p, 0) || !utf8.ValidString(p) {
			return fmt.Errorf("%.40q is no partition", p)
		}
	}
	return nil
}

// Answer answers a question from one snapshot. Sums and Lists hold as many of the
// spans asked after, in their order, as bounded time and size allowed, at least one
// of all unless nothing was asked after.
type Answer struct {
	Sums   []Sum
	Lists  [][]Entry // in id order each
	Claims counter.ByPartition

	Kept   *Kept    // nil where no digests are kept
	Parts  []Part   // those asked after that are kept and not the same, and those listed
	Ranges []Digest // as many as were asked after
	// Ahead says that records are here that are not covered by what was asked about, where
	// few looks tell; only with Kept and Covered.
	Ahead bool
}

// Sum is what there is in a span up to the id Last, which is the span's own unless that
// would have been too much work.
type Sum struct {
	Digest
	Last string
}

// Ask answers a question about a database. now tells the time, by which it stops early.
func Ask(ctx context.Context, d *db.DB, q Question, now func() time.Time) (Answer, error) {
	var a Answer
	err := d.Read(ctx, func(tx *db.Tx) (err error) {
		a, err = ask(ctx, tx, q, now)
		return err
	})
	if err != nil {
		return Answer{}, fmt.Errorf("sum up records: %w", err)
	}
	return a, nil
}

// AskKept is Ask after Keep, where the question is after kept digests: those of the partitions asked after
// first.
func AskKept(ctx context.Context, d *db.DB, q Question, now func() time.Time) (a Answer, err error) {
	look := func(tx *db.Tx) (err error) {
		if a, err = ask(ctx, tx, q, now); err != nil {
			err = fmt.Errorf("sum up records: %w", err)
		}
		return err
	}
	if !q.Kept {
		return a, d.Read(ctx, look)
	}
	var first []string
	for _, p := range q.Parts {
		first = append(first, p.Partition)
	}
	_, err = kept(ctx, d, q.Filter, first, now, look)
	return a, err
}

func ask(ctx context.Context, tx *db.Tx, q Question, now func() time.Time) (Answer, error) {
	r, err := newReader(ctx, tx, q)
	if err != nil {
		return Answer{}, err
	}
	end := now().Add(workTime)
	late := func() bool { return now().After(end) }
	var a Answer
	if a.Lists, err = r.lists(ctx, q.Lists, late); err != nil {
		return a, err
	}
	limit := maxScanned
	if q.Brief {
		limit = maxBrief
	}
	for _, s := range q.Sums {
		if len(a.Lists)+len(a.Sums) > 0 && late() {
			break
		}
		var sum Sum
		if sum.Last, err = r.read(ctx, s, limit, late, sum.add); err != nil {
			return a, err
		}
		a.Sums = append(a.Sums, sum)
	}
	if q.Claims {
		if a.Claims, err = store.Claims(ctx, tx, q.Filter); err != nil {
			return a, err
		}
		a.Claims = q.concerned(a.Claims)
	}
	if q.Kept {
		err = answerParts(ctx, tx, q, &a)
	}
	return a, err
}

// concerned leaves of claims what is about instances that the question restricts itself
// to: a large hub's are long.
func (q Question) concerned(claims counter.ByPartition) counter.ByPartition {
	if q.Covered == nil {
		return claims
	}
	asked := map[string]bool{}
	for _, counters := range q.Covered {
		for instance := range counters {
			asked[instance] = true
		}
	}
	for _, counters := range claims {
		maps.DeleteFunc(counters, func(instance string, _ int64) bool { return !asked[instance] })
	}
	return claims
}

// ahead reports whether there are records that the claims of a question do not cover,
// where that is known without reading many: then whole partitions cannot be expected to
// be the same.
func ahead(ctx context.Context, tx *db.Tx, q Question) (bool, error) {
	if q.Covered == nil {
		return false, nil
	}
	return store.Lacking{Profile: q.Profile, Filter: q.Filter, Receiver: q.Covered}.Any(ctx, tx, maxAhead)
}

// lists lists the records of spans, as many as are allowed in one answer.
func (r *reader) lists(ctx context.Context, spans []Span, late func() bool) (lists [][]Entry, err error) {
	listed := 0
	for _, s := range spans {
		if len(lists) > 0 && (late() || listed >= MaxEntries) {
			break
		}
		var entries []Entry
		last, err := r.read(ctx, s, maxScanned, late, func(e Entry) {
			if len(entries) <= MaxEntries {
				entries = append(entries, e)
			}
		})
		if err != nil {
			return nil, err
		}
		if len(entries) > MaxEntries || last != s.Last {
			return nil, fmt.Errorf("%w: from %s to %s", ErrTooMuch, s.First, s.Last)
		}
		slices.SortFunc(entries, byID)
		lists, listed = append(lists, entries), listed+len(entries)
	}
	return lists, nil
}
