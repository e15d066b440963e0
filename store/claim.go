package store

import (
	"context"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
)

// FSIC returns what this database claims for the filter. As producer it names only
// instances that rows under the partition still carry as last saved; otherwise those
// that the histories of those rows name. v2 selects the form.
func FSIC(ctx context.Context, tx *db.Tx, filter partition.Filter, producer, v2 bool) (counter.FSIC, error) {
	panic("not written")
}

// Claim raises database max counters to the given claims, which are expanded to the
// prefixes of a filter; nothing ever falls. own holds the instances of this database
// with their counters: a claim above that about one of them is not stored.
func Claim(ctx context.Context, tx *db.Tx, claims counter.ByPartition, own map[string]int64) error {
	panic("not written")
}

// ClaimOwn raises the claims of every instance of this database under each prefix of
// the filter to that instance's counter.
func ClaimOwn(ctx context.Context, tx *db.Tx, filter partition.Filter) error {
	panic("not written")
}
