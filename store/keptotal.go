package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
)

// KeptTotal is what the kept digests within a filter sum up to.
type KeptTotal struct {
	Partitions, Records int64
	Sums                [4]int64 // the parts' sums, without what each carries over
	Stale               bool     // partitions have to be summed up first
}

// add adds what a partition counts for, times times.
func (t *KeptTotal) add(d PartitionDigest, times int64) {
	if d.Records <= 0 {
		return
	}
	t.Partitions, t.Records = t.Partitions+times, t.Records+times*d.Records
	for i, part := range d.Sum {
		t.Sums[i] += times * int64(part)
	}
}

// The bounds of totals.
const (
	manyPartitions = 256 // from which on a filter's total is kept
	maxTotals      = 32
	maxTotalFilter = 512 // characters
)

// SumDigests sums up the kept digests within the filter, without a record that is read; and
// without the digests, where NeedsTotal and KeepTotal have had their total kept.
func SumDigests(ctx context.Context, tx *db.Tx, f partition.Filter) (t KeptTotal, err error) {
	stale, args := anyStale(tx, f, 2)
	known := `SELECT partitions, records, sum_1, sum_2, sum_3, sum_4, ` + stale + ` FROM morango_digest_total WHERE filter = $1`
	err = tx.QueryRow(ctx, known, append([]any{f.String()}, args...)...).Scan(append(t.columns(), &t.Stale)...)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !mayTotal(f) {
		if t, err = sumDigests(ctx, tx, f); err == nil {
			t.Stale, err = AnyStale(ctx, tx, f)
		}
	}
	if err != nil {
		return t, fmt.Errorf("sum up the digests of partitions: %w", err)
	}
	return t, nil
}

// keptRecords is how many records are known to lie within the filter, without looking at them: 0 where
// their total is not kept. Records that came since it was summed up are missing.
func keptRecords(ctx context.Context, tx *db.Tx, f partition.Filter) (n int64, err error) {
	if kept, err := KeepsDigests(ctx, tx); err != nil || !kept || !mayTotal(f) {
		return 0, err
	}
	err = tx.QueryRow(ctx, `SELECT records FROM morango_digest_total WHERE filter = $1`, f.String()).Scan(&n)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("look for the total of digests: %w", err)
	}
	return n, nil
}

// mayTotal says whether the total of a filter may be kept: its text must say all of it.
func mayTotal(f partition.Filter) bool {
	return f.Len() > 0 && len(f.String()) <= maxTotalFilter && filterOf(f.String()).Equal(f)
}

func filterOf(text string) partition.Filter { return partition.Of(strings.Split(text, "\n")...) }

func sumDigests(ctx context.Context, tx *db.Tx, f partition.Filter) (t KeptTotal, err error) {
	cond, args := tx.PrefixCond("partition", f, 1)
	query := `SELECT COUNT(*), CAST(COALESCE(SUM(counted), 0) AS bigint), CAST(COALESCE(SUM(sum_1), 0) AS bigint),
		CAST(COALESCE(SUM(sum_2), 0) AS bigint), CAST(COALESCE(SUM(sum_3), 0) AS bigint), CAST(COALESCE(SUM(sum_4), 0) AS bigint)
		FROM morango_digest WHERE counted > 0 AND ` + cond
	err = tx.QueryRow(ctx, query, args...).Scan(t.columns()...)
	return t, err
}

// columns are where to scan a total to.
func (t *KeptTotal) columns() []any {
	return []any{&t.Partitions, &t.Records, &t.Sums[0], &t.Sums[1], &t.Sums[2], &t.Sums[3]}
}

// NeedsTotal reports whether the total of a filter should be kept and is not.
func NeedsTotal(ctx context.Context, tx *db.Tx, f partition.Filter) (needs bool, err error) {
	if !mayTotal(f) {
		return false, nil
	}
	cond, args := tx.PrefixCond("partition", f, 2)
	if f.Len() == 1 { // found by the index, as in countUnderQuery
		cond += ` ORDER BY ` + tx.CodePoints("partition")
	}
	query := fmt.Sprintf(`SELECT NOT EXISTS (SELECT 1 FROM morango_digest_total WHERE filter = $1) AND
		(SELECT COUNT(*) FROM (SELECT 1 FROM morango_digest WHERE %s LIMIT %d) few) = %[2]d`, cond, manyPartitions)
	if err := tx.QueryRow(ctx, query, append([]any{f.String()}, args...)...).Scan(&needs); err != nil {
		return false, fmt.Errorf("look for the total of digests: %w", err)
	}
	return needs, nil
}

