package queue

// The statements, for the test of their plans.
const (
	MakeClaims    = makeClaims
	FillBuffer    = fillBuffer
	FillHistories = fillHistories
)
