package server_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/morango-go/morango/internal/conformance/recorded"
)

// keys are the columns by which a table's rows are known.
var keys = map[string][]string{
	"morango_recordmaxcounter":       {"store_model_id", "instance_id"},
	"morango_databasemaxcounter":     {"partition", "instance_id"},
	"morango_buffer":                 {"transfer_session_id", "model_uuid"},
	"morango_recordmaxcounterbuffer": {"transfer_session_id", "model_uuid", "instance_id"},
	"morango_certificate":            {"public_key", "scope_definition_id", "scope_params", "parent_id"},
}

// compareTables compares every table with what the reference's server held afterwards.
func (r *replay) compareTables() {
	r.Helper()
	end := r.End("server")
	for _, name := range slices.Sorted(maps.Keys(end)) {
		want := end[name]
		got := recorded.Dump(r.T, r.peer.db, name, want.Meaningful(name))
		if name == "morango_databasemaxcounter" {
			r.sameClaims(want.ByColumns(), got.ByColumns())
			continue
		}
		r.sameRows(name, want.ByColumns(), r.withoutNote(name, got.ByColumns()))
	}
}

// withoutNote leaves out the row in which our database keeps what it told others of
// itself, which is under its own id and no session.
func (r *replay) withoutNote(name string, rows []map[string]any) []map[string]any {
	r.Helper()
	if name != "morango_syncsession" {
		return rows
	}
	id := r.peer.state["morango_databaseidmodel"].ByColumns()[0]["id"]
	return slices.DeleteFunc(rows, func(row map[string]any) bool {
		if row["id"] != id {
			return false
		}
		r.Equal("the note on what others were told, active", fmt.Sprint(row["active"]), "0")
		return true
	})
}

func rowKey(name string, row map[string]any) string {
	columns := keys[name]
	if columns == nil {
		columns = []string{"id"}
	}
	var parts []string
	for _, column := range columns {
		parts = append(parts, fmt.Sprint(row[column]))
	}
	return strings.Join(parts, " ")
}

// sameRows compares two tables row by row.
func (r *replay) sameRows(name string, want, got []map[string]any) {
	r.Helper()
	byKey := map[string]map[string]any{}
	for _, row := range got {
		byKey[rowKey(name, row)] = row
	}
	r.Equal(name+": rows", len(got), len(want))
	for _, w := range want {
		g, ok := byKey[rowKey(name, w)]
		if !ok {
			r.True(false, "%s: no row %s", name, rowKey(name, w))
			continue
		}
		for column := range g {
			r.sameColumn(name, column, w, g)
		}
	}
}

// sameColumn compares one value of a row.
func (r *replay) sameColumn(name, column string, want, got map[string]any) {
	r.Helper()
	what := fmt.Sprintf("%s %s: %s", name, rowKey(name, want), column)
	w, g := want[column], got[column]
	switch {
	case fmt.Sprint(w) == fmt.Sprint(g):
		r.asSaid(what)
	case strings.HasSuffix(column, "_timestamp") && name != "facility_profile_facility":
		r.True(len(fmt.Sprint(g)) >= len("2006-01-02 15:04:05"), "%s: %v", what, g)
	case name == "morango_certificate" && (column == "id" || column == "salt" || column == "serialized" || column == "signature"):
		r.True(want["salt"] != "" && got["salt"] != "" && r.newCertificate(want), "%s: %v, recorded %v", what, g, w)
	case column == "server_fsic":
		object := map[string]any{"filter": want["filter"], "push": fmt.Sprint(want["push"]) == "1"}
		r.sameClaim(what, object, fmt.Sprint(w), fmt.Sprint(g))
	case name == "morango_instanceidmodel" && column == "counter":
		r.Deviates(10)
		r.True(whole(g) < whole(w) && whole(g) >= r.highest(""), "%s: rules 9 and 10: %v, recorded %v", what, g, w)
	case column == "last_saved_counter":
		r.sameCounter(what, fmt.Sprint(want["last_saved_instance"]), w, g)
	case column == "counter":
		r.sameCounter(what, fmt.Sprint(want["instance_id"]), w, g)
	case column == "records_total" || column == "records_transferred":
		r.sameCount(what, want, w, g)
	case column == "serialized" && name == "morango_store":
		r.True(equalJSON(fmt.Sprint(w), fmt.Sprint(g)), "%s: %v, recorded %v", what, g, w)
	default:
		r.True(false, "%s: %#v, recorded %#v", what, g, w)
	}
}

// newCertificate reports whether a recorded certificate was made in the scenario.
func (r *replay) newCertificate(want map[string]any) bool {
	return !slices.ContainsFunc(r.peer.state["morango_certificate"].ByColumns(), func(row map[string]any) bool {
		return row["id"] == want["id"]
	})
}

// sameClaims compares the claims of the databases by what they say for every partition
// that one of them names: the widest prefix counts.
func (r *replay) sameClaims(want, got []map[string]any) {
	r.Helper()
	for _, row := range slices.Concat(want, got) {
		partition, instance := fmt.Sprint(row["partition"]), fmt.Sprint(row["instance_id"])
		w, g := claimed(want, partition, instance), claimed(got, partition, instance)
		what := fmt.Sprintf("claim of %q by %s", partition, instance)
		if g > w {
			r.learned(what, partition, instance, w, g)
			continue
		}
		r.sameClaimed(what, instance, partition, w, g)
	}
}

func claimed(rows []map[string]any, partition, instance string) (highest int64) {
	for _, row := range rows {
		if row["instance_id"] == instance && strings.HasPrefix(partition, fmt.Sprint(row["partition"])) {
			highest = max(highest, whole(row["counter"]))
		}
	}
	return highest
}

// learned checks a claim that the reference did not keep: the client made it in this
// scenario, for a wider prefix (rule 21).
func (r *replay) learned(what, partition, instance string, want, got int64) {
	r.Helper()
	r.Deviates(21)
	for _, e := range r.Exchanges {
		row, ok := e.Transfer()
		if ok && row.Push && strings.Contains(row.ClientFSIC, fmt.Sprintf(`"%s": %d`, instance, got)) {
			r.asSaid(what)
			return
		}
	}
	r.True(false, "%s: rule 21: %d, recorded %d, and the client does not say so for %q", what, got, want, partition)
}
