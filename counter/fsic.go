package counter

import (
	"errors"
	"strings"

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

// Parse reads an FSIC from the wire: v2 when it has "super" or "sub", else v1.
// It trusts nothing: the error says what is wrong.
func Parse(text []byte) (FSIC, error) { panic("not written") }

// MarshalJSON returns the wire text, with keys in sorted order.
func (f FSIC) MarshalJSON() ([]byte, error) { panic("not written") }

// String returns the wire text: a JSON object with sorted keys.
func (f FSIC) String() string { panic("not written") }

// IsLegacy says whether the FSIC is of the first form (v1).
func (f FSIC) IsLegacy() bool { return f.Legacy != nil }

// Reduce returns a copy without the counters that a wider partition of the same
// FSIC claims already. Partitions that become empty stay: they say that there is
// data. A partition in both Super and Sub counts as what Sub says.
func (f FSIC) Reduce() FSIC { panic("not written") }

// Check returns ErrOutsideFilter when a partition of Sub does not lie in the
// filter. What Super names is only read, never stored under its own name.
func (f FSIC) Check(filter partition.Filter) error { panic("not written") }

// Expanded returns the FSIC that advertises exactly b, all of it under Sub.
func Expanded(b ByPartition) FSIC { return FSIC{Super: ByPartition{}, Sub: b} }

// Expand returns what the claim means under each prefix of the filter, in one
// form for v1 and v2: counters of wider partitions are carried down. This is what
// queue compares versions with and what is stored after a transfer. Partitions
// without any counter are left out. The FSIC stays as it is.
func (f FSIC) Expand(filter partition.Filter) ByPartition {
	expanded := ByPartition{}
	if f.IsLegacy() {
		for _, prefix := range filter.Prefixes() {
			if len(f.Legacy) > 0 {
				expanded[prefix] = f.Legacy.Max(nil)
			}
		}
		return expanded
	}
	for prefix, counters := range f.Sub {
		expanded[prefix] = counters.Max(nil)
	}
	for _, prefix := range filter.Prefixes() {
		if _, ok := expanded[prefix]; !ok {
			expanded[prefix] = Counters{}
		}
	}
	for prefix, counters := range expanded {
		if !expanded.underAnother(prefix) {
			f.Super.carryDown(prefix, counters)
		}
	}
	for prefix, counters := range expanded {
		if len(counters) == 0 {
			delete(expanded, prefix)
		}
	}
	return expanded
}

// underAnother says whether the prefix lies under another one of b.
func (b ByPartition) underAnother(prefix string) bool {
	for other := range b {
		if other != prefix && strings.HasPrefix(prefix, other) {
			return true
		}
	}
	return false
}

// carryDown raises counters to what b claims under the prefixes of a partition.
func (b ByPartition) carryDown(partition string, counters Counters) {
	for prefix, claimed := range b {
		if !strings.HasPrefix(partition, prefix) {
			continue
		}
		for instance, n := range claimed {
			if n > counters[instance] {
				counters[instance] = n
			}
		}
	}
}
