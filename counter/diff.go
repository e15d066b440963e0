package counter

// DiffLegacy returns, for each instance of which the sender has seen more than the
// receiver, the counter above which records have to be sent.
func DiffLegacy(sender, receiver Counters) Counters { panic("not written") }

// Diff is DiffLegacy by partition: both sides expanded; what the receiver claims
// under a wider prefix counts.
func Diff(sender, receiver ByPartition) ByPartition { panic("not written") }

// Chunk splits b into parts in sorted order, each with about size partitions and
// instances together, for peers and statements that take only so many.
func Chunk(b ByPartition, size int) []ByPartition { panic("not written") }
