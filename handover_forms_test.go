package morango_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/store"
)

// checkStore holds that the store changed in the records that changed, and no other.
func checkStore(t *testing.T, h handed, before, after map[string]map[string]value, done synced) {
	t.Helper()
	var changed []string
	for id, row := range after {
		if !maps.Equal(before[id], row) {
			changed = append(changed, strings.ReplaceAll(id, "-", ""))
		}
	}
	want := []string{done.added, done.edited, done.deleted, done.pending, done.deletion}
	slices.Sort(want)
	slices.Sort(changed)
	if !slices.Equal(changed, want) || len(after) != len(before)+1 {
		t.Errorf("the store changed in %q, want %q", changed, want)
	}
	for _, id := range want {
		gone := id == done.deleted || id == done.deletion
		if row := after[h.id(id)]; row["deleted"].Text != h.bool(gone) || row["dirty_bit"].Text != h.bool(false) {
			t.Errorf("store row %s is %v", id, row)
		}
	}
}

// checkInstances holds that the database saves as a new instance on a new machine, as
// the reference would, and that what it claimed before still stands.
func checkInstances(t *testing.T, h handed, before, after contents) {
	t.Helper()
	const table = "morango_instanceidmodel"
	for id, row := range after[table] {
		bare := strings.ReplaceAll(id, "-", "")
		database := strings.ReplaceAll(row["database_id"].Text, "-", "")
		if old := before[table][id]; old != nil {
			old["current"] = row["current"]
			if bare != instance || !maps.Equal(old, row) || row["current"].Text != h.bool(false) {
				t.Errorf("the row of the old instance is %v", row)
			}
		} else if bare != ident.Instance(database, row["system_id"].Text, row["node_id"].Text) || row["current"].Text != h.bool(true) {
			t.Errorf("the row of the new instance is %v", row)
		}
	}
	if len(after[table]) != 2 {
		t.Errorf("there are %d instances, want the old and the new one", len(after[table]))
	}
	for id, row := range before["morango_databasemaxcounter"] {
		now := after["morango_databasemaxcounter"][id]
		old, err := strconv.Atoi(row["counter"].Text)
		must(t, err)
		if n, err := strconv.Atoi(now["counter"].Text); err != nil || n < old || now["partition"] != row["partition"] {
			t.Errorf("the claim %v became %v", row, now)
		}
	}
}

// checkCertificates holds that Django finds a certificate's ancestors and descendants
// by the tree columns, old ones and ours.
func checkCertificates(t *testing.T, before, after map[string]map[string]value) {
	t.Helper()
	if len(after) != len(before)+1 {
		t.Errorf("there are %d certificates after %d and one joining", len(after), len(before))
	}
	number := func(row map[string]value, column string) int {
		n, err := strconv.Atoi(row[column].Text)
		must(t, err)
		return n
	}
	for id, row := range after {
		if number(row, "lft") >= number(row, "rght") {
			t.Errorf("certificate %s spans %s to %s", id, row["lft"].Text, row["rght"].Text)
		}
		depth := 0
		for up := row["parent_id"].Text; up != ""; up = after[up]["parent_id"].Text {
			depth++
		}
		if number(row, "level") != depth {
			t.Errorf("certificate %s has the level %s, want %d", id, row["level"].Text, depth)
		}
		for other, below := range after {
			under := false
			for up := other; up != ""; up = after[up]["parent_id"].Text {
				under = under || up == id
			}
			spanned := below["tree_id"] == row["tree_id"] && number(below, "lft") >= number(row, "lft") && number(below, "rght") <= number(row, "rght")
			if under != spanned {
				t.Errorf("certificate %s lies under %s: %v, by the tree columns: %v", other, id, under, spanned)
			}
		}
	}
	for id, row := range before {
		for column, old := range row {
			if !slices.Contains([]string{"lft", "rght", "tree_id"}, column) && after[id][column] != old {
				t.Errorf("certificate %s: %s changed", id, column)
			}
		}
	}
}

