package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
)

// longestPartition is how many characters the column for a claim's partition holds.
const longestPartition = 128

// Claim raises database max counters to the given claims, which are expanded to the
// prefixes of a filter; nothing ever falls. own holds the instances of this database
// with their counters: a claim above that about one of them is not stored. Nor is
// one where a wider prefix claims as much. Run it after the rows that it covers.
func Claim(ctx context.Context, tx *db.Tx, claims counter.ByPartition, own map[string]int64) error {
	wanted := worthClaiming(claims, own)
	// Each round reads the claims on all prefixes of its partitions, so it takes few.
	for partitions := range slices.Chunk(sortedKeys(wanted), 100) {
		held, err := claimsAtOrAbove(ctx, tx, partition.Of(partitions...))
		if err != nil {
			return err
		}
		if err := raise(ctx, tx, partitions, wanted, index(held)); err != nil {
			return err
		}
	}
	return nil
}

// ClaimOwn raises the claims of every instance of this database under each prefix of
// the filter to that instance's counter; the zero filter stands for everything. Run
// it under the locks of the filter, when nothing of it waits to be serialized.
func ClaimOwn(ctx context.Context, tx *db.Tx, filter partition.Filter) error {
	claims, own, err := ownClaims(ctx, tx, filter)
	if err != nil {
		return err
	}
	return Claim(ctx, tx, claims, own)
}

