package recorded

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"

	"github.com/morango-go/morango/counter"
)

// Own is the id of the instance that saves into the database.
func (s State) Own() string { return s.own("id") }

// own is a column of the current instance.
func (s State) own(column string) string {
	instances := s["morango_instanceidmodel"]
	for _, row := range instances.Rows {
		if text(row[slices.Index(instances.Columns, "current")]) == "1" {
			return text(row[slices.Index(instances.Columns, column)])
		}
	}
	return ""
}

// Claim sets the database's claims to those that it advertised in v2, and the counter
// of its own instance to the highest of them: the state after the claims were made.
func (s State) Claim(t testing.TB, advertised string) {
	t.Helper()
	fsic, err := counter.Parse([]byte(advertised))
	if err != nil {
		t.Fatal(err)
	}
	var top int64
	own := s.Own()
	for _, part := range []counter.ByPartition{fsic.Super, fsic.Sub} {
		for _, counters := range part {
			top = max(top, counters[own])
		}
	}
	dmc := s["morango_databasemaxcounter"]
	at := func(row []any, column string) string { return text(row[slices.Index(dmc.Columns, column)]) }
	dmc.Rows = slices.DeleteFunc(dmc.Rows, func(row []any) bool {
		n, err := strconv.ParseInt(at(row, "counter"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		_, told := fsic.Super[at(row, "partition")][at(row, "instance_id")]
		_, toldBelow := fsic.Sub[at(row, "partition")][at(row, "instance_id")]
		return at(row, "instance_id") == own && n > top || told || toldBelow
	})
	for _, part := range []counter.ByPartition{fsic.Super, fsic.Sub} {
		for partition, counters := range part {
			for instance, n := range counters {
				values := map[string]any{"partition": partition, "instance_id": instance, "counter": json.Number(strconv.FormatInt(n, 10))}
				dmc.Rows = append(dmc.Rows, rowOf(dmc.Columns, values))
			}
		}
	}
	for i, row := range dmc.Rows { // the surrogate keys of what was added
		if id := slices.Index(dmc.Columns, "id"); id >= 0 {
			row[id] = json.Number(strconv.Itoa(i + 1))
		}
	}
	s["morango_databasemaxcounter"] = dmc
	instances := s["morango_instanceidmodel"]
	for _, row := range instances.Rows {
		if text(row[slices.Index(instances.Columns, "id")]) == own {
			row[slices.Index(instances.Columns, "counter")] = json.Number(strconv.FormatInt(top, 10))
		}
	}
}

// Add adds a row; columns that are not given are null.
func (s State) Add(table string, values map[string]any) {
	t := s[table]
	t.Rows = append(t.Rows, rowOf(t.Columns, values))
	s[table] = t
}

func rowOf(columns []string, values map[string]any) []any {
	row := make([]any, len(columns))
	for i, column := range columns {
		row[i] = values[column]
	}
	return row
}

// text is a recorded value as text; "" for null.
func text(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	}
	return ""
}