var (
	momentText = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?$`)
	hashText   = regexp.MustCompile(`^[0-9a-f]{20}$`)
)

// form tells what kind of thing a column holds in SQLite.
func form(kind, text string) string {
	switch {
	case kind != "text":
		return kind
	case ident.Valid(text):
		return "id"
	case momentText.MatchString(text):
		return "moment"
	case hashText.MatchString(text):
		return "hash"
	case strings.HasPrefix(text, "-----BEGIN RSA PRIVATE KEY-----\n"):
		return "private key"
	case strings.HasPrefix(text, "MII"):
		return "public key"
	case strings.HasPrefix(text, "{") && json.Valid([]byte(text)):
		return "JSON"
	}
	return "text"
}

// djangoForms are the forms that Django gave to each column in the recordings.
func djangoForms(t *testing.T) map[string]map[string]bool {
	t.Helper()
	type table struct {
		Columns []string
		Rows    [][]any
	}
	forms := map[string]map[string]bool{}
	learn := func(tables map[string]table) {
		for name, tab := range tables {
			for _, row := range tab.Rows {
				for i, v := range row {
					kind := map[bool]string{true: "text", false: "integer"}[fmt.Sprintf("%T", v) == "string"]
					if v == nil {
						kind = "null"
					}
					key := name + "." + tab.Columns[i]
					if forms[key] == nil {
						forms[key] = map[string]bool{}
					}
					forms[key][form(kind, fmt.Sprint(v))] = true
				}
			}
		}
	}
	var reference struct{ Tables map[string]table }
	must(t, json.Unmarshal(conformance.File(t, "reference.json"), &reference))
	learn(reference.Tables)
	for name, text := range conformance.Files(t, "wire") {
		var recorded struct{ Before, After map[string]map[string]table }
		if !strings.HasSuffix(name, ".json") || json.Unmarshal(text, &recorded) != nil {
			continue // a raw body
		}
		for _, side := range []string{"client", "server"} {
			learn(recorded.Before[side])
			learn(recorded.After[side])
		}
	}
	return forms
}

// checkForms holds that every value stands in a form that Django gave to values of
// its column. PostgreSQL's columns have types; there only the texts can differ.
func checkForms(t *testing.T, h handed, after contents) {
	t.Helper()
	forms := djangoForms(t)
	seen := 0
	for table, rows := range after {
		for _, row := range rows {
			if table == "morango_syncsession" && row["profile"].Text == "" {
				if row["active"].Text != h.bool(false) { // what peers told of us: a note to ourselves
					t.Errorf("the sync session %v would be resumed", row)
				}
				continue
			}
			for column, v := range row {
				known := forms[table+"."+column]
				kind := v.Type
				if h.driver == "pgx" {
					switch kind {
					case "character varying":
						kind = "text"
					case "null", "text", "integer":
					default:
						continue
					}
				}
				if got := form(kind, v.Text); known != nil && !known[got] {
					t.Errorf("%s.%s holds %q, which is %s; Django's are %v", table, column, v.Text, got, slices.Sorted(maps.Keys(known)))
				}
				seen++
			}
		}
	}
	if seen < 900 || len(forms) < 100 {
		t.Errorf("only %d values and %d columns were compared", seen, len(forms))
	}
}

// On the machine that it was made on, the database goes on under its instance id.
func TestDjangoInstanceGoesOn(t *testing.T) {
	eachHanded(t, func(t *testing.T, h handed) {
		before := h.read(t)["morango_instanceidmodel"][h.id(instance)]
		d, err := db.Open(t.Context(), h.target, db.Options{})
		must(t, err)
		machine := store.Machine{SystemID: before["system_id"].Text, NodeID: before["node_id"].Text,
			Platform: before["platform"].Text, Hostname: before["hostname"].Text, SysVersion: "go", DBPath: d.Path()}
		must(t, d.Write(t.Context(), func(tx *db.Tx) error {
			current, err := store.CurrentInstance(t.Context(), tx, machine, func() string { return "" })
			if err != nil || current.ID != instance || current.Counter != 3 {
				t.Errorf("the instance is %+v (%v)", current, err)
				return err
			}
			if n, err := store.NextCounter(t.Context(), tx, current.ID); err != nil || n != 4 {
				t.Errorf("the next counter is %d (%v), want 4", n, err)
			}
			return nil
		}))
		must(t, d.Close())
		all := h.read(t)["morango_instanceidmodel"]
		if row := all[h.id(instance)]; len(all) != 1 || row["counter"].Text != "4" || row["current"] != before["current"] {
			t.Errorf("the instances are %v", all)
		}
	})
}
