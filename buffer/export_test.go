package buffer

// The queries, for the test of their plans.
const (
	Histories      = histories
	KnownHistories = knownHistories
)
