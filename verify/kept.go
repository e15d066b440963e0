package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store"
)

// Part is one partition with the digest of its records.
type Part struct {
	Partition string
	Digest
}

// Kept is what the kept digests of the partitions within a filter sum up to.
type Kept struct {
	Digest
	Partitions int64
	Complete   bool // none has yet to be summed up
}

// Range is the partitions from one up to, but without, another, in the order of code
// points; as To "" is the end.
type Range struct{ From, To string }

// The bounds of keeping digests.
const (
	keptRecords = 5_000 // in a partition, up to which its digest is kept
	keepAtOnce  = 2_500 // records summed up in one transaction, about
	keepRecords = 4_000 // summed up at one go, in some 40 ms; the rest later
	keepTime    = 100 * time.Millisecond
	keepPage    = 256 // partitions looked at in one statement
)

// Keep sums up partitions within the filter whose digests are not known, in bounded time:
// those of first before others. It returns the digests that are new. Where nothing is to
// be done it writes nothing, and in a layout without kept digests it does nothing.
func Keep(ctx context.Context, d *db.DB, f partition.Filter, first []string, now func() time.Time) ([]Part, error) {
	return kept(ctx, d, f, first, now, func(*db.Tx) error { return nil })
}

// kept is Keep, and then looks: on the snapshot that shows that there is nothing to be summed up, or on
// one after that.
func kept(ctx context.Context, d *db.DB, f partition.Filter, first []string, now func() time.Time, look func(*db.Tx) error) (fresh []Part, err error) {
	var stale, total bool
	err = d.Read(ctx, func(tx *db.Tx) error {
		if stale, total, err = toKeep(ctx, tx, f); err != nil || stale || total {
			return err
		}
		return look(tx)
	})
	if err != nil || !stale && !total {
		return nil, err
	}
	if fresh, err = keep(ctx, d, f, first, now, stale, total); err != nil {
		return nil, err
	}
	return fresh, d.Read(ctx, look)
}

// toKeep says whether there are digests to be summed up, and whether their total is to be kept.
func toKeep(ctx context.Context, tx *db.Tx, f partition.Filter) (stale, total bool, err error) {
	keeps, err := store.KeepsDigests(ctx, tx)
	if err != nil || !keeps {
		return false, false, err
	}
	if stale, err = store.AnyStale(ctx, tx, f); err != nil {
		return false, false, err
	}
	total, err = store.NeedsTotal(ctx, tx, f)
	return stale, total, err
}

