package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
)

// FSIC returns what this database claims for the filter; the zero filter stands for
// everything. In the second form (v2) the producer names only instances that rows
// under the claim's partition still carry as last saved, the receiver those that the
// histories of these rows name: claims about others would only travel for nothing. Where
// there are many rows only what an index tells is left out: an instance that is the last
// to have saved no row at all, on the producer's side in the lean layout.
// In the first form (v1) both get, per instance, what holds under every prefix.
func FSIC(ctx context.Context, tx *db.Tx, filter partition.Filter, producer, v2 bool) (counter.FSIC, error) {
	return fsic(ctx, tx, filter, producer, v2, few)
}

// few is up to how many rows are read to shorten a claim.
const few = 1000

func fsic(ctx context.Context, tx *db.Tx, filter partition.Filter, producer, v2 bool, few int64) (counter.FSIC, error) {
	filter = orAll(filter)
	if !v2 {
		claims, err := claimsAtOrAbove(ctx, tx, filter)
		if err != nil {
			return counter.FSIC{}, err
		}
		return counter.FSIC{Legacy: underEvery(filter, claims)}, nil
	}
	claims, err := claimsAround(ctx, tx, filter)
	if err != nil {
		return counter.FSIC{}, err
	}
	if claims, err = stillCarried(ctx, tx, filter, claims, producer, few); err != nil {
		return counter.FSIC{}, err
	}
	f := counter.FSIC{Super: counter.ByPartition{}, Sub: counter.ByPartition{}}
	for prefix, counters := range claims {
		// With several prefixes in the filter one partition can lie above one of them
		// and below another; then it stands in both, as peers expect.
		if isAbove(prefix, filter) {
			f.Super[prefix] = maps.Clone(counters)
		}
		if filter.Contains(prefix) {
			f.Sub[prefix] = maps.Clone(counters)
		}
	}
	return f.Reduce(), nil
}

// isAbove reports whether a partition is wider than some prefix of the filter.
func isAbove(wide string, filter partition.Filter) bool {
	return slices.ContainsFunc(filter.Prefixes(), func(prefix string) bool {
		return prefix != wide && strings.HasPrefix(prefix, wide)
	})
}

// underEvery returns, for each instance, the counter that is claimed under every
// prefix of the filter. A producer must not say more either: the receiver files what
// it says under each prefix.
func underEvery(filter partition.Filter, claims counter.ByPartition) counter.Counters {
	at := index(claims)
	var all counter.Counters
	for i, prefix := range filter.Prefixes() {
		here := counter.Counters{}
		at.beginning(prefix, func(wide string) { here = here.Max(claims[wide]) })
		if i == 0 {
			all = here
			continue
		}
		for instance, n := range all {
			if other, ok := here[instance]; ok {
				all[instance] = min(n, other)
			} else {
				delete(all, instance)
			}
		}
	}
	return all
}

const (
	lastSavers = `SELECT DISTINCT s.partition, s.last_saved_instance FROM morango_store s WHERE `
	// CROSS JOIN keeps SQLite, which has no statistics, from starting with the counters.
	pastSavers = `SELECT DISTINCT s.partition, r.instance_id FROM morango_store s CROSS JOIN morango_recordmaxcounter r
		WHERE r.store_model_id = s.id AND `
)

// stillCarried returns those of the claims whose instance is still found on rows
// under the claim's partition, as far as is found out fast: with few rows in one pass over
// the distinct partitions and instances, ended as soon as nothing is left to be found.
// Whether one is told or not, nothing is lost by it: it is true, and there is no row of
// its instance that a peer could miss.
func stillCarried(ctx context.Context, tx *db.Tx, filter partition.Filter, claims counter.ByPartition, producer bool, few int64) (counter.ByPartition, error) {
	if len(claims) == 0 {
		return claims, nil
	}
	under := searched(filter, claims)
	n, err := CountUnder(ctx, tx, under, few)
	if err != nil {
		return nil, err
	}
	query := pastSavers
	switch {
	case n > few && !producer:
		return claims, nil
	case n > few:
		return stillSaving(ctx, tx, claims)
	case producer:
		query = lastSavers
	}
	condition, args := tx.PrefixCond("s.partition", under, 1)
	rows, err := tx.Query(ctx, query+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("read which instances saved the rows: %w", err)
	}
	defer rows.Close()
	wanted := 0
	for _, counters := range claims {
		wanted += len(counters)
	}
	at, found := index(claims), counter.ByPartition{}
	for wanted > 0 && rows.Next() {
		var text string
		var instance db.ID
		if err := rows.Scan(&text, &instance); err != nil {
			return nil, fmt.Errorf("read which instances saved the rows: %w", err)
		}
		at.beginning(text, func(prefix string) {
			n, claimed := claims[prefix][string(instance)]
			if _, known := found[prefix][string(instance)]; !claimed || known {
				return
			}
			if found[prefix] == nil {
				found[prefix] = counter.Counters{}
			}
			found[prefix][string(instance)] = n
			wanted--
		})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read which instances saved the rows: %w", err)
	}
	return found, nil
}

// stillSaving returns those of the claims whose instance is the last to have saved any
// row, where the index tells.
func stillSaving(ctx context.Context, tx *db.Tx, claims counter.ByPartition) (counter.ByPartition, error) {
	likely := map[string]bool{}
	for _, counters := range claims {
		for instance := range counters {
			likely[instance] = true
		}
	}
	if known, err := tx.HasIndex(ctx, savedIndex); err != nil || !known {
		return claims, err
	}
	highest := counter.Counters{}
	if _, err := nextSaved(ctx, tx, sortedKeys(likely), likely, highest); err != nil {
		return nil, fmt.Errorf("read which instances saved the rows: %w", err)
	}
	found := counter.ByPartition{}
	for prefix, counters := range claims {
		for instance, n := range counters {
			if _, saves := highest[instance]; !saves {
				continue
			}
			if found[prefix] == nil {
				found[prefix] = counter.Counters{}
			}
			found[prefix][instance] = n
		}
	}
	return found, nil
}

// searched returns a filter of few prefixes under which all the claims lie.
func searched(filter partition.Filter, claims counter.ByPartition) partition.Filter {
	prefixes := filter.Prefixes()
	for prefix := range claims {
		if isAbove(prefix, filter) {
			prefixes = append(prefixes, prefix)
		}
	}
	return partition.Of(widest(prefixes)...)
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
