package verify

import (
	"context"
	"fmt"
	"slices"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/store"
)

// Difference is a record that is not the same here and with a peer.
type Difference struct {
	ID        string  `json:"id"`
	Partition string  `json:"partition"`
	Verdict   Verdict `json:"verdict"`
	Here      string  `json:"here"`  // its version, such as 7@instance; "" when it is not there
	There     string  `json:"there"` //

	lost counter.Version // the version that one side claims and has not got
}

// Verdict says what is to be made of a difference.
type Verdict string

// The verdicts. The first four end with the next sync: a claim that would keep the
// record from travelling is missing. The others do not.
const (
	NewHere      Verdict = "new here"  // the peer has yet to get it
	NewThere     Verdict = "new there" // we have yet to get it
	ChangedBoth  Verdict = "changed here and there"
	EqualContent Verdict = "equal content" // saved on both sides with the same content
	LostHere     Verdict = "lost here"     // we claim the peer's version and have not got it
	LostThere    Verdict = "lost there"    // the peer claims our version and has not got it
	Damage       Verdict = "damaged"       // one version with two contents
)

// explained says whether the next sync ends the difference, or nothing has to.
func (v Verdict) explained() bool { return v != LostHere && v != LostThere && v != Damage }

// list compares spans record by record, and returns how many were answered. What is
// here is read first: then a record that arrives meanwhile can only look as if it had
// not been synced yet.
func (c *comparison) list(ctx context.Context, spans []Span) (answered int, err error) {
	ours, err := c.ownLists(ctx, Question{Lists: spans, Claims: true})
	if err != nil {
		return 0, err
	}
	theirs, err := c.ask(ctx, Question{Lists: spans, Claims: true, IDs: c.named(ours.Lists, nil)})
	if err != nil {
		return 0, err
	}
	if len(theirs.Lists) == 0 || len(theirs.Lists) > len(spans) {
		return 0, fmt.Errorf("the peer answered %d lists for %d ranges", len(theirs.Lists), len(spans))
	}
	if err := c.complete(ctx, spans, &ours, theirs); err != nil {
		return 0, err
	}
	for i := range theirs.Lists {
		slices.SortFunc(theirs.Lists[i], byID)
		for _, e := range theirs.Lists[i] {
			if !spans[i].contains(e.ID) {
				return 0, fmt.Errorf("the peer lists record %s among those of %s to %s", e.ID, spans[i].First, spans[i].Last)
			}
		}
		if err := c.differ(ctx, ours.Lists[i], theirs.Lists[i], ours.Claims, theirs.Claims); err != nil {
			return 0, err
		}
	}
	return len(theirs.Lists), nil
}

// complete adds to what was listed here the records that the peer lists and that were not,
// because their versions are not covered; one that has come since is newer than what the
// peer answered. Those that were listed stay as they were before the peer was asked: what
// the application has saved since is not covered any more, and not lost.
func (c *comparison) complete(ctx context.Context, spans []Span, ours *Answer, theirs Answer) error {
	missing := c.named(theirs.Lists, ours.Lists)
	if len(missing) == 0 {
		return nil
	}
	again, err := c.ownLists(ctx, Question{Lists: spans[:len(theirs.Lists)], IDs: missing})
	if err != nil {
		return err
	}
	slices.Sort(missing)
	for i, list := range again.Lists {
		for _, e := range list {
			if _, found := slices.BinarySearch(missing, e.ID); found {
				ours.Lists[i] = append(ours.Lists[i], e)
			}
		}
		slices.SortFunc(ours.Lists[i], byID)
	}
	return nil
}

// named are the ids in lists that are not in others; none where all records are listed
// anyway.
func (c *comparison) named(lists, others [][]Entry) (ids []string) {
	if c.covered == nil {
		return nil
	}
	known := map[string]bool{}
	for _, list := range others {
		for _, e := range list {
			known[e.ID] = true
		}
	}
	for _, list := range lists {
		for _, e := range list {
			if !known[e.ID] && len(ids) < maxIDs {
				ids = append(ids, e.ID)
			}
		}
	}
	return ids
}

// ownLists lists spans here, all of them, on one snapshot with the claims.
func (c *comparison) ownLists(ctx context.Context, q Question) (Answer, error) {
	q = c.question(q)
	var a Answer
	never := func() bool { return false }
	err := c.db.Read(ctx, func(tx *db.Tx) error {
		r, err := newReader(ctx, tx, q)
		if err != nil {
			return err
		}
		a = Answer{}
		for _, s := range q.Lists {
			lists, err := r.lists(ctx, []Span{s}, never)
			if err != nil {
				return err
			}
			a.Lists = append(a.Lists, lists...)
		}
		if q.Claims {
			a.Claims, err = store.Claims(ctx, tx, q.Filter)
		}
		return err
	})
	return a, err
}

