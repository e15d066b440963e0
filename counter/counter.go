// Package counter holds versions and the summaries of versions: what a peer has
// seen of which instance, per partition prefix (filter max counters, on the wire
// FSIC), and the arithmetic by which two peers find what one lacks.
//
// It belongs to the words layer: pure values, no I/O. It imports ident and
// partition. On a row's path it decides at queue what travels, and at dequeue
// what is claimed afterwards.
package counter

import "maps"

// Greatest is the highest counter that the tables of a peer can hold.
const Greatest = 1<<31 - 1

// Version names one save of one record: the instance that saved it and that
// instance's counter at the time. The zero value is no version.
type Version struct {
	Instance string // 32 hex digits
	Counter  int64  // 0..Greatest
}

// Counters maps an instance id to a counter. Depending on where it stands it is
// a record's history (record max counters) or a claim (database max counters).
// A missing instance and the counter 0 mean the same: nothing seen.
type Counters map[string]int64

// Has says whether the version is among what these counters sum up.
func (c Counters) Has(v Version) bool { return c[v.Instance] >= v.Counter }

// Max returns the higher counter of each instance, in a new map.
func (c Counters) Max(other Counters) Counters {
	all := make(Counters, max(len(c), len(other)))
	maps.Copy(all, c)
	for instance, n := range other {
		if mine, ok := all[instance]; !ok || n > mine {
			all[instance] = n
		}
	}
	return all
}

// ByPartition maps a partition prefix to the counters claimed under it. What is
// claimed under a prefix holds for every partition that begins with it.
type ByPartition map[string]Counters

// Covers says whether a record of this partition that was last saved in this
// version is among what is claimed: under some prefix of its partition.
func (b ByPartition) Covers(partition string, v Version) bool {
	return b.seen(partition, v.Instance) >= v.Counter
}

// seen returns the highest counter claimed of an instance under the prefixes of a
// partition; 0 without a claim.
func (b ByPartition) seen(partition, instance string) int64 {
	var highest int64
	for _, counters := range b.covering(partition) {
		highest = max(highest, counters[instance])
	}
	return highest
}

// Max returns, for each prefix of either, the higher counter of each instance, in
// new maps. It does not look at wider prefixes.
func (b ByPartition) Max(other ByPartition) ByPartition {
	all := make(ByPartition, max(len(b), len(other)))
	for prefix, counters := range b {
		all[prefix] = counters.Max(other[prefix])
	}
	for prefix, counters := range other {
		if _, ok := all[prefix]; !ok {
			all[prefix] = counters.clone()
		}
	}
	return all
}
