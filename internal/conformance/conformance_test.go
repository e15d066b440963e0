package conformance_test

import (
	"testing"

	"github.com/morango-go/morango/internal/conformance"
)

// Every family that the vectors' README names must be there, with ids that no two
// cases share.
func TestFamiliesAreComplete(t *testing.T) {
	least := map[string]int{
		"uuid": 800, "proquint": 1000, "instance_id": 800, "filter": 1000, "fsic": 1100, "fsic_db": 550,
		"queue": 400, "dequeue": 490, "certificates": 260, "keys": 360, "serialize": 190, "deserialize": 230,
	}
	for family, n := range least {
		seen := map[string]bool{}
		for _, c := range conformance.Cases(t, family) {
			if seen[c.ID] {
				t.Errorf("%s: two cases", c.ID)
			}
			seen[c.ID] = true
			if c.Input == nil || c.Expected == nil && c.Kind == "" {
				t.Errorf("%s: no input or no expected result", c.ID)
			}
		}
		if len(seen) < n {
			t.Errorf("family %s has %d cases, fewer than %d", family, len(seen), n)
		}
	}
}

func TestFilesOfTheReference(t *testing.T) {
	for _, name := range []string{
		"scope_definitions.json", "reference.json", "reference.sqlite3",
		"schema/sqlite.sql", "schema/postgres.sql", "wire/full-pull.json", "wire/sample-full-post-buffers.gz",
	} {
		if len(conformance.File(t, name)) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
	if n := len(conformance.Files(t, "wire")); n < 60 {
		t.Errorf("wire holds %d files, fewer than 60", n)
	}
}
