package serialize_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage/serialize"
)

var appTables = []string{"facility", "user", "contentsummarylog", "contentinteractionlog"}

// compared are the tables that a case shows, apart from the claims.
var compared = slices.Concat(appTables, []string{"store", "rmc", "deleted_models", "hard_deleted_models"})

// given is the input of a case.
type given struct {
	Instance struct {
		ID      string
		Counter int64
	} `json:"current_instance"`
	Filter []string // nil: everything
	State  map[string]json.RawMessage
}

// outcome is what the reference made of it.
type outcome struct {
	OK    map[string]json.RawMessage
	Error string
	After map[string]json.RawMessage `json:"state_after"`
}

func TestConformanceSerialize(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		conformance.Run(t, "serialize", func(t *conformance.T, c conformance.Case) {
			var recorded, in given
			t.Decode(c.Input, &recorded)
			as := func(text json.RawMessage) json.RawMessage { // an instance id is a hash: it cannot be chosen
				return bytes.ReplaceAll(text, []byte(recorded.Instance.ID), []byte(tables.Instance()))
			}
			t.Decode(as(c.Input), &in)
			var out outcome
			t.Decode(as(c.Expected), &out)
			if c.ExpectedPostgres != nil { // there the reference tells the case of letters apart
				t.Deviates(1)
				t.Decode(as(c.ExpectedPostgres), &out)
			}
			w := newWant(t, in, out)
			tables.Load(t, d, in.Instance.Counter, in.State)
			report, err := serialize.Run(t.Context(), env, partition.Of(in.Filter...), nil)
			w.check(t, d, report, err)
		})
	})
}

// want is what we mean to make of a case: the reference's outcome, changed by the
// rules that apply to its input.
type want struct {
	in      given
	fails   bool
	tables  map[string][]tables.Row
	dmc     []tables.Row
	counter int64
	touched map[string]bool // ids of records that are stamped
	unread  []string        // records whose store text is no JSON object, where the reference fails
}

func newWant(t *conformance.T, in given, out outcome) *want {
	w := &want{in: in, tables: map[string][]tables.Row{}, counter: in.Instance.Counter, touched: map[string]bool{}}
	before := out.After
	if out.OK != nil {
		before = out.OK
	}
	for _, name := range append(compared, "dmc") {
		list := before[name]
		if string(list) == "null" || list == nil {
			list = in.State[name]
		}
		w.tables[name] = rowsOf(t, list)
	}
	w.dmc = w.tables["dmc"]
	delete(w.tables, "dmc")
	dirty := w.dirty(t)
	w.fails = out.OK == nil && !w.unreadable(t, dirty)
	if w.fails {
		t.Deviates(10)
		return w
	}
	w.followSelfReference(t, dirty)
	w.keepRecreated(t, dirty)
	w.countStamps(t, dirty)
	w.keepClaims(t)
	return w
}

// dirty are the rows that lie in the filter and changed, by id.
func (w *want) dirty(t *conformance.T) map[string]tables.Row {
	filter := partition.Of(w.in.Filter...)
	found := map[string]tables.Row{}
	for _, name := range appTables {
		for _, row := range rowsOf(t, w.in.State[name]) {
			if row["_morango_dirty_bit"] == true && (filter.IsZero() || filter.Contains(row["_morango_partition"].(string))) {
				found[row["id"].(string)] = row
			}
		}
	}
	return found
}

// followSelfReference is rule 11.
func (w *want) followSelfReference(t *conformance.T, dirty map[string]tables.Row) {
	for _, row := range w.tables["store"] {
		changed, ok := dirty[row["id"].(string)]
		if !ok || row["model_name"] != "facility" {
			continue
		}
		parent, _ := changed["parent_id"].(string)
		if row["_self_ref_fk"] != parent {
			t.Deviates(11)
			row["_self_ref_fk"] = parent
		}
	}
}

