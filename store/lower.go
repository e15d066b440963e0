package store

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
)

// A claim falls in one case: when a record that it covers turned out to be missing. It
// is false then, and as long as it stands no peer sends the record again. Lowered to
// just beneath the record's version it is true as far as anybody knows, and costs no
// more than that peers send once more what this instance saved since.
const (
	beginsPartition = ` AND substr($2, 1, length(partition)) = partition`
	lowerClaims     = `UPDATE morango_databasemaxcounter SET counter = %d WHERE instance_id = $1 AND counter > %d`
	dropClaims      = `DELETE FROM morango_databasemaxcounter WHERE instance_id = $1`
	lowerOwn        = `UPDATE morango_instanceidmodel SET counter = $2 WHERE id = $1 AND counter > $2 AND NOT current
		AND database_id NOT IN (SELECT id FROM morango_databaseidmodel WHERE current)`
)

// Lower takes back what is claimed of a version of a record that this database lacks:
// under the prefixes of its partition, or, where that is not known (""), under all.
// When the version is of an instance that this database has used under an earlier
// database id, the instance's counter falls too, for a claim is made of it at every
// serialize. Of one under the database id in use it must not, or versions would be used
// twice: give the database a new id first.
func Lower(ctx context.Context, tx *db.Tx, partition string, missing counter.Version) error {
	beneath := missing.Counter - 1
	query, args := fmt.Sprintf(lowerClaims, beneath, beneath), []any{missing.Instance}
	if beneath <= 0 {
		query = dropClaims // nobody claims 0
	}
	if partition != "" {
		query, args = query+beginsPartition, append(args, partition)
	}
	if _, err := tx.Exec(ctx, query, args...); err != nil {
		return fmt.Errorf("lower the claims of instance %s: %w", missing.Instance, err)
	}
	if _, err := tx.Exec(ctx, lowerOwn, missing.Instance, beneath); err != nil {
		return fmt.Errorf("lower the counter of the former instance %s: %w", missing.Instance, err)
	}
	return nil
}