// ownClaims is what ClaimOwn claims, and the counters of this database's instances.
func ownClaims(ctx context.Context, tx *db.Tx, filter partition.Filter) (counter.ByPartition, map[string]int64, error) {
	own, err := OwnInstances(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	claims := counter.ByPartition{}
	for _, prefix := range orAll(filter).Prefixes() {
		claims[prefix] = own
	}
	return claims, own, nil
}

// OwnClaimed reports whether all that ClaimOwn would claim is claimed already. It writes
// nothing and needs no lock: what others claim meanwhile only adds to it.
func OwnClaimed(ctx context.Context, tx *db.Tx, filter partition.Filter) (bool, error) {
	claims, own, err := ownClaims(ctx, tx, filter)
	if err != nil {
		return false, err
	}
	found, err := claimsAtOrAbove(ctx, tx, orAll(filter))
	if err != nil {
		return false, err
	}
	held := index(found)
	for prefix, counters := range worthClaiming(claims, own) {
		for instance, n := range counters {
			if max(held.above(prefix, instance), held.claims[prefix][instance]) < n {
				return false, nil
			}
		}
	}
	return true, nil
}

// orAll is the filter, with the zero filter standing for everything.
func orAll(filter partition.Filter) partition.Filter {
	if filter.IsZero() {
		return partition.All()
	}
	return filter
}

// worthClaiming leaves out of claims what must not be stored, and what another of
// them says for a wider prefix already. A claim left out is safe: it only makes a
// peer send a record again.
func worthClaiming(claims counter.ByPartition, own map[string]int64) counter.ByPartition {
	possible := counter.ByPartition{}
	for prefix, counters := range claims {
		if utf8.RuneCountInString(prefix) > longestPartition {
			continue
		}
		possible[prefix] = counter.Counters{}
		for instance, n := range counters {
			if mine, isOwn := own[instance]; n > 0 && (!isOwn || n <= mine) {
				possible[prefix][instance] = n
			}
		}
	}
	all, wanted := index(possible), counter.ByPartition{}
	for prefix, counters := range possible {
		for instance, n := range counters {
			if all.above(prefix, instance) >= n {
				continue
			}
			if wanted[prefix] == nil {
				wanted[prefix] = counter.Counters{}
			}
			wanted[prefix][instance] = n
		}
	}
	return wanted
}

// raise writes the wanted claims of some partitions that held does not cover.
func raise(ctx context.Context, tx *db.Tx, partitions []string, wanted counter.ByPartition, held lookup) error {
	stmt, err := tx.Prepare(ctx, `INSERT INTO morango_databasemaxcounter (instance_id, partition, counter)
		VALUES ($1, $2, $3) ON CONFLICT (instance_id, partition) DO UPDATE SET counter = excluded.counter
		WHERE excluded.counter > morango_databasemaxcounter.counter`)
	if err != nil {
		return fmt.Errorf("store claims: %w", err)
	}
	defer stmt.Close()
	for _, prefix := range partitions {
		for _, instance := range sortedKeys(wanted[prefix]) {
			n := wanted[prefix][instance]
			if max(held.above(prefix, instance), held.claims[prefix][instance]) >= n {
				continue
			}
			if _, err := stmt.ExecContext(ctx, instance, prefix, n); err != nil {
				return fmt.Errorf("store the claim on %q of instance %s up to %d: %w", prefix, instance, n, err)
			}
		}
	}
	return nil
}

// claimsAtOrAbove reads the claims on the filter's prefixes and on all wider ones.
func claimsAtOrAbove(ctx context.Context, tx *db.Tx, filter partition.Filter) (counter.ByPartition, error) {
	return readClaims(ctx, tx, `partition IN `+tx.Texts(1), db.JSONList(beginnings(filter)))
}

// claimsAround reads the claims on everything at, above and below the filter's prefixes.
func claimsAround(ctx context.Context, tx *db.Tx, filter partition.Filter) (counter.ByPartition, error) {
	below, args := tx.PrefixCond("partition", filter, 2)
	return readClaims(ctx, tx, `partition IN `+tx.Texts(1)+` OR `+below,
		append([]any{db.JSONList(beginnings(filter))}, args...)...)
}

// Claims returns all that this database claims for the filter: at, above and below its
// prefixes, whether any row still carries the instance or not. The zero filter stands
// for everything.
func Claims(ctx context.Context, tx *db.Tx, filter partition.Filter) (counter.ByPartition, error) {
	return claimsAround(ctx, tx, orAll(filter))
}

func readClaims(ctx context.Context, tx *db.Tx, condition string, args ...any) (counter.ByPartition, error) {
	rows, err := tx.QueryKept(ctx, `SELECT partition, instance_id, counter FROM morango_databasemaxcounter WHERE `+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	defer rows.Close()
	claims := counter.ByPartition{}
	for rows.Next() {
		var prefix string
		var instance db.ID
		var n int64
		if err := rows.Scan(&prefix, &instance, &n); err != nil {
			return nil, fmt.Errorf("read claims: %w", err)
		}
		if claims[prefix] == nil {
			claims[prefix] = counter.Counters{}
		}
		claims[prefix][string(instance)] = n
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	return claims, nil
}

// beginnings returns every text, from "" on, with which a prefix of the filter
// begins, itself included, as far as a claim can be on it.
func beginnings(filter partition.Filter) []string {
	set := map[string]bool{}
	for _, prefix := range filter.Prefixes() {
		length := 0
		for at := range prefix {
			if length++; length > longestPartition {
				break
			}
			set[prefix[:at]] = true
		}
		if length <= longestPartition {
			set[prefix] = true
		}
	}
	return sortedKeys(set)
}

// lookup answers which claims stand above a partition, without looking at all claims.
type lookup struct {
	claims  counter.ByPartition
	lengths []int // lengths in bytes of the prefixes, ascending
}

func index(claims counter.ByPartition) lookup {
	set := map[int]bool{}
	for prefix := range claims {
		set[len(prefix)] = true
	}
	return lookup{claims, sortedKeys(set)}
}

// beginning calls f with each claimed prefix that begins the partition, or is it.
func (l lookup) beginning(text string, f func(prefix string)) {
	for _, length := range l.lengths {
		if length > len(text) {
			return
		}
		if _, ok := l.claims[text[:length]]; ok {
			f(text[:length])
		}
	}
}

// above returns the highest counter claimed of an instance under prefixes wider than
// the given one.
func (l lookup) above(prefix, instance string) int64 {
	var highest int64
	l.beginning(prefix, func(wider string) {
		if wider != prefix {
			highest = max(highest, l.claims[wider][instance])
		}
	})
	return highest
}

// widest returns those of the prefixes that lie under no other.
func widest(prefixes []string) []string {
	slices.Sort(prefixes)
	var wide []string
	for _, prefix := range prefixes {
		// Sorted, everything under a prefix follows it without a gap.
		if len(wide) == 0 || !strings.HasPrefix(prefix, wide[len(wide)-1]) {
			wide = append(wide, prefix)
		}
	}
	return wide
}
