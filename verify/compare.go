package verify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
)

// Asker is a peer that answers questions about its records.
type Asker interface {
	Ask(ctx context.Context, q Question) (Answer, error)
}

// Comparison is what comparing with a peer found. Its JSON form is stable.
type Comparison struct {
	Here      int64 `json:"records_here"` // records compared
	There     int64 `json:"records_there"`
	Questions int   `json:"questions"` // asked of the peer
	// Explained counts differences that the next sync ends: one side does not claim yet
	// what the other has. Lost and Damaged are those that no sync ends.
	Explained   int64        `json:"not_synced_yet"`
	Lost        int64        `json:"lost"`
	Damaged     int64        `json:"damaged"`
	Differences []Difference `json:"differences"` // the first of them, those that no sync ends before the others
	// Stopped says that there were so many differences that the rest was not compared.
	Stopped bool `json:"stopped"`
}

// Clean reports whether nothing is wrong; what is not synced yet does not count.
func (c Comparison) Clean() bool { return c.Lost == 0 && c.Damaged == 0 }

// CompareOptions say how differences are told. The zero value is the usual.
type CompareOptions struct {
	Examples int                    // differences that are listed of each sort; 0 is DefaultExamples
	Each     func(Difference) error // called with every difference; nil is nobody
}

// maxDifferences ends a comparison: whoever differs that much has to sync first.
const maxDifferences = 20_000

const (
	// maxQuestions ends a comparison with a peer that answers next to nothing each time.
	maxQuestions = 2_000
	spanRecords  = 64_000 // that a span holds at first, about
	listRecords  = 48     // up to which the records of a span are listed
	listSpans    = 40     // asked after at once: as many lists fit into an answer
	briefLists   = 5      // the same where little is to travel: less than 64 kB
)

// Compare compares what this database and a peer hold of a profile within a filter, in
// memory that does not grow with it: spans with equal digests are equal, others are
// split, down to the records that differ.
func Compare(ctx context.Context, d *db.DB, profile string, filter partition.Filter, peer Asker, o CompareOptions) (Comparison, error) {
	if o.Examples <= 0 {
		o.Examples = DefaultExamples
	}
	c := &comparison{db: d, profile: profile, filter: filter, peer: peer, options: o}
	spans, err := c.begin(ctx)
	if err == nil {
		err = c.run(ctx, spans)
	}
	if err != nil {
		return c.result, fmt.Errorf("compare with the peer: %w", err)
	}
	return c.finish(), nil
}

// comparison is one run of Compare.
type comparison struct {
	db      *db.DB
	profile string
	filter  partition.Filter
	peer    Asker
	options CompareOptions
	brief   bool                // few questions, little work
	whole   bool                // the filter's prefixes are partitions of which all is wanted
	covered counter.ByPartition // the versions that are compared at first; nil: all
	result  Comparison
	noted   map[string]bool // ids of the differences found, where one may be found twice; nil elsewhere
	wrong   []Difference    // those that no sync ends, as far as they are listed
	apart   []Difference    // those that are not synced yet, the same
}

// begin cuts all ids into spans of bearable size.
func (c *comparison) begin(ctx context.Context) ([]Span, error) {
	var n int64
	err := c.db.Read(ctx, func(tx *db.Tx) error {
		cond, args := tx.PrefixCond("partition", c.filter, 1)
		return tx.QueryRow(ctx, `SELECT COUNT(*) FROM morango_store WHERE `+cond, args...).Scan(&n)
	})
	spans := []Span{Everything()}
	for ; n > spanRecords && len(spans) < 1<<16; n /= splitParts {
		spans = splitAll(spans)
	}
	return spans, err
}

func splitAll(spans []Span) (parts []Span) {
	for _, s := range spans {
		parts = append(parts, s.split()...)
	}
	return parts
}

