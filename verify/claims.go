package verify

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
)

// claims checks the database max counters: none about an own instance above its
// counter, and, which is harmless, none that a wider one includes. In the order of
// partitions the wider ones of a claim come before it, each the beginning of the next.
func (c *check) claims(ctx context.Context) error {
	query := `SELECT instance_id, partition, counter FROM morango_databasemaxcounter
		ORDER BY instance_id, ` + c.tx.CodePoints("partition")
	var wider []claim
	return c.each(ctx, "claims", query, nil, func(row scanner) error {
		var one claim
		if err := row.Scan((*db.ID)(&one.instance), &one.partition, &one.counter); err != nil {
			return err
		}
		c.report.Checked.Claims++
		if n, own := c.own[one.instance]; own && one.counter > n {
			c.findUnder(ClaimAhead, one, fmt.Sprintf("and this instance of ours stands at %d", n))
		}
		for len(wider) > 0 && !wider[len(wider)-1].includes(one) {
			wider = wider[:len(wider)-1]
		}
		if i := slices.IndexFunc(wider, func(w claim) bool { return w.counter >= one.counter }); i >= 0 || one.counter <= 0 {
			c.findUnder(ClaimNoise, one, "which says nothing that is not known already")
		}
		wider = append(wider, one)
		return nil
	})
}

// findUnder notes a finding about a claim.
func (c *check) findUnder(k Kind, one claim, problem string) {
	c.find(k, one.instance, "", "claimed up to %d under %q, %s", one.counter, one.partition, problem)
	if f := c.found[k]; f.Count == int64(len(f.Examples)) {
		f.Examples[f.Count-1].Partition = one.partition
	}
}

// claim is one database max counter.
type claim struct {
	instance, partition string
	counter             int64
}

// includes says whether whatever lies under the other claim's partition lies under
// this one's.
func (w claim) includes(other claim) bool {
	return w.instance == other.instance && strings.HasPrefix(other.partition, w.partition)
}

// placed is a partition with the placeholder back in place of the record's own id.
func placed(partition, id string) string { return strings.ReplaceAll(partition, id, ident.Placeholder) }

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
