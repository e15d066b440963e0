package dequeue_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/dequeue"
)

// shorter is a merge function.
func shorter(a, b string) (string, bool, error) {
	if len(b) < len(a) {
		return b, true, nil
	}
	return a, len(a) > 10, nil
}

// withRule gives the environment's users a merge rule, and returns it.
func withRule(t testing.TB, env *stage.Env, rule model.MergeRule) record.Rule {
	t.Helper()
	env.Profile = tables.Profile(t)
	user, ok := env.Profile.Model("user")
	if !ok {
		t.Fatal("no users")
	}
	user.Merge = rule
	env.Merge = map[string]record.Func{"user": shorter}
	return record.RuleOf(user, shorter)
}

func drawRule(t testing.TB, r *rapid.T, env *stage.Env) record.Rule {
	return withRule(t, env, rapid.SampledFrom([]model.MergeRule{
		{Kind: model.MergeReference}, {Kind: model.MergeNewest, By: "last_login"},
		{Kind: model.MergeFields, By: "last_login"}, {Kind: model.MergeCustom},
	}).Draw(r, "rule"))
}

// conflicting makes n records of the store and what arrives for them, all in conflict.
func conflicting(n int, fill string) (store map[string]stored, arrived []record.Record) {
	store = map[string]stored{}
	for i := range n {
		r := joinable(1)
		r.ID, r.Serialized = tables.Number("c", i), fmt.Sprintf(`{"username": "mine%s", "last_login": "2026-01-%02dT00:00:00Z"}`, fill, 1+i%20)
		r.History[tables.Number("a", 3)] = 2
		store[r.ID] = stored{Record: r}
		r.Version = counter.Version{Instance: tables.Number("a", 2), Counter: 5}
		r.History = counter.Counters{r.Version.Instance: 5, tables.Number("a", 3): 3}
		r.Serialized = strings.Replace(r.Serialized, "mine", "theirs", 1)
		r.Serialized = strings.Replace(r.Serialized, "2026-01-15", "2026-01-31", 1)
		arrived = append(arrived, r)
	}
	return store, arrived
}

// Conflicts that do not fit in memory at once are merged all the same, from the buffer
// and from memory alike.
func TestManyConflictsByRule(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := tables.Env(t, d)
		for _, size := range []struct{ records, text int }{{250, 10}, {3, 3 << 19}} {
			rule := withRule(t, &env, model.MergeRule{Kind: model.MergeNewest, By: "last_login"})
			store, arrived := conflicting(size.records, strings.Repeat("x", size.text))
			want := clone(store)
			report, _ := spec(want, arrived, nil, session, counter.Version{Instance: tables.Instance(), Counter: 8}, rule)
			load(t, d, store, arrived)
			got, err := dequeue.Run(t.Context(), env, job)
			if err != nil {
				t.Fatal(err)
			}
			if got != report || got.Conflicts != int64(size.records) {
				t.Errorf("report %+v, want %+v", got, report)
			}
			if diff := cmp.Diff(want, dump(t, d).store()); diff != "" {
				t.Fatalf("store (-want +got): %.2000s", diff)
			}
			load(t, d, store, nil)
			tables.Write(t, d, func(tx *db.Tx) error {
				got, err = dequeue.Merge(t.Context(), tx, env, session, arrived)
				return err
			})
			if diff := cmp.Diff(want, dump(t, d).store()); diff != "" || got != report {
				t.Fatalf("merged from memory: report %+v, store (-want +got): %.2000s", got, diff)
			}
		}
	})
}

// Merge refuses what it cannot merge, and leaves the transaction to be rolled back.
func TestMergeWantsTheStoresSide(t *testing.T) {
	d := dbtest.New(t)
	env := tables.Env(t, d)
	_, arrived := conflicting(1, "")
	load(t, d, nil, nil)
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := dequeue.Merge(t.Context(), tx, env, session, arrived)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), arrived[0].ID) {
		t.Errorf("error %v", err)
	}
}