// keep does what toKeep says.
func keep(ctx context.Context, d *db.DB, f partition.Filter, first []string, now func() time.Time, stale, total bool) (_ []Part, err error) {
	if total {
		err = d.Write(ctx, func(tx *db.Tx) error {
			if err := tx.Lock(ctx, f, false); err != nil {
				return err
			}
			return store.KeepTotal(ctx, tx, f)
		})
	}
	if err != nil || !stale {
		return nil, err
	}
	k := keeper{db: d, filter: f, budget: keepRecords, now: now, end: now().Add(keepTime)}
	if len(first) > 0 {
		err = k.run(ctx, first)
	}
	if err == nil {
		err = k.run(ctx, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("sum up partitions: %w", err)
	}
	return k.fresh, nil
}

// keeper is one run of Keep.
type keeper struct {
	db     *db.DB
	filter partition.Filter
	budget int // records that may yet be read
	now    func() time.Time
	end    time.Time
	fresh  []Part
}

// run takes page after page, each in a short transaction. It holds the locks that
// writers of these partitions hold, and reads what it sums up on the snapshot in which
// it writes: nobody can have written in between. It holds them exclusively, because two at
// once would sum up the same partitions, and get in each other's way at the totals.
func (k *keeper) run(ctx context.Context, among []string) error {
	for k.budget > 0 && k.now().Before(k.end) {
		var parts []Part
		var read int
		more := false
		err := k.db.WritePart(ctx, k, func(tx *db.Tx) error {
			if err := tx.Lock(ctx, k.filter, false); err != nil {
				return err
			}
			page, err := store.StaleDigests(ctx, tx, k.filter, among, keepPage, keptRecords+1)
			if err != nil {
				return err
			}
			n := 0
			for read = 0; n < len(page) && (n == 0 || read+int(page[n].Records) <= keepAtOnce); n++ {
				if page[n].Records <= keptRecords {
					read += int(page[n].Records)
				}
			}
			more = n < len(page) || n == keepPage
			parts, err = keepParts(ctx, tx, page[:n])
			return err
		})
		if err != nil || !more {
			k.fresh = append(k.fresh, parts...)
			return err
		}
		k.fresh, k.budget = append(k.fresh, parts...), k.budget-read-1
	}
	return nil
}

// keepParts sums up partitions, of which the number of records is known as far as
// keptRecords, and keeps the digests.
func keepParts(ctx context.Context, tx *db.Tx, page []store.PartitionDigest) ([]Part, error) {
	var names []string
	for i, p := range page {
		if p.Records > keptRecords {
			page[i].Records = store.TooMany
		} else {
			names = append(names, p.Partition)
		}
	}
	sums, err := sumParts(ctx, tx, names)
	if err != nil {
		return nil, err
	}
	var parts []Part
	for i, p := range page {
		if p.Records == store.TooMany {
			continue
		}
		sum := sums[p.Partition]
		page[i] = rowOf(Part{p.Partition, sum})
		if sum.Records > 0 {
			parts = append(parts, Part{p.Partition, sum})
		}
	}
	return parts, store.KeepDigests(ctx, tx, page)
}

// sumParts sums up the records of partitions, those of all profiles.
func sumParts(ctx context.Context, tx *db.Tx, names []string) (map[string]Digest, error) {
	sums := map[string]Digest{}
	if len(names) == 0 {
		return sums, nil
	}
	r := &reader{tx: tx, all: true}
	err := r.query(ctx, underPartition+tx.Among("partition", 1), []any{db.JSONList(names)}, func(_ string, e Entry) bool {
		sum := sums[e.Partition]
		sum.add(e)
		sums[e.Partition] = sum
		return true
	})
	return sums, err
}

func rowOf(p Part) store.PartitionDigest {
	return store.PartitionDigest{Partition: p.Partition, Records: p.Records,
		Sum: [4]uint32{uint32(p.hi >> 32), uint32(p.hi), uint32(p.lo >> 32), uint32(p.lo)}}
}

func partOf(d store.PartitionDigest) Part {
	return Part{d.Partition, Digest{d.Records, uint64(d.Sum[0])<<32 | uint64(d.Sum[1]), uint64(d.Sum[2])<<32 | uint64(d.Sum[3])}}
}

// keptOf is what the kept digests under a filter sum up to; nil where none are kept.
func keptOf(ctx context.Context, tx *db.Tx, f partition.Filter) (*Kept, error) {
	kept, err := store.KeepsDigests(ctx, tx)
	if err != nil || !kept {
		return nil, err
	}
	t, err := store.SumDigests(ctx, tx, f)
	if err != nil {
		return nil, err
	}
	k := &Kept{Digest: Digest{Records: t.Records}, Partitions: t.Partitions, Complete: !t.Stale}
	for _, sum := range t.Sums { // what one part carries over belongs to the part before it
		n := number{k.hi, k.lo}.shifted().plus(number{lo: uint64(sum)})
		k.hi, k.lo = n.hi, n.lo
	}
	return k, nil
}

// shifted is the number times 2 to the power of 32.
func (n number) shifted() number { return number{n.hi<<32 | n.lo>>32, n.lo << 32} }

// answerParts answers what a question asks about kept digests.
func answerParts(ctx context.Context, tx *db.Tx, q Question, a *Answer) (err error) {
	if a.Kept, err = keptOf(ctx, tx, q.Filter); err != nil || a.Kept == nil {
		return err
	}
	if a.Ahead, err = ahead(ctx, tx, q); err != nil {
		return err
	}
	if len(q.Parts) > 0 {
		theirs := map[string]Digest{}
		var names []string
		for _, p := range q.Parts {
			theirs[p.Partition], names = p.Digest, append(names, p.Partition)
		}
		err = store.KeptDigests(ctx, tx, q.Filter, "", "", names, func(d store.PartitionDigest) error {
			if p := partOf(d); theirs[p.Partition] != p.Digest {
				a.Parts = append(a.Parts, p)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, one := range q.Ranges {
		var sum Digest
		err = store.KeptDigests(ctx, tx, q.Filter, one.From, one.To, nil, func(d store.PartitionDigest) error {
			sum = sum.plus(partOf(d).Digest)
			return nil
		})
		if err != nil {
			return err
		}
		a.Ranges = append(a.Ranges, sum)
	}
	for _, one := range q.PartsOf {
		list, err := listParts(ctx, tx, q.Filter, one)
		if err != nil {
			return err
		}
		a.Parts = append(a.Parts, list...)
	}
	return nil
}

// listParts lists the kept digests of a range, no more than maxParts.
func listParts(ctx context.Context, tx *db.Tx, f partition.Filter, r Range) (list []Part, err error) {
	err = store.KeptDigests(ctx, tx, f, r.From, r.To, nil, func(d store.PartitionDigest) error {
		if len(list) == maxParts {
			return errEnough
		}
		list = append(list, partOf(d))
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return list, err
}
