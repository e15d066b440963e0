package deserialize

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage"
)

// decodings counts the rows whose text a run reads: the clock is asked for each.
func decodings(env *stage.Env) *int {
	calls := new(int)
	env.Now = func() time.Time {
		*calls++
		return now
	}
	return calls
}

// sparingRun runs the stage as the engine does, with a small share of rows that are
// tried without a reason.
func sparingRun(t testing.TB, env stage.Env, again int, changed bool) Report {
	t.Helper()
	r := newRun(env, partition.Filter{}, Options{Sparing: true, Changed: changed}, nil)
	r.limits.again = again
	if err := r.sparing(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r.report()
}

// Many rows that were refused cost a run no more than a few: they are neither read nor
// tried again, until what they miss has come. Then all of them are applied at once, also
// those that wait for one of them.
func TestRefusedRowsAreSpared(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const waiting, broken = 900, 300
		env := newEnv(t, d, testProfile(t))
		s := state{}
		for i := range waiting {
			s["store"] = append(s["store"], storedLog(idOf(1000+i), idOf(1)))
		}
		for i := range broken {
			s["store"] = append(s["store"], with(storedUser(idOf(5000+i), "x"), "serialized", "no JSON"))
		}
		put(t, d, s)
		calls := decodings(&env)
		if got := sparingRun(t, env, 10, true); got != (Report{Errors: waiting + broken}) {
			t.Fatalf("report %+v", got)
		}
		*calls = 0
		if got := sparingRun(t, env, 10, true); got != (Report{Errors: 10}) || *calls > 10 {
			t.Errorf("report %+v, %d rows were read; want 10 of each", got, *calls)
		}
		put(t, d, state{"store": []tableRow{storedUser(idOf(1), "ann"), storedUser(idOf(2), "bob")}})
		*calls = 0
		got := sparingRun(t, env, 10, false)
		if got.Applied != waiting+2 || got.Errors > 10 || *calls > waiting+2+10 {
			t.Errorf("report %+v, %d rows were read; want %d applied", got, *calls, waiting+2)
		}
		wantCount(t, d, "morango_store WHERE dirty_bit", broken)
	})
}

// Every refused row has its turn, also one whose reason has gone without a trace.
func TestEveryRefusedRowIsTriedAgain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := newEnv(t, d, testProfile(t))
		env.Rand = strings.NewReader(strings.Repeat("\x00\xff\x40\xf0 a few starting places", 100))
		s := state{}
		for i := range 40 {
			s["store"] = append(s["store"], with(storedUser(fmt.Sprintf("%02x%030d", i*6, i), fmt.Sprint(i)), "deserialization_error", "taken"))
		}
		put(t, d, s)
		runs, left := 0, int64(40)
		for ; left > 0 && runs < 100; runs++ {
			left -= sparingRun(t, env, 3, false).Applied
		}
		if left != 0 {
			t.Errorf("%d rows were not tried in %d runs", left, runs)
		}
	})
}

// What hangs on a deleted row, level below level, and waits for what is not here, is
// named after what is missing in the end, and goes or comes with it in one run.
func TestChains(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const depth = 30
		env := newEnv(t, d, testProfile(t))
		chain := func(first int, parent string) (rows []tableRow) {
			for i := range depth {
				rows = append(rows, storedFacility(idOf(first+i), parent))
				parent = idOf(first + i)
			}
			return rows
		}
		gone := with(with(storedFacility(idOf(1), ""), "deleted", true), "dirty_bit", false)
		put(t, d, state{"store": append(append([]tableRow{gone}, chain(100, idOf(1))...), chain(200, idOf(2))...)})
		if got := sparingRun(t, env, 0, false); got != (Report{Deleted: depth, Errors: depth}) {
			t.Fatalf("report %+v", got)
		}
		wantCount(t, d, "morango_store WHERE dirty_bit AND deserialization_error LIKE '"+idOf(2)+" is missing: %'", depth)
		wantCount(t, d, "morango_deletedmodels", depth)
		put(t, d, state{"store": []tableRow{storedFacility(idOf(2), "")}})
		if got := sparingRun(t, env, 1, false); got != (Report{Applied: depth + 1}) {
			t.Fatalf("report %+v", got)
		}
		wantCount(t, d, "morango_store WHERE dirty_bit OR deserialization_error <> ''", 0)
	})
}

