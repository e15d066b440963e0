package dequeue

// RunPaged is Run with pages of few rows.
var RunPaged = run
