package store

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/partition"
)

var totalled = []partition.Filter{partition.Of("a:"), partition.Of("a:1", "b:"), partition.Of("a:7")}

// Whatever partitions change, are summed up, grow too large or lose all their records: the
// totals that are kept stay what the digests sum up to, and only that of a filter with many
// partitions is kept.
func TestTotalsFollowTheDigests(t *testing.T) {
	places := make([]string, 2*manyPartitions+20)
	for i := range places {
		places[i] = fmt.Sprintf("%c:%03d", "ab"[i%2], i)
	}
	one := rapid.Custom(func(r *rapid.T) PartitionDigest {
		d := PartitionDigest{Partition: rapid.SampledFrom(places).Draw(r, "place"), Records: rapid.Int64Range(TooMany, 4).Draw(r, "records")}
		if d.Records > 0 {
			d.Sum = [4]uint32{rapid.Uint32().Draw(r, "sum"), 0, ^uint32(0), 1}
		}
		return d
	})
	for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
		must := func(f func(tx *db.Tx) error) {
			t.Helper()
			if err := d.Write(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
		must(func(tx *db.Tx) error { return keepTotals(t, tx, places) })
		rapid.Check(t, func(r *rapid.T) {
			digests := rapid.SliceOfNDistinct(one, 1, 5, func(d PartitionDigest) string { return d.Partition }).Draw(r, "digests")
			touched := rapid.SliceOfN(rapid.SampledFrom(places), 0, 5).Draw(r, "touched")
			must(func(tx *db.Tx) error {
				if err := Touch(t.Context(), tx, touched); err != nil {
					return err
				}
				if err := KeepDigests(t.Context(), tx, digests); err != nil {
					return err
				}
				wrong, err := WrongTotals(t.Context(), tx)
				if len(wrong) > 0 {
					r.Fatalf("the totals of %q are wrong", wrong)
				}
				return err
			})
		})
		must(func(tx *db.Tx) error { return damageTotals(t, tx) })
	}
}

// keepTotals keeps digests of all places, and the totals.
func keepTotals(t *testing.T, tx *db.Tx, places []string) error {
	var all []PartitionDigest
	for i, one := range places {
		all = append(all, PartitionDigest{Partition: one, Records: 1, Sum: [4]uint32{1, 2, 3, uint32(i)}})
	}
	if err := KeepDigests(t.Context(), tx, all); err != nil {
		return err
	}
	for i, f := range totalled {
		needs, err := NeedsTotal(t.Context(), tx, f)
		if err != nil || needs != (i < 2) {
			t.Errorf("filter %d: %v, %v", i, needs, err)
		}
		if err := KeepTotal(t.Context(), tx, f); err != nil {
			return err
		}
		if needs, err = NeedsTotal(t.Context(), tx, f); err != nil || needs {
			t.Errorf("filter %d, then: %v, %v", i, needs, err)
		}
	}
	return nil
}

// damageTotals changes a total, which must show.
func damageTotals(t *testing.T, tx *db.Tx) error {
	if _, err := tx.Exec(t.Context(), `UPDATE morango_digest_total SET sum_4 = sum_4 + 1 WHERE filter = 'a:'`); err != nil {
		return err
	}
	if wrong, err := WrongTotals(t.Context(), tx); err != nil || len(wrong) != 1 || wrong[0] != "a:" {
		t.Errorf("wrong are %q, %v", wrong, err)
	}
	if err := ForgetTotals(t.Context(), tx); err != nil {
		return err
	}
	wrong, err := WrongTotals(t.Context(), tx)
	if len(wrong) > 0 {
		t.Errorf("still wrong are %q", wrong)
	}
	return err
}

// The totals of ever new filters do not fill the table: those with the most partitions stay.
func TestTotalsAreFew(t *testing.T) {
	d := dbtest.New(t)
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		var all []PartitionDigest
		for i := range 3 * maxTotals {
			all = append(all, PartitionDigest{Partition: fmt.Sprintf("%03d", i), Records: 1})
		}
		err := KeepDigests(t.Context(), tx, all)
		for i := 0; i < 3*maxTotals && err == nil; i++ {
			var prefixes []string
			for j := range i + 1 {
				prefixes = append(prefixes, fmt.Sprintf("%03d", j))
			}
			err = KeepTotal(t.Context(), tx, partition.Of(prefixes...))
		}
		if err != nil {
			return err
		}
		var n, least int
		err = tx.QueryRow(t.Context(), `SELECT COUNT(*), MIN(partitions) FROM morango_digest_total`).Scan(&n, &least)
		if n != maxTotals || least != 2*maxTotals+1 {
			t.Errorf("%d totals, of %d partitions and more", n, least)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
