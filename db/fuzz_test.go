package db_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
)

// Whatever text lies in a column of moments, it is a moment that is written and read
// again as itself, or an error.
func FuzzTimeScan(f *testing.F) {
	for _, text := range []string{"2026-11-22 01:31:39.294708", "2026-11-22T01:31:39+05:30", "2026-11-22", "2026-11-22 01:31:39Z", "0000-00-00", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var at, again db.Time
		if at.Scan(text) != nil {
			return
		}
		if err := again.Scan([]byte(text)); err != nil || again != at || !at.Valid || at.Time.Location() != time.UTC {
			t.Fatalf("%q is %v, as bytes %v: %v", text, at, again, err)
		}
		if year := at.Time.Year(); year < 0 || year > 9999 {
			return // a zone can lead out of the years that have four digits
		}
		if err := again.Scan(at.Time.Format("2006-01-02 15:04:05.999999999")); err != nil || !again.Time.Equal(at.Time) {
			t.Fatalf("%q is %v, written and read %v: %v", text, at, again, err)
		}
	})
}

// An id in a column is an id without dashes, or the text as it is; a list of texts is
// JSON that the standard library reads as the same; a quoted name stays one name.
func FuzzValues(f *testing.F) {
	for _, text := range []string{"467DD5C2-B39C-066B-C3B7-3C9881F95430", "x'y\"z", "\u2028<>&\x00", "\xff", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var id db.ID
		if err := id.Scan(text); err != nil || string(id) != text && !ident.Valid(string(id)) {
			t.Fatalf("%q is the id %q: %v", text, id, err)
		}
		var list []string
		valid := strings.ToValidUTF8(text, "\ufffd")
		if err := json.Unmarshal([]byte(db.JSONList([]string{valid, "x"})), &list); err != nil || !slices.Equal(list, []string{valid, "x"}) {
			t.Fatalf("%q came back as %q: %v", valid, list, err)
		}
		quoted := db.Quote(text)
		inner := strings.ReplaceAll(quoted[1:len(quoted)-1], `""`, "")
		if strings.Contains(inner, `"`) || strings.ReplaceAll(quoted[1:len(quoted)-1], `""`, `"`) != text {
			t.Fatalf("%q is quoted as %s", text, quoted)
		}
	})
}
