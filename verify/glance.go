package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/morango-go/morango/counter"
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
	// Unpulled says that nothing was pulled in this sync, so that the peer may have much that
	// is not here; Unpushed the same the other way round. Then what only one side can have
	// is left out from the first.
	Unpulled, Unpushed bool
}

// The bounds of a glance. Where all differences are explained by claims it asks at most
// two questions after the first, whose answers have less than 64 kB together.
const (
	glanceRecords   = 200 // looked at here: a few milliseconds on each side, and as many pages of a disk
	glanceQuestions = 12  // asked of the peer, more than one only where there are differences
)

// First asks the first question of a glance. sums are the sums here, and kept what the
// peer's kept digests are expected to sum up to, nil where none are kept.
type First func(ctx context.Context, q Question, sums []Sum, kept *Kept) (Answer, error)

// Compare looks at the records, and at the kept digests of the partitions: those that are
// not known are summed up before, as far as bounded time allows. peer is asked all
// questions but the first. When there are more differences than some questions can tell
// apart, the comparison is Stopped.
func (g Glance) Compare(ctx context.Context, d *db.DB, peer Asker, first First) (*Comparison, error) {
	c := &comparison{db: d, profile: g.Profile, filter: g.Filter, peer: peer, options: CompareOptions{Examples: DefaultExamples}, brief: true, noted: map[string]bool{}}
	var q Question
	var ours Answer
	var expected *Kept
	fresh, err := kept(ctx, d, g.Filter, nil, g.Now, func(tx *db.Tx) (err error) {
		q, ours, expected, err = g.look(ctx, tx, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	q.Parts = fresh[:min(len(fresh), maxAskedParts)]
	theirs, err := first(ctx, q, ours.Sums, expected)
	if err != nil {
		return nil, fmt.Errorf("compare with the peer: %w", err)
	}
	c.result.Questions = 1
	explained, err := c.follow(ctx, q, ours, theirs, expected)
	if errors.Is(err, errEnough) {
		c.result.Stopped, err = true, nil
	}
	if err != nil {
		return nil, fmt.Errorf("compare with the peer: %w", err)
	}
	result := c.finish()
	if explained && result.Clean() && !result.Stopped && !theirs.Kept.agree(expected) {
		err = d.Write(ctx, func(tx *db.Tx) error {
			return store.Explain(ctx, tx, g.Peer, g.scope(), ours.Kept.Sum(), theirs.Kept.Sum())
		})
	}
	return &result, err
}

// look chooses what is asked, and answers it from here.
func (g Glance) look(ctx context.Context, tx *db.Tx, c *comparison) (q Question, ours Answer, expected *Kept, err error) {
	if c.covered, err = g.covered(ctx, tx); err != nil {
		return q, ours, nil, err
	}
	q = Question{Profile: g.Profile, Filter: g.Filter, Brief: true, Kept: true}
	if g.Unpulled || g.Unpushed {
		q.Covered = c.covered
	}
	if q.Sums, err = g.spans(ctx, tx); err != nil {
		return q, ours, nil, fmt.Errorf("choose records to compare: %w", err)
	}
	if ours, err = ask(ctx, tx, q, time.Now); err != nil {
		return q, ours, nil, fmt.Errorf("sum up records: %w", err)
	}
	for i, sum := range ours.Sums { // what was too much work here is not asked after
		q.Sums[i].Last = sum.Last
	}
	q.Sums = q.Sums[:len(ours.Sums)]
	expected, err = g.remembered(ctx, tx, ours.Kept)
	return q, ours, expected, err
}

// covered are the versions that both sides should have after the transfers: those that we
// claim, but for our own where nothing was pushed. Nil is all, where nothing is claimed,
// or more than a question can tell.
func (g Glance) covered(ctx context.Context, tx *db.Tx) (claims counter.ByPartition, err error) {
	if claims, err = store.Claims(ctx, tx, g.Filter); err == nil && g.Unpushed {
		var own []store.Instance
		own, err = store.Instances(ctx, tx)
		for _, counters := range claims {
			for _, one := range own {
				delete(counters, one.ID)
			}
		}
	}
	if (Question{Covered: claims}).Check() != nil || len(claims) == 0 {
		return nil, err
	}
	return claims, err
}

// follow looks closer at what the answer to the first question gives cause to: partitions
// of this transfer that are not the same, else records among those looked at, else what
// is kept of all partitions, unless one side is known to be ahead. What is wrong ends it
// only when there is nothing more to look at. explained says whether all of what is kept
// was looked at.
func (c *comparison) follow(ctx context.Context, q Question, ours, theirs Answer, expected *Kept) (explained bool, err error) {
	var differing []Span
	for i := range min(len(q.Sums), len(theirs.Sums)) {
		if theirs.Sums[i] == ours.Sums[i] {
			c.result.Here, c.result.There = c.result.Here+ours.Sums[i].Records, c.result.There+theirs.Sums[i].Records
		} else if s := (Span{q.Sums[i].First, theirs.Sums[i].Last}); s.Check() == nil {
			differing = append(differing, s.split()...) // as far as the peer came
		}
	}
	more := func() bool { return err == nil && (c.result.Questions == 1 || !c.result.Clean()) }
	if len(theirs.Parts) == 0 {
		err = c.run(ctx, differing)
		if more() && ours.Kept != nil && !ours.Ahead && !theirs.Agrees(expected) {
			return c.closer(ctx, ours, theirs)
		}
		return false, err
	}
	filter := c.filter
	if explained, err = c.closer(ctx, ours, theirs); more() {
		c.filter, c.whole = filter, false
		err = c.run(ctx, differing)
	}
	return explained, err
}

// errEnough ends a glance that takes too many questions.
var errEnough = errors.New("enough was asked")

const (
	spanEnd    = `SELECT id FROM morango_store WHERE id >= $1 ORDER BY id LIMIT 1 OFFSET %d`
	countAfter = `SELECT COUNT(*) FROM (SELECT 1 FROM morango_store WHERE id >= $1 ORDER BY id LIMIT %d) few`
)

// spans are the ids of the next records of the store from the start on, whether they lie
// in the filter or not.
func (g Glance) spans(ctx context.Context, tx *db.Tx) ([]Span, error) {
	all := Everything()
	end, found, err := idAt(ctx, tx, g.Start, glanceRecords)
	if err != nil || found {
		return []Span{{g.Start, before(end)}}, err
	}
	first, found, err := idAt(ctx, tx, all.First, glanceRecords)
	if err != nil || !found {
		return []Span{all}, err // there are no more than may be looked at
	}
	var n int
	if err := tx.QueryRow(ctx, fmt.Sprintf(countAfter, glanceRecords), g.Start).Scan(&n); err != nil {
		return nil, err
	}
	if n > 0 {
		if first, _, err = idAt(ctx, tx, all.First, glanceRecords-n); err != nil {
			return nil, err
		}
	}
	return []Span{{g.Start, all.Last}, {all.First, before(first)}}, nil
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
