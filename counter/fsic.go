package counter

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/morango-go/morango/partition"
)

// ErrOutsideFilter says that a peer's FSIC names a partition that does not lie in
// the filter of the transfer.
var ErrOutsideFilter = errors.New("FSIC names a partition outside the filter")

// FSIC is a peer's claim for one filter, as it travels. Exactly one form is set:
// Legacy (v1: one counter an instance, whatever the prefix) or Super and Sub
// (v2: by partition; Super are wider than the filter, Sub lie under it).
type FSIC struct {
	Legacy     Counters
	Super, Sub ByPartition
}

// IsLegacy says whether the FSIC is of the first form (v1).
func (f FSIC) IsLegacy() bool { return f.Legacy != nil }

// Reduce returns a copy without the counters that a wider partition of the same
// FSIC claims already. Partitions that become empty stay: they say that there is
// data. A partition in both Super and Sub counts as what Sub says.
func (f FSIC) Reduce() FSIC {
	if f.IsLegacy() {
		return FSIC{Legacy: f.Legacy.clone()}
	}
	claimed := make(ByPartition, len(f.Super)+len(f.Sub))
	maps.Copy(claimed, f.Super)
	maps.Copy(claimed, f.Sub)
	return FSIC{Super: f.Super.reducedBy(claimed), Sub: f.Sub.reducedBy(claimed)}
}

// reducedBy returns a copy of b without the counters that some other, wider
// prefix of claimed has as high.
func (b ByPartition) reducedBy(claimed ByPartition) ByPartition {
	reduced := make(ByPartition, len(b))
	for prefix, counters := range b {
		kept := counters.clone()
		for _, wider := range claimed.wider(prefix) {
			for instance, n := range kept {
				if m, ok := wider[instance]; ok && n <= m {
					delete(kept, instance)
				}
			}
		}
		reduced[prefix] = kept
	}
	return reduced
}

// Check returns ErrOutsideFilter when a partition of Sub does not lie in the
// filter. What Super names is only read, never stored under its own name.
func (f FSIC) Check(filter partition.Filter) error {
	for _, prefix := range slices.Sorted(maps.Keys(f.Sub)) {
		if !filter.Contains(prefix) {
			return fmt.Errorf("partition %.200q: %w", prefix, ErrOutsideFilter)
		}
	}
	return nil
}

// Expanded returns the FSIC that advertises exactly b, all of it under Sub.
func Expanded(b ByPartition) FSIC { return FSIC{Super: ByPartition{}, Sub: b} }

// Expand returns what the claim means under each prefix of the filter, in one
// form for v1 and v2: counters of wider partitions are carried down. This is what
// queue compares versions with and what is stored after a transfer. Partitions
// without any counter are left out. The FSIC stays as it is.
func (f FSIC) Expand(filter partition.Filter) ByPartition {
	if f.IsLegacy() {
		return f.expandLegacy(filter)
	}
	expanded := make(ByPartition, len(f.Sub))
	for prefix, counters := range f.Sub {
		expanded[prefix] = counters.clone()
	}
	for _, prefix := range filter.Prefixes() {
		if expanded[prefix] == nil {
			expanded[prefix] = Counters{}
		}
	}
	for prefix, counters := range expanded {
		if len(expanded.wider(prefix)) > 0 {
			continue // the wider one carries for both: a claim holds for all that begins with its prefix
		}
		for _, claimed := range f.Super.covering(prefix) {
			counters.raise(claimed)
		}
	}
	maps.DeleteFunc(expanded, func(_ string, counters Counters) bool { return len(counters) == 0 })
	return expanded
}

// expandLegacy claims the same under each prefix of the filter.
func (f FSIC) expandLegacy(filter partition.Filter) ByPartition {
	expanded := ByPartition{}
	for _, prefix := range filter.Prefixes() {
		if len(f.Legacy) > 0 {
			expanded[prefix] = f.Legacy.clone()
		}
	}
	return expanded
}

// raise raises c, in place, to what another claims; a counter of 0 adds nothing.
func (c Counters) raise(claimed Counters) {
	for instance, n := range claimed {
		if n > c[instance] {
			c[instance] = n
		}
	}
}

// clone returns a copy that is never nil.
func (c Counters) clone() Counters {
	copied := make(Counters, len(c))
	maps.Copy(copied, c)
	return copied
}

// covering returns the counters under every prefix of b with which the partition
// begins, the partition itself among them. It looks the partition's own prefixes
// up, so that it takes as long for many partitions as for few.
func (b ByPartition) covering(partition string) []Counters {
	found := b.wider(partition)
	if counters, ok := b[partition]; ok {
		found = append(found, counters)
	}
	return found
}

// wider is covering without the partition itself.
func (b ByPartition) wider(partition string) []Counters {
	var found []Counters
	for end := range len(partition) {
		if counters, ok := b[partition[:end]]; ok {
			found = append(found, counters)
		}
	}
	return found
}
