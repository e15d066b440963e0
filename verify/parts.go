package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store"
)

// How much of what differs is looked at after one sync: the others have their turn after
// the next, when these are mended or explained.
const (
	closerParts   = 8
	closerRecords = keptRecords
)

// agree says whether kept digests give no cause to look closer: they are as expected, or
// one side has yet to sum up some, or keeps none.
func (k *Kept) agree(expected *Kept) bool {
	return k == nil || expected == nil || !k.Complete || !expected.Complete || k.Digest == expected.Digest
}

// Agrees is what a peer finds that is asked a question with expectations: whether its
// answer gives no cause to look closer at partitions.
func (a Answer) Agrees(expected *Kept) bool {
	return len(a.Parts) == 0 && (a.Ahead || a.Kept.agree(expected))
}

// remembered is what the peer's kept digests are expected to sum up to: the same as
// ours, or what they were when the difference to these very ones was explained.
func (g Glance) remembered(ctx context.Context, tx *db.Tx, ours *Kept) (*Kept, error) {
	if ours == nil || !ours.Complete || g.Start < "2" {
		return ours, nil // now and then it is looked again: claims may have risen since
	}
	expected := *ours
	theirs, err := store.Explained(ctx, tx, g.Peer, g.scope(), ours.Sum())
	if err == nil && theirs != "" {
		expected.Digest = NewDigest(expected.Records, theirs)
	}
	return &expected, err
}

// scope names the filter in a bounded number of characters.
func (g Glance) scope() string { return content([]string{g.Profile, g.Filter.String()}) }

// closer looks closer at the partitions that differ. It returns whether all of them were
// looked at.
func (c *comparison) closer(ctx context.Context, ours, theirs Answer) (all bool, err error) {
	differing := map[string]int64{}
	for _, p := range theirs.Parts { // of those that were summed up after this sync
		differing[p.Partition] = p.Records
	}
	if len(differing) == 0 {
		if differing, all, err = c.descend(ctx, ours.Kept); err != nil {
			return false, err
		}
	}
	var chosen []string
	records, passed := int64(0), 0
	for _, name := range slices.Sorted(maps.Keys(differing)) {
		if !c.filter.Contains(name) {
			return false, fmt.Errorf("the peer tells of partition %.40q, which was not asked after", name)
		}
		prefix, ok := c.asked(name)
		if n := records + differing[name]; ok && (passed == 0 || passed < closerParts && n <= closerRecords) {
			chosen, records, passed = append(chosen, prefix), n, passed+1
		}
	}
	if len(chosen) == 0 {
		return false, nil
	}
	c.filter, c.whole = partition.Of(chosen...), true
	return all && passed == len(differing), c.run(ctx, parted(records))
}

// parted cuts all ids into spans of so few of the records that they can be listed.
func parted(records int64) []Span {
	spans := []Span{Everything()}
	for ; records > listRecords && len(spans) < splitParts*splitParts; records /= splitParts {
		spans = splitAll(spans)
	}
	return spans
}

// asked is the prefix by which a partition is asked after: in a filter on the wire white
// space ends a prefix. It must not lead out of what may be asked after.
func (c *comparison) asked(name string) (prefix string, ok bool) {
	prefix, _, _ = strings.Cut(name, " ")
	prefixes := partition.Parse(prefix).Prefixes()
	return prefix, len(prefixes) == 1 && prefixes[0] == prefix && c.filter.Contains(prefix)
}

// descend finds partitions whose kept digests are not the same here and there, with how
// many records they have, and whether these are all: by sums over ranges of partitions
// first, when there are many.
func (c *comparison) descend(ctx context.Context, kept *Kept) (found map[string]int64, all bool, err error) {
	ranges, sums, err := c.ranges(ctx, int(kept.Partitions))
	if err != nil {
		return nil, false, err
	}
	all = true
	if len(ranges) > 1 {
		theirs, err := c.ask(ctx, Question{Kept: true, Ranges: ranges})
		if err != nil {
			return nil, false, err
		}
		if theirs.Kept == nil || len(theirs.Ranges) != len(ranges) {
			return nil, false, fmt.Errorf("the peer answered %d sums for %d ranges of partitions", len(theirs.Ranges), len(ranges))
		}
		if theirs.Ahead {
			return nil, false, nil
		}
		var differing []Range
		for i, r := range ranges {
			if theirs.Ranges[i] != sums[i] {
				differing = append(differing, r)
			}
		}
		if ranges = differing[:min(len(differing), maxLists)]; len(ranges) == 0 {
			return nil, false, nil // it has changed meanwhile
		}
		all = len(ranges) == len(differing)
	}
	theirs, err := c.ask(ctx, Question{Kept: true, PartsOf: ranges})
	if err != nil || theirs.Ahead {
		return nil, false, err
	}
	found, err = c.differing(ctx, ranges, theirs.Parts)
	return found, all && len(theirs.Parts) < maxParts, err
}

// ranges cuts all partitions into ranges, and sums up each.
func (c *comparison) ranges(ctx context.Context, count int) (ranges []Range, sums []Digest, err error) {
	each := max(maxParts/2, (count+maxRanges-1)/maxRanges+1)
	n := 0
	err = c.db.Read(ctx, func(tx *db.Tx) error {
		ranges, sums, n = []Range{{}}, []Digest{{}}, 0
		return store.KeptDigests(ctx, tx, c.filter, "", "", nil, func(d store.PartitionDigest) error {
			last := len(ranges) - 1
			if n++; n > each && len(ranges) < maxRanges {
				ranges[last].To, n = d.Partition, 1
				ranges, sums = append(ranges, Range{From: d.Partition}), append(sums, Digest{})
				last++
			}
			sums[last] = sums[last].plus(partOf(d).Digest)
			return nil
		})
	})
	return ranges, sums, err
}

// differing compares lists of kept digests. One that only one side has counts, too: the
// other may have lost all its records.
func (c *comparison) differing(ctx context.Context, ranges []Range, theirs []Part) (map[string]int64, error) {
	there := map[string]Digest{}
	for _, p := range theirs {
		there[p.Partition] = p.Digest
	}
	found := map[string]int64{}
	err := c.db.Read(ctx, func(tx *db.Tx) error {
		clear(found)
		for _, p := range theirs {
			found[p.Partition] = p.Records
		}
		for _, r := range ranges {
			list, err := listParts(ctx, tx, c.filter, r)
			if err != nil {
				return err
			}
			for _, p := range list {
				if there[p.Partition] == p.Digest {
					delete(found, p.Partition)
				} else {
					found[p.Partition] = max(p.Records, there[p.Partition].Records)
				}
			}
		}
		return nil
	})
	return found, err
}