// keepRecreated is rule 24: a deletion whose row exists leaves the record as the
// row made it, or as it was.
func (w *want) keepRecreated(t *conformance.T, dirty map[string]tables.Row) {
	exists := map[string]bool{}
	for _, name := range appTables {
		for _, row := range rowsOf(t, w.in.State[name]) {
			exists[row["id"].(string)] = true
		}
	}
	for _, deletion := range slices.Concat(rowsOf(t, w.in.State["deleted_models"]), rowsOf(t, w.in.State["hard_deleted_models"])) {
		id := deletion["id"].(string)
		if deletion["profile"] != "facilitydata" || w.recorded(id) == nil {
			continue
		}
		if !exists[id] {
			w.touched[id] = true
			continue
		}
		t.Deviates(24)
		if row := w.recorded(id); dirty[id] != nil {
			row["deleted"], row["hard_deleted"] = false, false
		} else {
			w.putBack(t, id)
		}
	}
}

// recorded is the store row of an id, nil when there is none.
func (w *want) recorded(id string) tables.Row {
	for _, row := range w.tables["store"] {
		if row["id"] == id {
			return row
		}
	}
	return nil
}

// putBack wants a record to be as it was before.
func (w *want) putBack(t *conformance.T, id string) {
	for name, column := range map[string]string{"store": "id", "rmc": "store_model_id"} {
		isOurs := func(row tables.Row) bool { return row[column] == id }
		kept := slices.DeleteFunc(w.tables[name], isOurs)
		for _, row := range rowsOf(t, w.in.State[name]) {
			if isOurs(row) {
				kept = append(kept, row)
			}
		}
		w.tables[name] = kept
	}
}

// unreadable is the part of rule 7 that concerns serialize: the reference fails for
// the whole profile because it cannot read a text of the store.
func (w *want) unreadable(t *conformance.T, dirty map[string]tables.Row) bool {
	for id := range dirty {
		if row := w.stored(t, id); row != nil && !strings.HasPrefix(row["serialized"].(string), "{") {
			w.unread = append(w.unread, id)
		}
	}
	if len(w.unread) == 0 {
		return false
	}
	t.Deviates(7)
	return true
}

// countStamps is rule 10.
func (w *want) countStamps(t *conformance.T, dirty map[string]tables.Row) {
	for id := range dirty {
		w.touched[id] = true
	}
	if len(w.touched) == 0 {
		t.Deviates(10)
		return
	}
	w.counter++
}

// stored is the store row of an id before the run.
func (w *want) stored(t *conformance.T, id string) tables.Row {
	for _, row := range rowsOf(t, w.in.State["store"]) {
		if row["id"] == id {
			return row
		}
	}
	return nil
}

// check holds the database and the report against what is wanted.
func (w *want) check(t *conformance.T, d *db.DB, report serialize.Report, err error) {
	t.True((err != nil) == w.fails, "run fails: want %v, got %v", w.fails, err)
	t.Equal("counter", tables.Counter(t, d), w.counter)
	t.Equal("rows left out", report.LeftOut, []serialize.Problem(nil))
	if len(w.unread) > 0 {
		w.checkUnread(t, d)
		return
	}
	for _, name := range compared {
		t.EqualRows(name, tables.Dump(t, d, name), asJSON(t, w.tables[name]))
	}
	if w.fails {
		t.EqualRows("dmc", tables.Dump(t, d, "dmc"), w.in.State["dmc"])
		return
	}
	t.Equal("records", report.Records, int64(len(w.touched)))
	w.checkClaims(t, tables.Dump(t, d, "dmc"))
}

// checkUnread is what rule 7 makes of a store text that cannot be read: the row's own.
// What was there is kept, unless it was empty, and all other rows are serialized too.
func (w *want) checkUnread(t *conformance.T, d *db.DB) {
	dirty := w.dirty(t)
	for _, row := range tables.Dump(t, d, "store") {
		id := row["id"].(string)
		if !slices.Contains(w.unread, id) {
			continue
		}
		if before := w.stored(t, id)["serialized"].(string); before != "" {
			head, _, _ := strings.Cut(row["conflicting_serialized_data"].(string), "\n")
			t.Equal("head of the conflicting texts of record "+id, head, before)
		}
		var text map[string]any
		t.Decode(json.RawMessage(row["serialized"].(string)), &text)
		for key, value := range dirty[id] {
			if _, isText := value.(string); isText && !strings.HasSuffix(key, "_date") && key != "last_login" {
				t.Equal("key "+key+" of record "+id, text[key], value)
			}
		}
		t.Equal("version of record "+id, row["last_saved_counter"], any(w.counter))
	}
	for _, name := range appTables {
		for _, row := range tables.Dump(t, d, name) {
			t.True(dirty[row["id"].(string)] == nil || row["_morango_dirty_bit"] == false, "row %v is still dirty", row["id"])
		}
	}
}

