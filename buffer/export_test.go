package buffer

// The queries, for the test of their plans, and pages of a chosen size.
const (
	Histories      = histories
	KnownHistories = knownHistories
)

// PageUpTo is Page with another bound of bytes.
var PageUpTo = pageAfter
