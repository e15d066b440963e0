package stream

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/morango-go/morango/db"
)

// How long a list of the records that are to travel may be, and up to how many records
// under a narrow filter one is made. See store.Lacking.FindSparse.
const (
	maxChanged = 20_000
	maxUnder   = 100_000
)

// mostClaims is how many instances a query compares with one by one.
const mostClaims = 200

// found is the ids of the records that are to travel, in order; whole says that there is
// no such list, and that the store has to be read in the order of ids.
type found struct {
	ids   []string
	whole bool
}

// short says how long a list may be.
type short struct{ changed, under int64 }

// find lists the records that are to travel, after a place.
func find(ctx context.Context, tx *db.Tx, job Job, after place, s short) (found, error) {
	ids, ok, err := job.lacking(after.id).FindSparse(ctx, tx, s.changed, s.under)
	return found{ids: ids, whole: !ok}, err
}

// above is a condition that leaves out what the receiver claims throughout the filter. Its
// parameters start at $first. It lets pass what only Job.wants can decide.
func (j Job) above(first int) (condition string, args []any) {
	floor := j.Receiver.Throughout(j.filter())
	instances := make([]string, 0, len(floor))
	for instance := range floor {
		instances = append(instances, instance)
	}
	slices.Sort(instances)
	if len(instances) == 0 {
		return "s.last_saved_counter > 0", nil
	}
	var b strings.Builder
	b.WriteString("s.last_saved_counter > CASE s.last_saved_instance")
	for _, instance := range instances[:min(len(instances), mostClaims)] {
		// A bound number alone has no type yet for PostgreSQL.
		fmt.Fprintf(&b, " WHEN $%d THEN CAST($%d AS integer)", first+len(args), first+len(args)+1)
		args = append(args, instance, floor[instance])
	}
	b.WriteString(" ELSE 0 END")
	return b.String(), args
}