// keepClaims is rule 10, where nothing is stamped, and rule 2: a claim about
// ourselves that is above our counter is impossible, but still does not fall.
func (w *want) keepClaims(t *conformance.T) {
	before := rowsOf(t, w.in.State["dmc"])
	if w.counter == w.in.Instance.Counter {
		w.dmc = rowsOf(t, w.in.State["dmc"])
		for _, prefix := range append(w.in.Filter, all(w.in.Filter)...) {
			w.claim(prefix)
		}
	}
	for _, row := range w.dmc {
		for _, old := range before {
			if sameClaim(old, row) && asInt(old["counter"]) > asInt(row["counter"]) {
				t.Deviates(2)
				row["counter"] = old["counter"]
			}
		}
	}
}

// all is the prefix that stands for everything when a filter has none.
func all(filter []string) []string {
	if len(filter) == 0 {
		return []string{""}
	}
	return nil
}

// checkClaims holds the claims against the wanted ones. What they say under each
// partition must be the same; but a claim that a wider one includes is not written
// a second time.
func (w *want) checkClaims(t *conformance.T, got []tables.Row) {
	for _, row := range slices.Concat(w.dmc, got) {
		t.Equal("claim under "+row["partition"].(string), held(got, row), held(w.dmc, row))
	}
	for _, row := range got {
		isThis := func(other tables.Row) bool { return sameClaim(other, row) }
		t.True(slices.ContainsFunc(w.dmc, isThis), "claim %v is nobody's", row)
	}
}

// claim raises the wanted claim of our instance under a prefix to our counter.
func (w *want) claim(prefix string) {
	ours := tables.Row{"instance_id": tables.Instance(), "partition": prefix, "counter": number(w.counter)}
	for _, row := range w.dmc {
		if sameClaim(row, ours) {
			row["counter"] = number(max(w.counter, asInt(row["counter"])))
			return
		}
	}
	if w.counter > 0 {
		w.dmc = append(w.dmc, ours)
	}
}

// sameClaim reports whether two claims are about one instance and partition.
func sameClaim(a, b tables.Row) bool {
	return a["partition"] == b["partition"] && a["instance_id"] == b["instance_id"]
}

// held is the greatest counter that claims say about the instance of row under its
// partition, in their own row or a wider one.
func held(claims []tables.Row, row tables.Row) int64 {
	greatest := int64(0)
	for _, other := range claims {
		if other["instance_id"] == row["instance_id"] && strings.HasPrefix(row["partition"].(string), other["partition"].(string)) {
			greatest = max(greatest, asInt(other["counter"]))
		}
	}
	return greatest
}

func number(n int64) any { return json.Number(jsonText(n)) }

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func asInt(v any) int64 {
	if n, ok := v.(json.Number); ok {
		i, err := n.Int64()
		if err != nil {
			panic(err)
		}
		return i
	}
	return v.(int64)
}

func asJSON(t *conformance.T, rows []tables.Row) json.RawMessage {
	t.Helper()
	return json.RawMessage(jsonText(rows))
}

// rowsOf decodes a list of rows, keeping the digits of numbers.
func rowsOf(t *conformance.T, list json.RawMessage) []tables.Row {
	t.Helper()
	var rows []tables.Row
	decoder := json.NewDecoder(bytes.NewReader(list))
	decoder.UseNumber()
	if err := decoder.Decode(&rows); err != nil {
		t.Fatalf("rows of the case: %v", err)
	}
	return rows
}
