package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
)

// PartitionDigest is what the records of one partition sum up to. Records is TooMany
// for a partition that is too large to be kept summed up; its Sum says nothing then.
type PartitionDigest struct {
	Partition string
	Records   int64
	Sum       [4]uint32 // the number's greatest part first
}

// TooMany stands in place of the number of records of a partition that is too large.
const TooMany = -1

// staleIndex is there where digests are kept: in the lean layout. In Django's, Python
// writes into the store too and would forget them.
const staleIndex = "morango_digest_stale"

// KeepsDigests reports whether the database keeps digests of partitions.
func KeepsDigests(ctx context.Context, tx *db.Tx) (bool, error) { return tx.HasIndex(ctx, staleIndex) }

// Touch notes that store rows of these partitions are written in the transaction, so
// that their digests are computed again before anybody relies on them. Whoever writes a
// row's version, text, flags or place calls it, once for all rows of a statement or page,
// with the partition that a row had and that which it gets. The row of a digest is
// written on PostgreSQL even when it is stale already: then whoever computes it from an
// older snapshot fails there, and starts again.
func Touch(ctx context.Context, tx *db.Tx, partitions []string) error {
	if len(partitions) == 0 {
		return nil
	}
	kept, err := KeepsDigests(ctx, tx)
	if err != nil || !kept {
		return err
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(partitions))) // all lock rows in one order
	rows := make([][]any, len(sorted))
	for i, one := range sorted {
		rows[i] = []any{one, nil}
	}
	into := touched
	if tx.Kind() == db.SQLite { // whoever computes a digest has no older snapshot there
		into.Conflict += ` WHERE morango_digest.records IS NOT NULL`
	}
	if err := tx.InsertAll(ctx, into, rows); err != nil {
		return fmt.Errorf("note that the records of %d partitions change: %w", len(rows), err)
	}
	return nil
}

var touched = db.Insert{
	Table: "morango_digest", Columns: []string{"partition", "records"},
	Conflict: `ON CONFLICT (partition) DO UPDATE SET records = excluded.records`,
}

// TouchRecords is Touch for the partitions of records by their ids.
func TouchRecords(ctx context.Context, tx *db.Tx, ids []string) error {
	return touchOf(ctx, tx, `SELECT DISTINCT partition FROM morango_store WHERE id IN `+tx.IDs(1), db.JSONList(ids))
}

// touchOf is Touch for the partitions that a query finds.
func touchOf(ctx context.Context, tx *db.Tx, query string, args ...any) error {
	partitions, err := Places(ctx, tx, query, args...)
	if err != nil {
		return err
	}
	return Touch(ctx, tx, partitions)
}

// Places runs a query for partitions.
func Places(ctx context.Context, tx *db.Tx, query string, args ...any) (partitions []string, err error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("find the partitions of records: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			return nil, fmt.Errorf("find the partitions of records: %w", err)
		}
		partitions = append(partitions, one)
	}
	return partitions, rows.Err()
}

// staleDigests counts the records of a partition as those of a range: when PostgreSQL takes
// it that there are few partitions, as there were when it counted them, it looks for the
// records of each among all that the store has.
const staleDigests = `SELECT d.partition, (SELECT COUNT(*) FROM (SELECT 1 FROM morango_store s
		WHERE s.partition >= d.partition AND s.partition <= d.partition ORDER BY s.partition LIMIT (MOST)) few),
	0, 0, 0, 0 FROM morango_digest d WHERE d.records IS NULL AND (COND) ORDER BY d.partition LIMIT (LIMIT)`

// StaleDigests returns up to limit partitions within the filter whose digests have to be
// computed, with how many records each has, counted no further than most. among, if
// there are any, are the only ones that are looked at.
func StaleDigests(ctx context.Context, tx *db.Tx, f partition.Filter, among []string, limit, most int) ([]PartitionDigest, error) {
	cond, args := tx.PrefixCond("d.partition", f, 1)
	if len(among) > 0 {
		args = append(args, db.JSONList(among))
		cond += " AND d.partition IN " + tx.Texts(len(args))
	}
	query := strings.NewReplacer("(MOST)", fmt.Sprint(most), "(COND)", cond, "(LIMIT)", fmt.Sprint(limit)).Replace(staleDigests)
	var found []PartitionDigest
	err := eachDigest(ctx, tx, query, args, func(d PartitionDigest) error {
		found = append(found, d)
		return nil
	})
	return found, err
}

// AnyStale reports whether a digest within the filter has to be computed.
func AnyStale(ctx context.Context, tx *db.Tx, f partition.Filter) (stale bool, err error) {
	exists, args := anyStale(tx, f, 1)
	if err = tx.QueryRow(ctx, `SELECT `+exists, args...).Scan(&stale); err != nil {
		return false, fmt.Errorf("look for partitions that have to be summed up: %w", err)
	}
	return stale, nil
}