// KeepTotal keeps the total of a filter from now on. The transaction holds the filter's
// partitions exclusively: nobody may keep a digest meanwhile who does not know of the total.
func KeepTotal(ctx context.Context, tx *db.Tx, f partition.Filter) error {
	t, err := sumDigests(ctx, tx, f)
	if err == nil {
		_, err = tx.Exec(ctx, `INSERT INTO morango_digest_total (filter, partitions, records, sum_1, sum_2, sum_3, sum_4)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (filter) DO NOTHING`,
			f.String(), t.Partitions, t.Records, t.Sums[0], t.Sums[1], t.Sums[2], t.Sums[3])
	}
	var few []string // whoever asks after ever new filters must not fill the table
	if err == nil {
		few, err = Places(ctx, tx, fmt.Sprintf(`SELECT filter FROM morango_digest_total ORDER BY partitions DESC, filter LIMIT 1000 OFFSET %d`, maxTotals))
	}
	if err == nil && len(few) > 0 {
		_, err = tx.Exec(ctx, `DELETE FROM morango_digest_total WHERE filter IN `+tx.Texts(1), db.JSONList(few))
	}
	if err != nil {
		return fmt.Errorf("keep the total of digests: %w", err)
	}
	return nil
}

// updateTotals takes what digests counted for until now out of the totals that are kept,
// and brings in what they count for from now on.
func updateTotals(ctx context.Context, tx *db.Tx, digests []PartitionDigest) error {
	filters, err := Places(ctx, tx, `SELECT filter FROM morango_digest_total`)
	if err != nil || len(filters) == 0 {
		return err
	}
	changes := make([]KeptTotal, len(filters))
	change := func(d PartitionDigest, times int64) {
		for i, text := range filters {
			if filterOf(text).Contains(d.Partition) {
				changes[i].add(d, times)
			}
		}
	}
	names := make([]string, len(digests))
	for i, d := range digests {
		names[i] = d.Partition
		change(d, 1)
	}
	query := `SELECT partition, counted, sum_1, sum_2, sum_3, sum_4 FROM morango_digest WHERE counted > 0 AND partition IN ` + tx.Texts(1)
	err = eachDigest(ctx, tx, query, []any{db.JSONList(names)}, func(d PartitionDigest) error {
		change(d, -1)
		return nil
	})
	for i, c := range changes {
		if err != nil || c == (KeptTotal{}) {
			continue
		}
		_, err = tx.Exec(ctx, `UPDATE morango_digest_total SET partitions = partitions + $2, records = records + $3,
			sum_1 = sum_1 + $4, sum_2 = sum_2 + $5, sum_3 = sum_3 + $6, sum_4 = sum_4 + $7 WHERE filter = $1`,
			filters[i], c.Partitions, c.Records, c.Sums[0], c.Sums[1], c.Sums[2], c.Sums[3])
	}
	return err
}

// WrongTotals returns the filters whose kept total is not what the kept digests sum up to.
func WrongTotals(ctx context.Context, tx *db.Tx) (wrong []string, err error) {
	filters, err := Places(ctx, tx, `SELECT filter FROM morango_digest_total ORDER BY filter`)
	for _, text := range filters {
		var kept, is KeptTotal
		if err == nil {
			kept, err = SumDigests(ctx, tx, filterOf(text))
		}
		if err == nil {
			is, err = sumDigests(ctx, tx, filterOf(text))
		}
		if is.Stale = kept.Stale; err == nil && is != kept {
			wrong = append(wrong, text)
		}
	}
	return wrong, err
}

// ForgetTotals has totals summed up again when they are needed.
func ForgetTotals(ctx context.Context, tx *db.Tx) error {
	if _, err := tx.Exec(ctx, `DELETE FROM morango_digest_total`); err != nil {
		return fmt.Errorf("forget totals of digests: %w", err)
	}
	return nil
}
