package recorded

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// edited puts what the application did between the recorded state and the first
// request into the state. It was recorded only by what was left of it afterwards: on
// the side that sends, and in a conflict on both, since there each keeps its own.
func (s Scenario) edited(side string) State {
	state := s.Before[side]
	if strings.HasSuffix(s.Name, "-certificate-push") && side == "client" {
		certs := s.After[side]["morango_certificate"]
		certs.Rows = slices.DeleteFunc(slices.Clone(certs.Rows), func(row []any) bool {
			return row[slices.Index(certs.Columns, "salt")] != "" && row[slices.Index(certs.Columns, "private_key")] == nil
		})
		state["morango_certificate"] = certs // the new root, without what was pushed
	}
	conflict := strings.HasSuffix(s.Name, "-pull-conflict")
	if !conflict && !(strings.HasSuffix(s.Name, "-pull") && side == "server") && !(strings.HasSuffix(s.Name, "-push") && side == "client") {
		return state
	}
	for name, later := range s.After[side] {
		if strings.HasPrefix(name, "facility_profile_") {
			state.edit(name, later)
		}
	}
	return state
}

// edit makes a table what it was later, with what changed marked as changed.
func (s State) edit(name string, later Table) {
	before := s[name]
	dirty, id := slices.Index(later.Columns, "_morango_dirty_bit"), slices.Index(later.Columns, "id")
	find := func(rows [][]any, key any) int {
		return slices.IndexFunc(rows, func(row []any) bool { return row[id] == key })
	}
	for _, row := range later.Rows {
		i := find(before.Rows, row[id])
		if i >= 0 && fmt.Sprint(before.Rows[i]) == fmt.Sprint(row) {
			continue
		}
		changed := slices.Clone(row)
		changed[dirty] = json.Number("1")
		if i >= 0 {
			before.Rows[i] = changed
		} else {
			before.Rows = append(before.Rows, changed)
		}
	}
	before.Rows = slices.DeleteFunc(before.Rows, func(row []any) bool {
		gone := find(later.Rows, row[id]) < 0
		if gone {
			s.Add("morango_deletedmodels", map[string]any{"id": row[id], "profile": "facilitydata"})
		}
		return gone
	})
	s[name] = before
}
