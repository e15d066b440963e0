package deserialize

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
)

// spec says what a run does, row by row and in memory: the stage's rules without
// its sets, pages and transactions.
type spec struct {
	profile *model.Profile
	in      vector
	app     map[string]map[string]tableRow // by model and id
	store   map[string]tableRow
	gone    map[string]map[string]bool // deleted_models and hard_deleted_models
	tried   map[string]verdict
	clashed bool
	Report
}

// expect returns the state after a run, and the run's report.
func expect(p *model.Profile, in vector) (state, Report) {
	x := &spec{profile: p, in: in, app: map[string]map[string]tableRow{}, store: map[string]tableRow{}, tried: map[string]verdict{},
		gone: map[string]map[string]bool{"deleted_models": {}, "hard_deleted_models": {}}}
	for _, m := range p.Models {
		x.app[m.Name] = map[string]tableRow{}
		for _, row := range in.State[m.Name] {
			x.app[m.Name][row["id"].(string)] = maps.Clone(row)
		}
	}
	for _, row := range in.State["store"] {
		x.store[row["id"].(string)] = maps.Clone(row)
	}
	for table := range x.gone {
		for _, row := range in.State[table] {
			x.gone[table][row["id"].(string)] = true
		}
	}
	x.run()
	out := state{"rmc": in.State["rmc"], "store": slices.Collect(maps.Values(x.store))}
	for name, rows := range x.app {
		out[name] = slices.Collect(maps.Values(rows))
	}
	for table, ids := range x.gone {
		for id := range ids {
			out[table] = append(out[table], tableRow{"id": id, "profile": x.profileOf(table, id)})
		}
	}
	return out, x.Report
}

func (x *spec) profileOf(table, id string) any {
	for _, row := range x.in.State[table] {
		if row["id"] == id {
			return row["profile"]
		}
	}
	return x.store[id]["profile"]
}

func (x *spec) run() {
	x.write()
	before := x.Deleted
	failed, waited := x.Errors, x.Waiting
	x.removeAll()
	x.Waiting = waited
	x.removeAll()
	if !x.clashed || x.Deleted == before || x.in.SkipErroring {
		return
	}
	clear(x.tried)
	x.Errors, x.Waiting = x.Errors-failed, x.Waiting-waited
	x.write()
}

func (x *spec) removeAll() {
	for _, m := range slices.Backward(x.profile.Models) {
		for _, id := range x.due(m, true) {
			switch {
			case x.stuck(id):
			case x.edited(m, id):
				x.Waiting++
			default:
				x.remove(m, id, x.store[id]["hard_deleted"] == true, false)
				x.Deleted++
				x.clean(m, id)
			}
		}
	}
}

// due are the ids of the model's rows that the run has to try, in order.
func (x *spec) due(m *model.Model, deleted bool) []string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(x.store)) {
		s := x.store[id]
		if x.ours(s, m.Name) && s["dirty_bit"] == true && s["deleted"] == deleted {
			ids = append(ids, id)
		}
	}
	return ids
}

func (x *spec) ours(s tableRow, name string) bool {
	filter := partition.Of(x.in.Filter...)
	return s != nil && s["profile"] == x.profile.Name && s["model_name"] == name &&
		(filter.IsZero() || filter.Contains(s["partition"].(string))) &&
		!(x.in.SkipErroring && s["deserialization_error"] != "")
}

func (x *spec) stuck(id string) bool { return x.tried[id] == refused || x.tried[id] == blocked }

func (x *spec) edited(m *model.Model, id string) bool {
	return x.app[m.Name][id]["_morango_dirty_bit"] == true
}

func (x *spec) clean(m *model.Model, id string) {
	x.store[id]["dirty_bit"] = false
	if m.SelfReference() != nil {
		x.store[id]["deserialization_error"] = ""
	}
}

func (x *spec) fail(id string, v verdict) {
	x.tried[id] = v
	x.Errors++
	x.store[id]["deserialization_error"] = "why"
}

// write applies the rows of all models, those of a tree round by round.
func (x *spec) write() {
	for _, m := range x.profile.Models {
		if m.SelfReference() == nil {
			x.round(m, x.due(m, false))
			continue
		}
		left := append(x.due(m, false), x.due(m, true)...)
		slices.Sort(left)
		var doomed []string
		for {
			var ready, rest []string
			for _, id := range left {
				if x.ready(m, id) {
					ready = append(ready, id)
				} else {
					rest = append(rest, id)
				}
			}
			if left = rest; len(ready) == 0 {
				break
			}
			doomed = append(doomed, x.judge(m, ready, doomed)...)
		}
		x.doom(m, doomed)
		for _, id := range left {
			x.fail(id, blocked)
		}
	}
}