// run compares spans until none is left. Those that differ are followed down at once,
// so that no more than a few wait at any time.
func (c *comparison) run(ctx context.Context, spans []Span) error {
	for len(spans) > 0 && !c.result.Stopped {
		n := min(len(spans), MaxSpans)
		differing, lists, done, err := c.sums(ctx, spans[:n])
		if err != nil {
			return err
		}
		spans = spans[n:]
		if len(done) > 0 { // what is left of the spans that were asked after
			spans = append(done, spans...)
		}
		for len(lists) > 0 && !c.result.Stopped {
			n := min(len(lists), listSpans)
			if c.brief {
				n = min(n, briefLists)
			}
			answered, err := c.list(ctx, lists[:n])
			if err != nil {
				return err
			}
			lists = lists[answered:]
			if c.brief && c.result.Clean() && len(lists)+len(differing)+len(spans) > 0 {
				return errEnough // what was looked at is explained; the rest has its turn another time
			}
		}
		spans = append(splitAll(differing), spans...)
	}
	return nil
}

// sums compares the digests of spans. It returns those that differ and are large, those
// that differ and are small enough to be listed, and what was not answered.
func (c *comparison) sums(ctx context.Context, spans []Span) (large, small, rest []Span, err error) {
	theirs, err := c.ask(ctx, Question{Sums: spans})
	if err != nil {
		return nil, nil, nil, err
	}
	if len(theirs.Sums) == 0 || len(theirs.Sums) > len(spans) {
		return nil, nil, nil, fmt.Errorf("the peer answered %d digests for %d ranges", len(theirs.Sums), len(spans))
	}
	rest = spans[len(theirs.Sums):]
	asked := make([]Span, len(theirs.Sums))
	for i, sum := range theirs.Sums {
		asked[i] = spans[i]
		if asked[i].Last == sum.Last {
			continue
		}
		cut := Span{spans[i].First, sum.Last}
		if cut.Check() != nil || !spans[i].contains(sum.Last) {
			return nil, nil, nil, fmt.Errorf("the peer's digest of %s to %s ends at %.40q", spans[i].First, spans[i].Last, sum.Last)
		}
		asked[i] = cut
		after := Span{numberOf(sum.Last).plus(number{lo: 1}).id(), spans[i].Last}
		rest = append([]Span{after}, rest...)
	}
	own, err := c.own(ctx, asked)
	if err != nil {
		return nil, nil, nil, err
	}
	for i, s := range asked {
		ours, there := own[i], theirs.Sums[i].Digest
		c.result.Here, c.result.There = c.result.Here+ours.Records, c.result.There+there.Records
		switch {
		case ours == there:
		case max(ours.Records, there.Records) <= listRecords:
			small = append(small, s)
		default:
			c.result.Here, c.result.There = c.result.Here-ours.Records, c.result.There-there.Records
			large = append(large, s)
		}
	}
	return large, small, rest, nil
}

// own sums up spans here, however long that takes, many of them on one snapshot: to find
// the records of a narrow filter takes as long for one span as for all.
func (c *comparison) own(ctx context.Context, spans []Span) ([]Digest, error) {
	sums := make([]Digest, len(spans))
	left := "" // where the rest begins of a span of which a part is summed up
	for at := 0; at < len(spans); {
		q := c.question(Question{Sums: slices.Clone(spans[at:])})
		if left != "" {
			q.Sums[0].First, left = left, ""
		}
		a, err := Ask(ctx, c.db, q, time.Now)
		if err != nil {
			return nil, err
		}
		for i, sum := range a.Sums {
			sums[at] = sums[at].plus(sum.Digest)
			if sum.Last != q.Sums[i].Last {
				left = numberOf(sum.Last).plus(number{lo: 1}).id()
				break
			}
			at++
		}
	}
	return sums, nil
}

func (d Digest) plus(e Digest) Digest {
	sum := number{d.hi, d.lo}.plus(number{e.hi, e.lo})
	return Digest{d.Records + e.Records, sum.hi, sum.lo}
}

func (c *comparison) ask(ctx context.Context, q Question) (Answer, error) {
	switch {
	case c.brief && c.result.Questions >= glanceQuestions:
		return Answer{}, errEnough
	case c.result.Questions >= maxQuestions:
		return Answer{}, fmt.Errorf("the peer has been asked %d times and still has not answered all", maxQuestions)
	}
	c.result.Questions++
	return c.peer.Ask(ctx, c.question(q))
}

// question adds to a question what all of a comparison have in common.
func (c *comparison) question(q Question) Question {
	q.Profile, q.Filter, q.Brief, q.Whole, q.Covered = c.profile, c.filter, c.brief, c.whole, c.covered
	return q
}