// differ goes through two lists in id order.
func (c *comparison) differ(ctx context.Context, ours, theirs []Entry, weClaim, theyClaim counter.ByPartition) error {
	for len(ours)+len(theirs) > 0 {
		var a, b *Entry
		if len(ours) > 0 && (len(theirs) == 0 || ours[0].ID <= theirs[0].ID) {
			a = &ours[0]
		}
		if len(theirs) > 0 && (len(ours) == 0 || theirs[0].ID <= ours[0].ID) {
			b = &theirs[0]
		}
		if a != nil {
			ours = ours[1:]
		}
		if b != nil {
			theirs = theirs[1:]
		}
		if a != nil && b != nil && *a == *b {
			continue
		}
		d, err := c.judge(ctx, a, b, weClaim, theyClaim)
		if err != nil {
			return err
		}
		if c.note(d); c.options.Each != nil {
			if err := c.options.Each(d); err != nil {
				return err
			}
		}
	}
	return nil
}

// judge finds out what a difference means. A claim says that its holder has the
// version, or one that had seen it: so a side that claims the other's version, and has
// one that had not seen it, has lost something.
func (c *comparison) judge(ctx context.Context, a, b *Entry, weClaim, theyClaim counter.ByPartition) (Difference, error) {
	switch {
	case b == nil:
		d := Difference{ID: a.ID, Partition: a.Partition, Here: versionText(a.Version), Verdict: NewHere, lost: a.Version}
		if theyClaim.Covers(a.Partition, a.Version) {
			d.Verdict = LostThere
		}
		return d, nil
	case a == nil:
		d := Difference{ID: b.ID, Partition: b.Partition, There: versionText(b.Version), Verdict: NewThere, lost: b.Version}
		if weClaim.Covers(b.Partition, b.Version) {
			d.Verdict = LostHere
		}
		return d, nil
	}
	d := Difference{ID: a.ID, Partition: a.Partition, Here: versionText(a.Version), There: versionText(b.Version)}
	weHave, theyHave := weClaim.Covers(b.Partition, b.Version), theyClaim.Covers(a.Partition, a.Version)
	switch {
	case a.Version == b.Version:
		d.Verdict = Damage
	case a.Content == b.Content:
		d.Verdict = EqualContent
	case weHave && theyHave:
		return c.judgeBoth(ctx, d, a, b)
	case weHave:
		d.Verdict = NewHere
	case theyHave:
		d.Verdict = NewThere
	default:
		d.Verdict = ChangedBoth
	}
	return d, nil
}

// judgeBoth is judge where each side claims the other's version: our history tells who
// is wrong.
func (c *comparison) judgeBoth(ctx context.Context, d Difference, a, b *Entry) (Difference, error) {
	var seen bool
	err := c.db.Read(ctx, func(tx *db.Tx) error {
		const query = `SELECT EXISTS (SELECT 1 FROM morango_recordmaxcounter WHERE store_model_id = $1 AND instance_id = $2 AND counter >= $3)`
		return tx.QueryRow(ctx, query, d.ID, b.Version.Instance, b.Version.Counter).Scan(&seen)
	})
	if err != nil {
		return d, fmt.Errorf("read the history of record %s: %w", d.ID, err)
	}
	if d.Verdict, d.lost = LostHere, b.Version; seen {
		d.Verdict, d.lost = LostThere, a.Version
	}
	return d, nil
}

// note counts a difference, and keeps it when few were found so far.
func (c *comparison) note(d Difference) {
	if c.noted != nil && c.noted[d.ID] {
		return
	}
	if c.noted != nil {
		c.noted[d.ID] = true
	}
	keep := &c.wrong
	switch {
	case d.Verdict.explained():
		c.result.Explained++
		keep = &c.apart
	case d.Verdict == Damage:
		c.result.Damaged++
	default:
		c.result.Lost++
	}
	if len(*keep) < c.options.Examples {
		*keep = append(*keep, d)
	}
	if c.result.Explained+c.result.Lost+c.result.Damaged >= maxDifferences {
		c.result.Stopped = true
	}
}

// finish lists what is wrong before what is only not synced yet.
func (c *comparison) finish() Comparison {
	c.result.Differences = append(append([]Difference{}, c.wrong...), c.apart...)
	return c.result
}

func versionText(v counter.Version) string { return fmt.Sprintf("%d@%s", v.Counter, v.Instance) }