func (x *spec) ready(m *model.Model, id string) bool {
	parent := x.store[id]["_self_ref_fk"].(string)
	if parent == "" {
		return true
	}
	p := x.store[parent]
	if p != nil && !x.ours(p, m.Name) { // what lies outside the filter is as it is
		return p["profile"] == x.profile.Name && p["model_name"] == m.Name && p["dirty_bit"] == false && p["deleted"] == false
	}
	return x.ours(p, m.Name) && (p["dirty_bit"] == false || x.tried[parent] == waiting || x.tried[parent] == released)
}

func (x *spec) round(m *model.Model, ids []string) { x.doom(m, x.judge(m, ids, nil)) }

func (x *spec) doom(m *model.Model, ids []string) {
	for _, id := range ids {
		x.remove(m, id, x.gone["hard_deleted_models"][id], false)
	}
}

// judge applies rows that do not wait for each other, and returns those whose
// target is deleted.
func (x *spec) judge(m *model.Model, ids, before []string) (doomed []string) {
	type row struct {
		id     string
		values []any
	}
	var good []row
	for _, id := range ids {
		s := x.store[id]
		if s["deleted"] == true {
			x.tried[id] = released
			continue
		}
		values, err := record.Decode(m, id, s["source_id"].(string), s["partition"].(string), s["serialized"].(string), now,
			func() string { return noRandom })
		if err != nil {
			x.fail(id, refused)
			continue
		}
		if x.edited(m, id) || x.gone["deleted_models"][id] {
			x.tried[id] = waiting
			x.Waiting++
			continue
		}
		switch missing, gone, hard := x.targets(m, values, before); {
		case gone:
			doomed = append(doomed, id)
			x.gone["deleted_models"][id] = true
			if hard {
				x.gone["hard_deleted_models"][id] = true
			}
			x.clean(m, id)
			x.Deleted++
		case missing:
			x.fail(id, refused)
		default:
			good = append(good, row{id, values})
		}
	}
	for _, r := range good {
		x.upsert(m, r.id, r.values)
	}
	return doomed
}

func (x *spec) targets(m *model.Model, values []any, before []string) (missing, gone, hard bool) {
	for i, c := range m.Columns {
		id, ok := values[i].(string)
		if c.References == nil || !ok {
			continue
		}
		target, _ := x.profile.Model(c.References.Model)
		s, row := x.store[id], x.app[target.Name][id]
		here := row != nil && !slices.Contains(before, id)
		editing := here && row["_morango_dirty_bit"] == true
		deleted := s != nil && s["deleted"] == true
		going := deleted && s["dirty_bit"] == true && x.ours(s, s["model_name"].(string)) && !editing && !x.stuck(id)
		tree := m.SelfReference() != nil
		switch {
		case !tree && x.tried[id] == refused:
			missing = true
		case tree && here && !going:
		case deleted && !(s["dirty_bit"] == true && editing):
			gone, hard = true, hard || s["hard_deleted"] == true
		case !here, !tree && s == nil:
			missing = true
		}
	}
	return missing && !gone, gone, hard
}

func (x *spec) upsert(m *model.Model, id string, values []any) {
	row := tableRow{"_morango_dirty_bit": false}
	for i, c := range m.Columns {
		row[c.Name] = values[i]
		if moment, ok := values[i].(time.Time); ok {
			row[c.Name] = moment.Format("2006-01-02 15:04:05.000000")
		}
		for other, known := range x.app[m.Name] {
			if c.Unique && other != id && known[c.Name] == row[c.Name] {
				x.clashed = true
				x.fail(id, refused)
				return
			}
		}
	}
	x.app[m.Name][id] = row
	x.Applied++
	x.clean(m, id)
}

// remove takes a row away, and before it what refers to it.
func (x *spec) remove(m *model.Model, id string, hard, cascaded bool) {
	if x.app[m.Name][id] == nil {
		return
	}
	delete(x.app[m.Name], id)
	for _, child := range x.profile.Models {
		for _, c := range child.References() {
			for _, other := range slices.Sorted(maps.Keys(x.app[child.Name])) {
				if c.References.Model == m.Name && fmt.Sprint(x.app[child.Name][other][c.Name]) == id {
					x.remove(child, other, hard, true)
				}
			}
		}
	}
	if !cascaded {
		return
	}
	if s := x.store[id]; s != nil && s["profile"] == x.profile.Name && s["deleted"] == false && s["dirty_bit"] == false {
		if !x.gone["deleted_models"][id] {
			x.Deleted++
		}
		x.gone["deleted_models"][id] = true
		if hard {
			x.gone["hard_deleted_models"][id] = true
		}
	}
}
