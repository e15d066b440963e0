package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store"
)

// Glance compares a bounded number of records with a peer, so cheaply that it can be
// done after each sync: those that follow the id Start, and from the first id on after
// the last. Where Start is random each time, all get their turn.
type Glance struct {
	Profile string
	Filter  partition.Filter
	Start   string // 32 hex digits
	Peer    string // the peer's instance id, by which explained differences are remembered
	Now     func() time.Time
}

// The bounds of a glance.
const (
	glanceRecords   = 400 // looked at here: some milliseconds on each side
	glanceQuestions = 12  // asked of the peer, more than one only where there are differences
)

// First asks the first question of a glance. sums are the sums here, and kept what the
// peer's kept digests are expected to sum up to, nil where none are kept here.
type First func(ctx context.Context, q Question, sums []Sum, kept *Kept) (Answer, error)

// Compare looks at the records, and at the kept digests of the partitions: those that are
// not known are summed up before, as far as bounded time allows. peer is asked all
// questions but the first. When there are more differences than some questions can tell
// apart, the comparison is Stopped.
func (g Glance) Compare(ctx context.Context, d *db.DB, peer Asker, first First) (*Comparison, error) {
	c := &comparison{db: d, profile: g.Profile, filter: g.Filter, peer: peer, options: CompareOptions{Examples: DefaultExamples}, brief: true, noted: map[string]bool{}}
	q := Question{Profile: g.Profile, Filter: g.Filter, Brief: true}
	fresh, err := Keep(ctx, d, g.Filter, nil, g.Now)
	if err != nil {
		return nil, err
	}
	if q.Sums, err = g.spans(ctx, d); err != nil {
		return nil, fmt.Errorf("choose records to compare: %w", err)
	}
	q.Kept = true
	ours, err := Ask(ctx, d, q, time.Now)
	if err != nil {
		return nil, err
	}
	for i, sum := range ours.Sums { // what was too much work here is not asked after
		q.Sums[i].Last = sum.Last
	}
	q.Sums = q.Sums[:len(ours.Sums)]
	expected, err := g.remembered(ctx, d, ours.Kept)
	if err != nil {
		return nil, err
	}
	q.Parts = fresh[:min(len(fresh), maxAskedParts)]
	theirs, err := first(ctx, q, ours.Sums, expected)
	if err != nil {
		return nil, fmt.Errorf("compare with the peer: %w", err)
	}
	c.result.Questions = 1
	var differing []Span
	for i := range min(len(q.Sums), len(theirs.Sums)) {
		if theirs.Sums[i] == ours.Sums[i] {
			c.result.Here, c.result.There = c.result.Here+ours.Sums[i].Records, c.result.There+theirs.Sums[i].Records
		} else if s := (Span{q.Sums[i].First, theirs.Sums[i].Last}); s.Check() == nil {
			differing = append(differing, s) // as far as the peer came
		}
	}
	all := true
	if err = c.run(ctx, differing); err == nil && ours.Kept != nil && !theirs.Agrees(expected) {
		all, err = c.closer(ctx, ours, theirs)
	}
	if errors.Is(err, errEnough) {
		c.result.Stopped, err = true, nil
	}
	if err != nil {
		return nil, fmt.Errorf("compare with the peer: %w", err)
	}
	result := c.finish()
	if all && result.Clean() && !result.Stopped && !theirs.Kept.agree(expected) {
		err = d.Write(ctx, func(tx *db.Tx) error {
			return store.Explain(ctx, tx, g.Peer, g.scope(), ours.Kept.Sum(), theirs.Kept.Sum())
		})
	}
	return &result, err
}

// errEnough ends a glance that takes too many questions.
var errEnough = errors.New("enough was asked")

const (
	spanEnd    = `SELECT id FROM morango_store WHERE id >= $1 ORDER BY id LIMIT 1 OFFSET %d`
	countAfter = `SELECT COUNT(*) FROM (SELECT 1 FROM morango_store WHERE id >= $1 LIMIT %d) few`
)

// spans are the ids of the next records of the store from the start on, whether they lie
// in the filter or not.
func (g Glance) spans(ctx context.Context, d *db.DB) (spans []Span, err error) {
	all := Everything()
	err = d.Read(ctx, func(tx *db.Tx) error {
		end, found, err := idAt(ctx, tx, all.First, glanceRecords)
		if err != nil || !found {
			spans = []Span{all} // there are no more than may be looked at
			return err
		}
		first := end
		if end, found, err = idAt(ctx, tx, g.Start, glanceRecords); err != nil {
			return err
		}
		if found {
			spans = []Span{{g.Start, before(end)}}
			return nil
		}
		var n int
		if err := tx.QueryRow(ctx, fmt.Sprintf(countAfter, glanceRecords), g.Start).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			if first, _, err = idAt(ctx, tx, all.First, glanceRecords-n); err != nil {
				return err
			}
		}
		spans = []Span{{g.Start, all.Last}, {all.First, before(first)}}
		return nil
	})
	return spans, err
}

// idAt is the id of the record that comes so many after the first at or after an id.
func idAt(ctx context.Context, tx *db.Tx, from string, offset int) (id string, found bool, err error) {
	err = tx.QueryRow(ctx, fmt.Sprintf(spanEnd, offset), from).Scan((*db.ID)(&id))
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return id, err == nil, err
}

func before(id string) string { return numberOf(id).minus(number{lo: 1}).id() }
