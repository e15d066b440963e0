package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
)

// Glance compares a bounded number of records with a peer, so cheaply that it can be
// done after each sync: those that follow the id Start, and from the first id on after
// the last. Where Start is random each time, all get their turn.
type Glance struct {
	Profile string
	Filter  partition.Filter
	Start   string // 32 hex digits
}

// The bounds of a glance.
const (
	glanceRecords   = 400 // looked at here: some milliseconds on each side
	glanceQuestions = 12  // asked of the peer, more than one only where there are differences
)

// Compare looks at the records. first asks the first question, and is told what the
// answer is here; peer is asked the others. When there are more differences than some
// questions can tell apart, the comparison is Stopped.
func (g Glance) Compare(ctx context.Context, d *db.DB, peer Asker, first func(context.Context, Question, []Sum) (Answer, error)) (*Comparison, error) {
	c := &comparison{db: d, profile: g.Profile, filter: g.Filter, peer: peer, options: CompareOptions{Examples: DefaultExamples}, brief: true}
	q := Question{Profile: g.Profile, Filter: g.Filter, Brief: true}
	var err error
	if q.Sums, err = g.spans(ctx, d); err != nil {
		return nil, fmt.Errorf("choose records to compare: %w", err)
	}
	ours, err := Ask(ctx, d, q, time.Now)
	if err != nil {
		return nil, err
	}
	for i, sum := range ours.Sums { // what was too much work here is not asked after
		q.Sums[i].Last = sum.Last
	}
	q.Sums = q.Sums[:len(ours.Sums)]
	theirs, err := first(ctx, q, ours.Sums)
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
	err = c.run(ctx, differing)
	if errors.Is(err, errEnough) {
		c.result.Stopped, err = true, nil
	}
	if err != nil {
		return nil, fmt.Errorf("compare with the peer: %w", err)
	}
	result := c.finish()
	return &result, nil
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
