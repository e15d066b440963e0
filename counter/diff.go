package counter

import (
	"maps"
	"slices"

	"github.com/morango-go/morango/partition"
)

// DiffLegacy returns, for each instance of which the sender has seen more than the
// receiver, the counter above which records have to be sent.
func DiffLegacy(sender, receiver Counters) Counters {
	missing := Counters{}
	for instance, n := range sender {
		if seen := receiver[instance]; seen < n {
			missing[instance] = seen
		}
	}
	return missing
}

// Diff is DiffLegacy by partition: both sides expanded; what the receiver claims
// under a wider prefix counts. Partitions with nothing to send are left out.
func Diff(sender, receiver ByPartition) ByPartition {
	missing := ByPartition{}
	for prefix, counters := range sender {
		lower := Counters{}
		for instance, n := range counters {
			if seen := receiver.seen(prefix, instance); seen < n {
				lower[instance] = seen
			}
		}
		if len(lower) > 0 {
			missing[prefix] = lower
		}
	}
	return missing
}

// Chunk splits b into parts in sorted order, each with at most size partitions and
// instances together, for statements that take only so many; a size below 2 counts
// as 2, since an instance needs its partition. A partition may go on in the next
// part. Partitions without instances are left out, and still count.
func Chunk(b ByPartition, size int) []ByPartition {
	var parts []ByPartition
	part, left := ByPartition{}, size
	for _, prefix := range slices.Sorted(maps.Keys(b)) {
		left--
		for _, instance := range slices.Sorted(maps.Keys(b[prefix])) {
			if left <= 0 {
				if len(part) > 0 {
					parts = append(parts, part)
				}
				part, left = ByPartition{}, size-1
			}
			if part[prefix] == nil {
				part[prefix] = Counters{}
			}
			part[prefix][instance] = b[prefix][instance]
			left--
		}
	}
	if len(part) > 0 {
		parts = append(parts, part)
	}
	return parts
}

// Throughout returns the counters that are claimed under every prefix of the filter: up to
// them nothing in the filter is missing. It is empty for a filter without a prefix.
func (b ByPartition) Throughout(filter partition.Filter) Counters {
	var all Counters
	for i, prefix := range filter.Prefixes() {
		here := Counters{}
		for _, counters := range b.covering(prefix) {
			here.raise(counters)
		}
		if i == 0 {
			all = here
			continue
		}
		for instance, n := range all {
			if all[instance] = min(n, here[instance]); all[instance] == 0 {
				delete(all, instance)
			}
		}
	}
	if all == nil {
		all = Counters{}
	}
	return all
}
