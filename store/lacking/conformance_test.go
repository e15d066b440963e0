package lacking_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/store/lacking"
)

// What the vectors of queue hold is the same whether a list of it is made, or keys, or the store is read as a
// whole. Package queue holds the list against them.
func TestVectorsWithoutLists(t *testing.T) {
	dbtest.SQLite(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		some := 0
		for _, c := range conformance.Cases(t, "queue") {
			var in struct {
				Profile string
				Filter  []string
				Push    bool
				Client  json.RawMessage `json:"client_fsic"`
				Server  json.RawMessage `json:"server_fsic"`
				State   map[string]json.RawMessage
			}
			if err := json.Unmarshal(c.Input, &in); err != nil {
				t.Fatal(err)
			}
			filter, claim := partition.Of(in.Filter...), in.Client
			if in.Push {
				claim = in.Server
			}
			f, err := counter.Parse(claim)
			if err != nil || f.Check(filter) != nil {
				continue // refused when it arrives
			}
			tables.Load(t, d, 0, in.State)
			profile := *env.Profile
			profile.Name = in.Profile
			job := lacking.Job{Profile: &profile, Filter: filter, Receiver: f.Expand(filter)}
			want := found(t, d, job, 1000, 0)
			if diff := cmp.Diff(want, found(t, d, job, -1, 0)); diff != "" {
				t.Errorf("%s: -with a list +without: %s", c.ID, diff)
			}
			if diff := cmp.Diff(want, found(t, d, job, -1, 4)); diff != "" {
				t.Errorf("%s: -with a list +by keys: %s", c.ID, diff)
			}
			some += len(want)
		}
		if some == 0 {
			t.Error("no vector has any records")
		}
	})
}

// found are the records of the pages of what a receiver lacks.
func found(t *testing.T, d *db.DB, job lacking.Job, list, keys int64) map[string]record.Record {
	all := map[string]record.Record{}
	err := wayOf(list, list, keys)(t.Context(), d, job, 3, 1<<20, func(p lacking.Page) error {
		for _, r := range p.Records {
			all[r.ID] = r
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
