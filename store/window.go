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
	if ids <= 0 || !l.narrow() {
		return false, nil
	}
	if byIndex, err := FindsSaved(ctx, tx); err != nil || !byIndex && tx.Kind() != db.SQLite {
		return false, err
	}
	n, err := CountUnder(ctx, tx, l.Filter, mostWindows*ids)
	if err != nil || n > mostWindows*ids {
		return false, err
	}
	work := n * ((n + ids - 1) / ids)
	return l.holds(ctx, tx, work)
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
