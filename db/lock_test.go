package db_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/partition"
)

// heldKeys lists the granted advisory locks of a database: classid:objid:mode.
const heldKeys = `
	SELECT coalesce(string_agg(l.classid::text || ':' || l.objid::text || ':' || l.mode, ' ' ORDER BY l.classid, l.objid::bigint, l.mode), '')
	FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`

const countWaiting = `
	SELECT count(*) FROM pg_locks l WHERE l.locktype = 'advisory' AND NOT l.granted
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// The checksums of 32 times "a" and 32 times "é" (in UTF-8) less 2147483647, as
// PostgreSQL shows them: without sign.
const (
	keyA = "1253119864"
	keyE = "608165912"
)

func held(t *testing.T, d *db.DB) (keys string) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.QueryRow(t.Context(), heldKeys).Scan(&keys) })
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// The numbers are what the reference locks for the same partitions.
func TestLocksAreThoseOfTheReference(t *testing.T) {
	d := dbtest.Postgres(t)
	a, e := strings.Repeat("a", 32), strings.Repeat("é", 32)
	for _, c := range []struct {
		filter partition.Filter
		shared bool
		want   string
	}{
		{partition.Of(a), false, "0:1:ShareLock 2:KEY_A:ExclusiveLock"},
		{partition.Of(a+":user:x", a), true, "0:1:ShareLock 2:KEY_A:ShareLock"},
		{partition.Of(e, a), false, "0:1:ShareLock 2:KEY_A:ExclusiveLock 2:KEY_E:ExclusiveLock"},
		{partition.Of(a[:31]), false, "0:1:ExclusiveLock"},
		{partition.Of(a, "abc"), true, "0:1:ExclusiveLock"},
		{partition.All(), false, "0:1:ExclusiveLock"},
		{partition.Filter{}, false, "0:1:ExclusiveLock"},
	} {
		want := strings.NewReplacer("KEY_A", keyA, "KEY_E", keyE).Replace(c.want)
		write(t, d, func(tx *db.Tx) error {
			if err := tx.Lock(t.Context(), c.filter, c.shared); err != nil {
				return err
			}
			// What this transaction's connection holds is seen by another one.
			if got := held(t, d); !sameWords(got, want) {
				t.Errorf("filter %q, shared %v: holds %q, want %q", c.filter.Prefixes(), c.shared, got, want)
			}
			return nil
		})
		if got := held(t, d); got != "" {
			t.Errorf("filter %q: after the commit %q is still held", c.filter.Prefixes(), got)
		}
	}
}

func sameWords(a, b string) bool {
	seen := map[string]int{}
	for _, w := range strings.Fields(a) {
		seen[w]++
	}
	for _, w := range strings.Fields(b) {
		seen[w]--
	}
	for _, n := range seen {
		if n != 0 {
			return false
		}
	}
	return true
}

// waiter locks f in a transaction of its own and then counts rows.
func waiter(d *db.DB, f partition.Filter, shared bool) (seen chan int, failed chan error) {
	seen, failed = make(chan int, 1), make(chan error, 1)
	go func() {
		ctx := context.Background()
		runs := 0
		failed <- d.Write(ctx, func(tx *db.Tx) error {
			if runs++; runs > 1 {
				return errors.New("ran twice: the snapshot was older than the lock")
			}
			if err := tx.Lock(ctx, f, shared); err != nil {
				return err
			}
			var n int
			if err := tx.QueryRow(ctx, countNonces).Scan(&n); err != nil {
				return err
			}
			seen <- n
			_, err := tx.Exec(ctx, `UPDATE morango_nonce SET ip = 'seen'`)
			return err
		})
	}()
	return seen, failed
}

func awaitWaiting(t *testing.T, d *db.DB) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); count(t, d, countWaiting) == 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("nobody waits for the lock")
		}
	}
}

// A transaction that waited for a lock sees what its holder committed.
func TestLockThenSnapshot(t *testing.T) {
	ours := strings.Repeat("a", 32)
	for name, filters := range map[string][2]partition.Filter{
		"same partition":    {partition.Of(ours), partition.Of(ours + ":user")},
		"short after long":  {partition.Of(ours), partition.Of("aaa")},
		"long after short":  {partition.Of("aaa"), partition.Of(ours)},
		"everything, twice": {partition.All(), {}},
	} {
		t.Run(name, func(t *testing.T) {
			d := dbtest.Postgres(t)
			var seen chan int
			var failed chan error
			write(t, d, func(tx *db.Tx) error {
				if err := tx.Lock(t.Context(), filters[0], false); err != nil {
					return err
				}
				seen, failed = waiter(d, filters[1], name == "short after long")
				awaitWaiting(t, d)
				_, err := tx.Exec(t.Context(), addNonce, idA, tx.Time(time.Now()))
				return err
			})
			if err := <-failed; err != nil {
				t.Fatal(err)
			}
			if n := <-seen; n != 1 {
				t.Errorf("it sees %d rows, want the one committed under the lock", n)
			}
			if keys := held(t, d); keys != "" {
				t.Errorf("still held: %s", keys)
			}
		})
	}
}

func TestOtherPartitionsAndReadersDoNotWait(t *testing.T) {
	d := dbtest.Postgres(t)
	a, b := strings.Repeat("a", 32), strings.Repeat("b", 32)
	for _, c := range []struct {
		first, second             partition.Filter
		firstShared, secondShared bool
	}{
		{partition.Of(a), partition.Of(b), false, false},
		{partition.Of(a), partition.Of(a), true, true},
	} {
		write(t, d, func(tx *db.Tx) error {
			if err := tx.Lock(t.Context(), c.first, c.firstShared); err != nil {
				return err
			}
			_, failed := waiter(d, c.second, c.secondShared)
			return <-failed
		})
	}
}

// Waiting that is given up leaves no lock on a connection that goes back to the pool.
func TestGivenUpLockIsLetGo(t *testing.T) {
	d := dbtest.Postgres(t)
	a, b := strings.Repeat("a", 32), strings.Repeat("b", 32)
	write(t, d, func(tx *db.Tx) error {
		if err := tx.Lock(t.Context(), partition.Of(b), false); err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			result <- d.Write(ctx, func(tx *db.Tx) error { return tx.Lock(ctx, partition.Of(a, b), false) })
		}()
		awaitWaiting(t, d)
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("the lock gave %v, want context.Canceled", err)
		}
		return nil
	})
	_, failed := waiter(d, partition.Of(a, b), false)
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if keys := held(t, d); keys != "" {
		t.Errorf("still held: %s", keys)
	}
}

// Two transactions that lock each other out through tables are both done in the end,
// and the one that was thrown out kept no lock.
func TestDeadlockIsRetried(t *testing.T) {
	d := dbtest.Postgres(t)
	a, b := strings.Repeat("a", 32), strings.Repeat("b", 32)
	first := make(chan struct{}, 4)
	both := func(x, y string) chan error {
		done := make(chan error, 1)
		go func() {
			met := false
			done <- d.Write(t.Context(), func(tx *db.Tx) error {
				if err := tx.Lock(t.Context(), partition.Of(x), false); err != nil {
					return err
				}
				if !met { // in the first run, wait until the other holds its lock too
					met = true
					first <- struct{}{}
					for len(first) < 2 {
						runtime.Gosched()
					}
				}
				return tx.Lock(t.Context(), partition.Of(y), false)
			})
		}()
		return done
	}
	one, other := both(a, b), both(b, a)
	if err := errors.Join(<-one, <-other); err != nil {
		t.Fatal(err)
	}
	if keys := held(t, d); keys != "" {
		t.Errorf("still held: %s", keys)
	}
}
