// Package partition holds filters: ordered sets of partition prefixes that say
// which subset of the records somebody may see or wants to transfer.
//
// It belongs to the words layer: pure values, no I/O. It imports only the
// standard library. On a row's path it decides at every stage whether a row
// takes part.
package partition

// Filter is an ordered set of partition prefixes. The zero value has no prefix
// and matches nothing on its own; the filter that matches all is All.
// A filter is immutable.
type Filter struct{ prefixes []string }
