package model_test

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
)

func kolibri(t *testing.T) *model.Profile {
	t.Helper()
	p, err := model.LoadFile("../testdata/kolibri/facilitydata.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// kolibriDatabase unpacks the database that a Kolibri server made.
func kolibriDatabase(t *testing.T) *sql.DB {
	t.Helper()
	packed, err := os.Open("../testdata/kolibri/kolibri-server.sqlite3.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kolibri.sqlite3")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// storeRow is what the rules of a profile must give back.
type storeRow struct {
	id, model, partition, sourceID, selfRef string
	keys                                    []string
	values                                  map[string]any
}

func storeRows(t *testing.T, db *sql.DB) []storeRow {
	t.Helper()
	rows, err := db.Query("SELECT id, model_name, partition, source_id, _self_ref_fk, serialized FROM morango_store")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []storeRow
	for rows.Next() {
		var r storeRow
		var serialized string
		if err := rows.Scan(&r.id, &r.model, &r.partition, &r.sourceID, &r.selfRef, &serialized); err != nil {
			t.Fatal(err)
		}
		r.keys = jsonKeys(t, serialized)
		decoder := json.NewDecoder(strings.NewReader(serialized))
		decoder.UseNumber()
		if err := decoder.Decode(&r.values); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// jsonKeys returns an object's keys in the order of the text.
func jsonKeys(t *testing.T, object string) []string {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(object))
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key.(string))
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

// get reads a column as the rules see it: in the table's form, not the JSON's.
func (r storeRow) get(m *model.Model) func(string) (string, bool) {
	return func(column string) (string, bool) {
		value := r.values[column]
		if value == nil {
			return "", false
		}
		text := fmt.Sprint(value)
		if c, ok := m.Column(column); ok && c.Type == model.DashedUUID {
			text = strings.ReplaceAll(text, "-", "")
		}
		return text, true
	}
}

// Every row of a real Kolibri store gives its id, partition, source id, parent
// and order of columns back from the profile.
func TestKolibriRowsRecompute(t *testing.T) {
	p := kolibri(t)
	seen := map[string]int{}
	for _, row := range storeRows(t, kolibriDatabase(t)) {
		m, ok := p.Model(row.model)
		if !ok {
			t.Fatalf("the profile has no model %s", row.model)
		}
		seen[row.model]++
		checkKolibriRow(t, m, row)
	}
	if len(seen) != 20 {
		t.Errorf("the database holds rows of %d models, expected 20: %v", len(seen), seen)
	}
}

func checkKolibriRow(t *testing.T, m *model.Model, row storeRow) {
	t.Helper()
	get := row.get(m)
	template, err := m.PartitionOf(get)
	if err != nil {
		t.Errorf("%s %s: %v", row.model, row.id, err)
	}
	if got := strings.ReplaceAll(template, ident.Placeholder, row.id); got != row.partition {
		t.Errorf("%s %s: partition %s, expected %s", row.model, row.id, got, row.partition)
	}
	if got := m.IDOf(template, row.sourceID); got != row.id {
		t.Errorf("%s %s: the rules give the id %s", row.model, row.id, got)
	}
	if err := m.CheckID(row.id, row.partition, row.sourceID); err != nil {
		t.Error(err)
	}
	fresh := func(column string) (string, bool) {
		if column == model.ColumnSourceID {
			return "", true
		}
		return get(column)
	}
	sourceID, err := m.SourceIDOf(fresh, func() string { return "fresh" })
	switch m.Source.Kind {
	case model.SourceRandom:
		if sourceID != "fresh" || err != nil {
			t.Errorf("%s: random source id %q, %v", row.model, sourceID, err)
		}
	case model.SourceRootCertificate:
		if !errors.Is(err, model.ErrRootCertificate) {
			t.Errorf("%s: got %v, expected ErrRootCertificate", row.model, err)
		}
	default:
		if sourceID != row.sourceID || err != nil {
			t.Errorf("%s %s: source id %q, %v, expected %q", row.model, row.id, sourceID, err, row.sourceID)
		}
	}
	var names []string
	for _, c := range m.Serialized() {
		names = append(names, c.Name)
	}
	if !slices.Equal(names, row.keys) {
		t.Errorf("%s: columns %v, keys of the JSON %v", row.model, names, row.keys)
	}
	parent := ""
	if tree := m.SelfReference(); tree != nil {
		parent, _ = get(tree.Name)
	}
	if parent != row.selfRef {
		t.Errorf("%s %s: self-reference %q, expected %q", row.model, row.id, parent, row.selfRef)
	}
}

// The profile's columns are those of Kolibri's tables, with the same nullability
// and length; nothing but the dirty bit is left out.
func TestKolibriTablesMatch(t *testing.T) {
	db := kolibriDatabase(t)
	for _, m := range kolibri(t).Models {
		var got, want []string
		for _, c := range m.Columns {
			got = append(got, fmt.Sprintf("%s null=%v length=%d", c.Name, c.Nullable, c.Length))
		}
		rows, err := db.Query("SELECT name, type, \"notnull\" FROM pragma_table_info($1)", m.Table)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var name, declared string
			var notNull bool
			if err := rows.Scan(&name, &declared, &notNull); err != nil {
				t.Fatal(err)
			}
			length := 0
			// Other types have no length, char(32) is an id.
			_, _ = fmt.Sscanf(declared, "varchar(%d)", &length)
			if name != model.ColumnDirty {
				want = append(want, fmt.Sprintf("%s null=%v length=%d", name, !notNull, length))
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got  %q\n want %q", m.Name, got, want)
		}
	}
}

// The order given in the file is Kolibri's own and satisfies every dependency, so
// loading must not change it; from any other order a valid one results.
func TestKolibriOrder(t *testing.T) {
	p := kolibri(t)
	var names []string
	for _, m := range p.Models {
		names = append(names, m.Name)
	}
	want := "facilitydataset facility classroom adhoclearnersgroup learnergroup facilityuser individualsyncablelesson lesson " +
		"lessonassignment learnerdevicestatus individualsyncableexam exam examassignment examlog examattemptlog usersessionlog " +
		"contentsummarylog masterylog contentsessionlog attemptlog bookmark role membership"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("order\n %s\nexpected\n %s", got, want)
	}
	slices.Reverse(p.Models)
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	place := map[string]int{}
	for i, m := range p.Models {
		place[m.Name] = i
	}
	for _, m := range p.Models {
		for _, c := range m.References() {
			if target := c.References.Model; place[target] > place[m.Name] {
				t.Errorf("%s comes before %s, to which it refers", m.Name, target)
			}
		}
	}
	classroom, _ := p.Model("classroom")
	var referrers []string
	for _, r := range p.Referrers(classroom) {
		referrers = append(referrers, r.Model.Name+"."+r.Column)
	}
	for _, want := range []string{"membership.collection_id", "learnergroup.parent_id", "facilityuser.facility_id", "classroom.parent_id"} {
		if !slices.Contains(referrers, want) {
			t.Errorf("%s is not among the referrers of classroom: %v", want, referrers)
		}
	}
}

// What the JSON forms of Kolibri cannot show: defaults for what arrives empty,
// constraints, and the facts that a peer tells about itself.
func TestKolibriRules(t *testing.T) {
	p := kolibri(t)
	column := func(modelName, name string) *model.Column {
		m, _ := p.Model(modelName)
		c, ok := m.Column(name)
		if !ok {
			t.Fatalf("no column %s.%s", modelName, name)
		}
		return c
	}
	for _, c := range []struct {
		column *model.Column
		value  string
	}{{column("facilityuser", "password"), "NOT_SPECIFIED"}, {column("adhoclearnersgroup", "name"), "Ad hoc"}} {
		if d := c.column.Default; d == nil || !d.WhenEmpty || d.Value != c.value {
			t.Errorf("%s: default %+v", c.column.Name, d)
		}
	}
	if progress := column("contentsummarylog", "progress").Check; *progress.Min != 0 || *progress.Max != 1.01 {
		t.Errorf("progress is checked by %+v", progress)
	}
	if choices := column("learnerdevicestatus", "status_sentiment").Check.Choices; !slices.Equal(choices, []string{"-1", "0", "1"}) {
		t.Errorf("choices %v", choices)
	}
	if !bytes.HasPrefix([]byte(p.InstanceInfo["kolibri"]), []byte("0.18.")) {
		t.Errorf("instance info %v", p.InstanceInfo)
	}
	anonymous, _ := p.Model("attemptlog")
	get := func(name string) (string, bool) { return "d", name == "dataset_id" }
	if got, err := anonymous.PartitionOf(get); got != "d:anonymous" || err != nil {
		t.Errorf("partition %q, %v", got, err)
	}
}
