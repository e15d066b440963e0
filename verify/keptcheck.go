package verify

import (
	"context"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store"
)

const unnoted = `SELECT DISTINCT s.partition FROM morango_store s
	WHERE NOT EXISTS (SELECT 1 FROM morango_digest d WHERE d.partition = s.partition)`

// kept checks the digests that are kept of partitions against the records: one that is
// not theirs says that records were changed, or lost, by others than the engine.
func (c *check) kept(ctx context.Context) error {
	keeps, err := store.KeepsDigests(ctx, c.tx)
	if err != nil || !keeps {
		return err
	}
	err = c.each(ctx, "partitions", unnoted, nil, func(row scanner) error {
		var place string
		err := row.Scan(&place)
		c.find(PartitionDigest, place, "", "records came into this partition by others than the engine")
		return err
	})
	if err != nil {
		return err
	}
	totals, err := store.WrongTotals(ctx, c.tx)
	if err != nil {
		return err
	}
	for _, filter := range totals {
		c.find(PartitionDigest, filter, "", "the total that is kept of this filter is not what its partitions' digests sum up to")
	}
	for from, more := "", true; more; {
		page, err := listParts(ctx, c.tx, partition.All(), Range{From: from})
		if err != nil {
			return err
		}
		if more = len(page) == maxParts; more {
			from, page = page[maxParts-1].Partition, page[:maxParts-1]
		}
		var names []string
		for _, p := range page {
			names = append(names, p.Partition)
		}
		sums, err := sumParts(ctx, c.tx, names)
		if err != nil {
			return err
		}
		for _, p := range page {
			if is := sums[p.Partition]; is != p.Digest {
				c.find(PartitionDigest, p.Partition, "", "its %d records are not the %d that were summed up here", is.Records, p.Records)
			}
		}
	}
	return nil
}

// sumAgain has the digests of partitions computed again.
func (r Repair) sumAgain(ctx context.Context) error {
	return r.inPages(ctx, PartitionDigest, (*check).kept, func(ctx context.Context, tx *db.Tx, found []Example) error {
		var places []string
		for _, e := range found {
			places = append(places, e.Object)
		}
		if err := store.ForgetTotals(ctx, tx); err != nil {
			return err
		}
		return store.Touch(ctx, tx, places) // a filter's text among them is no partition, and goes when it is looked at
	})
}
