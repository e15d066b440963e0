package morango_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// untouched are the tables that a sync with nothing to do leaves as they are, as far as a
// layout has them: records, counters, buffers, digests, identities, the application's rows.
var untouched = []string{
	"morango_store", "morango_recordmaxcounter", "morango_databasemaxcounter", "morango_buffer", "morango_recordmaxcounterbuffer",
	"morango_deletedmodels", "morango_harddeletedmodels", "morango_instanceidmodel", "morango_databaseidmodel", "morango_certificate",
	"morango_digest", "morango_digest_total", "morango_compared", "morango_column", "folder", "item",
}

// A sync with nothing to do, or that finds nothing in one direction, writes no record, no
// counter, no digest and no row on either side, in any layout; triggers tell of each write.
func TestNothingToDoWritesNothing(t *testing.T) {
	for name, hub := range hubs(t) {
		t.Run(name, func(t *testing.T) {
			root, err := hub.CreateRoot(t.Context(), "world", nil)
			must(t, err)
			url := hub.serve()
			tablet := newPeer(t, "tablet")
			tablet.join(url, "world", nil, root.ID)
			top := tablet.folder("top", nil)
			tablet.do(`BEGIN`)
			for i := range 300 { // enough partitions for a total
				tablet.item(fmt.Sprintf("item %03d", i), top, fmt.Sprintf("owner%d", i))
			}
			tablet.do(`COMMIT`)
			for range 2 {
				tablet.sync(url)
			}
			hub.noteWrites(strings.HasPrefix(name, "postgres"))
			tablet.noteWrites(false)
			for range 3 {
				if s := tablet.sync(url); s.Pull.Records+s.Push.Records != 0 || s.Compared == nil || s.Compared.Questions != 1 {
					t.Errorf("%+v, %+v", s, s.Compared)
				}
			}
			for who, p := range map[string]*peer{"hub": hub, "tablet": tablet} {
				if wrote := p.wrote(); len(wrote) > 0 {
					t.Errorf("the %s wrote %v for nothing", who, wrote)
				}
			}
			tablet.do(`UPDATE item SET text = 'changed' WHERE text = 'item 007'`)
			tablet.sync(url)
			for who, p := range map[string]*peer{"hub": hub, "tablet": tablet} {
				if wrote := p.wrote(); !slices.Contains(wrote, "morango_store") || !slices.Contains(wrote, "item") {
					t.Errorf("the %s wrote %v for a change", who, wrote)
				}
			}
		})
	}
}

// noteWrites has triggers note what is written.
func (p *peer) noteWrites(postgres bool) {
	p.t.Helper()
	p.do(`CREATE TABLE test_written (name text)`)
	known := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if postgres {
		known = `SELECT relname FROM pg_class WHERE relkind = 'r'`
		p.do(`CREATE FUNCTION test_written() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO test_written VALUES (TG_TABLE_NAME); RETURN NULL; END $$`)
	}
	there := p.column(known)
	for _, table := range untouched {
		if !slices.Contains(there, table) {
			continue
		}
		if postgres {
			p.do(`CREATE TRIGGER test_written AFTER INSERT OR UPDATE OR DELETE ON ` + table + ` FOR EACH ROW EXECUTE FUNCTION test_written()`)
			continue
		}
		for _, verb := range []string{"INSERT", "UPDATE", "DELETE"} {
			p.do(fmt.Sprintf(`CREATE TRIGGER test_%s_%s AFTER %[1]s ON %[2]s BEGIN INSERT INTO test_written VALUES ('%[2]s'); END`, verb, table))
		}
	}
}

// wrote lists the tables that were written.
func (p *peer) wrote() []string {
	return p.column(`SELECT DISTINCT name FROM test_written ORDER BY name`)
}

// column returns the only column of what a query finds.
func (p *peer) column(query string) (all []string) {
	p.t.Helper()
	rows, err := p.app.QueryContext(p.t.Context(), query)
	must(p.t, err)
	defer rows.Close()
	for rows.Next() {
		var one string
		must(p.t, rows.Scan(&one))
		all = append(all, one)
	}
	must(p.t, rows.Err())
	return all
}