// What a row clashed with may go in the same run: then it is applied by the same run.
func TestClashThatGoes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := newEnv(t, d, testProfile(t))
		put(t, d, state{"store": []tableRow{storedUser(idOf(1), "ann")}})
		sparingRun(t, env, 5, false)
		exec(t, d, "UPDATE morango_store SET dirty_bit = TRUE, deleted = TRUE")
		put(t, d, state{"store": []tableRow{storedUser(idOf(2), "ann")}})
		if got := sparingRun(t, env, 5, false); got != (Report{Applied: 1, Deleted: 1}) {
			t.Fatalf("report %+v", got)
		}
	})
}

// In the end a peer that spares refused rows holds what one holds that tries them all
// every time. It holds more where a row hangs on one of which only an older version
// could be applied: trying both at once, as the reference does, keeps it back.
func TestSparingComesToTheSameEnd(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	env := newEnv(t, d, testProfile(t))
	rapid.Check(t, func(rt *rapid.T) {
		in := drawVector(rt, false)
		for _, row := range in.State["user"] {
			row["username"] = row["id"].(string)[12:] // who comes first among those that clash is not laid down
		}
		for _, row := range in.State["store"] {
			row["serialized"] = strings.ReplaceAll(row["serialized"].(string), `"username"`, `"other"`)
		}
		keepWhatIsThere(in.State)
		ends := make([]state, 2)
		for i, o := range []Options{{}, {Sparing: true}} {
			replace(t, d, in.State)
			ends[i] = settleAll(rt, t, d, env, o)
		}
		all, sparing := waitingIn(ends[0]), waitingIn(ends[1])
		for id := range sparing {
			if !all[id] {
				rt.Fatalf("record %s waits only where refused rows are spared", id)
			}
		}
		if diff := cmp.Diff(ends[0], ends[1]); diff != "" && len(all) == len(sparing) {
			rt.Fatalf("tried every time against sparing:\n%s", diff)
		}
	})
}

// keepWhatIsThere takes back deletions that leave the application's row: those of records that
// are not to be applied any more, and those that the application is said to have noted. No history
// leaves such. What hangs on them would go by whichever of two deletions comes first, a hard one
// or another, and which that is, is not laid down.
func keepWhatIsThere(s state) {
	there := map[any]bool{}
	for _, table := range tableOrder[:4] {
		for _, row := range s[table] {
			there[row["id"]] = true
		}
	}
	for _, row := range s["store"] {
		due := row["dirty_bit"] == true && row["profile"] == "facilitydata" && row["model_name"] != "unknown"
		if there[row["id"]] && !due {
			row["deleted"], row["hard_deleted"] = false, false
		}
	}
	s["deleted_models"] = slices.DeleteFunc(s["deleted_models"], func(row tableRow) bool { return there[row["id"]] })
}

// waitingIn returns the records that wait.
func waitingIn(s state) map[string]bool {
	ids := map[string]bool{}
	for _, row := range s["store"] {
		if row["dirty_bit"] == true {
			ids[row["id"].(string)] = true
		}
	}
	return ids
}

// settleAll serializes, as far as it matters here, and runs the stage until nothing
// changes any more.
func settleAll(rt *rapid.T, t *testing.T, d *db.DB, env stage.Env, o Options) state {
	for before := (state)(nil); ; {
		for _, table := range tableOrder[:4] {
			exec(t, d, "UPDATE morango_store SET dirty_bit = FALSE, deleted = FALSE, hard_deleted = FALSE WHERE id IN (SELECT id FROM "+tableNames[table]+" WHERE _morango_dirty_bit)")
			exec(t, d, "UPDATE "+tableNames[table]+" SET _morango_dirty_bit = FALSE")
		}
		exec(t, d, "UPDATE morango_store SET deleted = TRUE, dirty_bit = FALSE WHERE id IN (SELECT id FROM morango_deletedmodels)")
		exec(t, d, "UPDATE morango_store SET hard_deleted = TRUE WHERE id IN (SELECT id FROM morango_harddeletedmodels)")
		exec(t, d, "DELETE FROM morango_deletedmodels")
		exec(t, d, "DELETE FROM morango_harddeletedmodels")
		o.Changed = true
		r := newRun(env, partition.Filter{}, o, nil)
		r.limits.again = 20 * people // all, for a run without effect ends the loop
		work := r.all
		if o.Sparing {
			work = r.sparing
		}
		if err := work(t.Context()); err != nil {
			rt.Fatal(err)
		}
		after := normal(t, get(t, d))
		if cmp.Equal(before, after) {
			return after
		}
		before = after
	}
}
