package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
)

// mostWindows is into how many windows a filter may be divided: each costs a look at all that lies under the filter.
const mostWindows = 5

// Windows says whether the records are found with less work in windows of so many ids, see Window, than by
// reading the whole store: the filter holds more than a list may, and a fraction of the store. Without an index by which
// prefixes of partitions are found, as in Django's layout on PostgreSQL, they are not.
func (l Lacking) Windows(ctx context.Context, tx *db.Tx, ids int64) (bool, error) {
	n, ok, err := l.counted(ctx, tx, mostWindows*ids)
	if err != nil || !ok {
		return false, err
	}
	work := n * ((n + ids - 1) / ids)
	return l.holds(ctx, tx, work)
}

// Few says whether an index finds the records under the filter, which are at most so many, and the store has so many times as
// many.
func (l Lacking) Few(ctx context.Context, tx *db.Tx, most, times int64) (bool, error) {
	n, ok, err := l.counted(ctx, tx, most)
	if err != nil || !ok {
		return false, err
	}
	return l.holds(ctx, tx, times*n)
}

// counted counts the records under a narrow filter. ok says that these are at most so many, and that an index finds them.
func (l Lacking) counted(ctx context.Context, tx *db.Tx, most int64) (n int64, ok bool, err error) {
	if most <= 0 || !l.narrow() {
		return 0, false, nil
	}
	if ok, err = findsUnder(ctx, tx); err != nil || !ok {
		return 0, false, err
	}
	n, err = CountUnder(ctx, tx, l.Filter, most)
	return n, n <= most, err
}

// Indexes of partitions, in the lean layout and in Django's, of which that on PostgreSQL finds no prefix.
const (
	partitionIndex       = "morango_store_partition"
	djangoPartitionIndex = "idx_morango_store_partition"
)

// findsUnder says whether an index finds the records under a prefix.
func findsUnder(ctx context.Context, tx *db.Tx) (bool, error) {
	found, err := tx.HasIndex(ctx, partitionIndex)
	if err == nil && !found && tx.Kind() == db.SQLite {
		found, err = tx.HasIndex(ctx, djangoPartitionIndex)
	}
	return found, err
}

// holds says whether the store has so many records.
func (l Lacking) holds(ctx context.Context, tx *db.Tx, records int64) (bool, error) {
	var n int64
	query := fmt.Sprintf(`SELECT COUNT(*) FROM (SELECT 1 FROM morango_store LIMIT %d) found`, records)
	if err := tx.QueryRow(ctx, query).Scan(&n); err != nil {
		return false, fmt.Errorf("count the store's records: %w", err)
	}
	return n >= records, nil
}

// listWindow lists records under a filter in the order of their ids, from one on. An expression in place of the id keeps
// SQLite, where it knows how many rows there are, from going through the whole store in that order.
const listWindow = listUnder + ` AND COALESCE(s.id, s.id) (AFTER) $1 ORDER BY COALESCE(s.id, s.id) LIMIT $2`

// windowQuery is listWindow after an id, "" at the beginning, and its parameters.
func (l Lacking) windowQuery(tx *db.Tx, after string, most int64) (query string, args []any) {
	condition, args := tx.PrefixCond("s.partition", l.Filter, 3)
	compare := ">"
	if after == "" {
		after, compare = ident.Lowest, ">="
	}
	return strings.NewReplacer("(FILTER)", condition, "(AFTER)", compare).Replace(listWindow), append([]any{after, most}, args...)
}

// Window lists the ids of the records, in their order, among the first so many that the filter holds after an id,
// which is "" at the beginning. end is up to where it has looked, ident.Highest when that is everything.
func (l Lacking) Window(ctx context.Context, tx *db.Tx, after string, most int64) (ids []string, end string, err error) {
	query, args := l.windowQuery(tx, after, most)
	seen := int64(0)
	err = l.each(ctx, tx, func(one Found, lacking bool) {
		seen++
		if end = one.ID; lacking {
			ids = append(ids, end)
		}
	}, query, args...)
	if err != nil {
		return nil, "", fmt.Errorf("list records under a filter: %w", err)
	}
	if seen < most {
		end = ident.Highest
	}
	return ids, end, nil
}