// anyStale is AnyStale as a condition, with parameters from $firstParam on.
func anyStale(tx *db.Tx, f partition.Filter, firstParam int) (exists string, args []any) {
	cond, args := tx.PrefixCond("partition", f, firstParam)
	return `EXISTS (SELECT 1 FROM morango_digest WHERE records IS NULL AND ` + cond + `)`, args
}

// KeepDigests keeps digests that the transaction has computed, under the locks of the
// partitions. A partition without records is forgotten.
func KeepDigests(ctx context.Context, tx *db.Tx, digests []PartitionDigest) error {
	var gone []string
	var rows [][]any
	for _, d := range digests {
		if d.Records == 0 {
			gone = append(gone, d.Partition)
			continue
		}
		rows = append(rows, []any{d.Partition, d.Records, max(d.Records, 0), int64(d.Sum[0]), int64(d.Sum[1]), int64(d.Sum[2]), int64(d.Sum[3])})
	}
	err := updateTotals(ctx, tx, digests)
	if err == nil {
		err = tx.InsertAll(ctx, keptRows, rows)
	}
	if err == nil && len(gone) > 0 {
		_, err = tx.Exec(ctx, `DELETE FROM morango_digest WHERE partition IN `+tx.Texts(1), db.JSONList(gone))
	}
	if err != nil {
		return fmt.Errorf("keep the digests of %d partitions: %w", len(digests), err)
	}
	return nil
}

var keptRows = db.Insert{
	Table: "morango_digest", Columns: []string{"partition", "records", "counted", "sum_1", "sum_2", "sum_3", "sum_4"},
	Conflict: `ON CONFLICT (partition) DO UPDATE SET records = excluded.records, counted = excluded.counted,
		sum_1 = excluded.sum_1, sum_2 = excluded.sum_2, sum_3 = excluded.sum_3, sum_4 = excluded.sum_4`,
}

// KeptDigests calls each with the digests that are kept of partitions within the filter,
// from one partition up to, but without, another ("" is the end), in the order of code
// points; among restricts them as in StaleDigests. each must not use the transaction.
func KeptDigests(ctx context.Context, tx *db.Tx, f partition.Filter, from, to string, among []string, each func(PartitionDigest) error) error {
	cond, args := tx.PrefixCond("partition", f, 1)
	place := tx.CodePoints("partition")
	if from != "" {
		args = append(args, from)
		cond += fmt.Sprintf(" AND %s >= $%d", place, len(args))
	}
	if to != "" {
		args = append(args, to)
		cond += fmt.Sprintf(" AND %s < $%d", place, len(args))
	}
	if len(among) > 0 {
		args = append(args, db.JSONList(among))
		cond += " AND partition IN " + tx.Texts(len(args))
	}
	query := `SELECT partition, records, sum_1, sum_2, sum_3, sum_4 FROM morango_digest WHERE records > 0 AND ` + cond + ` ORDER BY ` + place
	return eachDigest(ctx, tx, query, args, each)
}

func eachDigest(ctx context.Context, tx *db.Tx, query string, args []any, each func(PartitionDigest) error) error {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read digests of partitions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var d PartitionDigest
		if err := rows.Scan(&d.Partition, &d.Records, &d.Sum[0], &d.Sum[1], &d.Sum[2], &d.Sum[3]); err != nil {
			return fmt.Errorf("read digests of partitions: %w", err)
		}
		if err := each(d); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read digests of partitions: %w", err)
	}
	return nil
}

// Explained returns what a peer's digests summed up to over a scope when they were last
// compared with ours of this sum and the difference was explained; "" is never.
func Explained(ctx context.Context, tx *db.Tx, peer, scope, ours string) (theirs string, err error) {
	const query = `SELECT theirs FROM morango_compared WHERE peer = $1 AND scope = $2 AND ours = $3`
	err = tx.QueryRow(ctx, query, peer, scope, ours).Scan(&theirs)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read what was compared with peer %s: %w", peer, err)
	}
	return theirs, nil
}

// Explain notes that the difference of two sums over a scope was explained.
func Explain(ctx context.Context, tx *db.Tx, peer, scope, ours, theirs string) error {
	const query = `INSERT INTO morango_compared (peer, scope, ours, theirs) VALUES ($1, $2, $3, $4)
		ON CONFLICT (peer, scope) DO UPDATE SET ours = excluded.ours, theirs = excluded.theirs`
	if _, err := tx.Exec(ctx, query, peer, scope, ours, theirs); err != nil {
		return fmt.Errorf("note what was compared with peer %s: %w", peer, err)
	}
	return nil
}
