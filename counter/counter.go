// Package counter holds versions and the summaries of versions: what a peer has
// seen of which instance, per partition prefix (filter max counters, on the wire
// FSIC), and the arithmetic by which two peers find what one lacks.
//
// It belongs to the words layer: pure values, no I/O. It imports partition.
// On a row's path it decides at queue what travels, and at dequeue what is
// claimed afterwards.
package counter

import "github.com/morango-go/morango/partition"

// Version names one save of one record: the instance that saved it and that
// instance's counter at the time. The zero value is no version.
type Version struct {
	Instance string // 32 hex digits
	Counter  int64  // 0..2147483647
}

// Counters maps an instance id to a counter. Depending on where it stands it is
// a record's history (record max counters) or a claim (database max counters).
type Counters map[string]int64

// ByPartition maps a partition prefix to the counters claimed under it.
type ByPartition map[string]Counters

// FSIC is a peer's claim for one filter, as it travels. Exactly one form is set:
// Legacy (v1: one counter an instance, whatever the prefix) or Super and Sub
// (v2: by partition; Super are wider than the filter, Sub lie under it).
type FSIC struct {
	Legacy     Counters
	Super, Sub ByPartition
}

// Expand returns what the claim means under each prefix of the filter, in one
// form for v1 and v2: counters of wider partitions are carried down. This is what
// queue compares versions with and what is stored after a transfer.
func (f FSIC) Expand(filter partition.Filter) ByPartition { panic("not written") }
