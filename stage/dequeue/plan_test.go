package dequeue

import (
	"fmt"
	"strings"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/store"
)

// On both layouts every table but the one that drives a statement must be looked up
// by record id, and no lookup may read a whole session.
func TestPlansLookUpByRecord(t *testing.T) {
	dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
		const session, instance = "5e550000000000000000000000000001", "15000000000000000000000000000001"
		p := page{lo: ident.Lowest, hi: ident.Highest}
		paged := []any{session, p.lo, p.hi}
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for _, query := range []string{makeKnown, indexKnown} {
				if _, err := tx.Exec(t.Context(), query); err != nil {
					return err
				}
			}
			for name, statement := range map[string]struct {
				query string
				args  []any
			}{
				"page end":        {pageEnd, []any{session, p.lo, 100}},
				"classify":        {p.bound(classify), paged},
				"merge texts":     {mergeTexts, []any{session, instance, 1}},
				"ruled conflicts": {fmt.Sprintf(ruledConflicts, tx.Texts(3)), []any{session, "p", `["user"]`, 5}},
				"note settled":    {noteSettled + tx.IDs(1), []any{`[]`}},
				"read stored":     {readStored + tx.IDs(1), []any{`[]`}},
				"read histories":  {store.HistoriesOf(tx), []any{`[]`}},
				"join versions":   {joinVersions, []any{session}},
				"take over":       {p.bound(takeOver), paged},
				"unite histories": {p.bound(uniteHistories), paged},
				"stamp histories": {stampHistories, []any{instance, 1}},
				"count orphans":   {countOrphans, []any{session}},
				"unite orphans":   {uniteOrphans, []any{session}},
			} {
				for _, line := range dbtest.Plan(t, tx, statement.query, statement.args...) {
					checkPlan(t, name, line)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func checkPlan(t *testing.T, name, line string) {
	t.Helper()
	table, lookup, found := strings.Cut(strings.TrimPrefix(line, "SEARCH "), " USING ")
	isSearch := found && strings.HasPrefix(line, "SEARCH ")
	switch {
	case strings.HasPrefix(line, "SCAN ") && !strings.Contains(line, "morango_dequeue_known") && !strings.HasPrefix(line, "SCAN json_each"):
		t.Errorf("%s reads a whole table: %s", name, line)
	case strings.Contains(line, "AUTOMATIC") || strings.Contains(line, "TEMP B-TREE"):
		t.Errorf("%s sorts or makes an index of its own: %s", name, line)
	case isSearch && table == "h" && !strings.Contains(name, "orphans") && !strings.Contains(lookup, "model_uuid=?"):
		t.Errorf("%s looks counters up by session, not by record: %s", name, line)
	case isSearch && table == "b" && !strings.Contains(lookup, "model_uuid"):
		t.Errorf("%s reads the whole session's buffer: %s", name, line)
	case isSearch && table == "r" && !strings.Contains(lookup, "store_model_id=? AND instance_id=?"):
		t.Errorf("%s does not look counters up by record and instance: %s", name, line)
	}
}
