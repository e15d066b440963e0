package postgres

import (
	"context"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/morango-go/morango/db/transaction"
)

// The advisory locks are those of the reference, so that Python processes on the
// same database are kept out too: lock 1 is everything, lock (2, k) the partitions
// whose first 32 characters have the checksum k. Who locks partitions holds lock 1
// in shared form.
const (
	lockAll       = 1
	lockPartition = 2
	primary       = 32 // characters of a partition that lock it
)

// lock is one advisory lock: its arguments, and whether it is shared.
type lock struct {
	arguments string
	shared    bool
}

// locksOf says what to lock for a filter's prefixes, always in the same order. A
// prefix shorter than 32 characters covers partitions whose checksums cannot be
// known, so it locks everything, and against those who hold a partition even when
// it only reads.
func locksOf(prefixes []string, shared bool) []lock {
	everything := []lock{{fmt.Sprint(lockAll), false}}
	if len(prefixes) == 0 {
		return everything
	}
	var keys []int64
	for _, prefix := range prefixes {
		runes := []rune(prefix)
		if len(runes) < primary {
			return everything
		}
		key := int64(crc32.ChecksumIEEE([]byte(string(runes[:primary])))) - math.MaxInt32
		if key > math.MaxInt32 {
			return everything // one checksum of four thousand million does not fit the lock's number
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	locks := []lock{{fmt.Sprint(lockAll), true}}
	for _, key := range slices.Compact(keys) {
		locks = append(locks, lock{fmt.Sprintf("%d, %d", lockPartition, key), shared})
	}
	return locks
}

// Lock locks the partitions of prefixes, or everything when there are none, until
// the transaction ends.
//
// A repeatable read transaction takes its snapshot with its first statement, which
// would be the one that waits for the lock: it would then not see what the previous
// holder committed. So when the transaction is fresh, the locks are first taken for
// the connection, the transaction starts again with a new snapshot, takes them for
// itself, and the connection lets go: in one round trip. When that fails, the
// connection may still hold some; it is then closed (see conn).
func (Dialect) Lock(ctx context.Context, tx *transaction.Tx, fresh bool, prefixes []string, shared bool) error {
	locks := locksOf(prefixes, shared)
	var b strings.Builder
	if fresh {
		write(&b, "pg_advisory_lock", locks)
		b.WriteString("COMMIT AND CHAIN; ")
	}
	write(&b, "pg_advisory_xact_lock", locks)
	if fresh {
		write(&b, "pg_advisory_unlock", locks)
		ctx = context.WithValue(ctx, lockKey{}, true)
	}
	// Several statements in one text need the simple protocol; they hold numbers only.
	_, err := tx.ExecContext(ctx, b.String(), pgx.QueryExecModeSimpleProtocol)
	return err
}

func write(b *strings.Builder, function string, locks []lock) {
	for _, l := range locks {
		name := function
		if l.shared {
			name += "_shared"
		}
		fmt.Fprintf(b, "SELECT %s(%s); ", name, l.arguments)
	}
}
