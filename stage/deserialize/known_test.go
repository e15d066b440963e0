package deserialize

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/partition"
)

// What is known was added, whatever the order; and as long as there is room, what was
// added is known.
func TestKnown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var k known
		added := map[string]bool{}
		tables := []string{"a", "b", "c"}
		for range rapid.IntRange(1, 3).Draw(t, "rounds") {
			first, step := rapid.IntRange(0, 1000).Draw(t, "first"), rapid.SampledFrom([]int{1, 3, 1 << 20}).Draw(t, "step")
			table := rapid.SampledFrom(tables).Draw(t, "table")
			for i := range rapid.IntRange(1, 800).Draw(t, "rows") {
				id := idOf(first + i*step)
				k.add(table, keyOf(id))
				added[table+id] = true
				if !k.has(table, keyOf(id)) {
					t.Fatalf("%s is not known in %s right after it was added", id, table)
				}
			}
		}
		lost := 0
		for i := range 1000 {
			for _, table := range tables {
				switch id := idOf(i); {
				case k.has(table, keyOf(id)) && !added[table+id]:
					t.Fatalf("%s is known in %s, but was not added", id, table)
				case !k.has(table, keyOf(id)) && added[table+id]:
					lost++
				}
			}
		}
		if lost*5 > len(added) {
			t.Fatalf("%d of %d rows are not known any more", lost, len(added))
		}
	})
}

// However many rows are added, and of however many tables, it stays small.
func TestKnownIsBounded(t *testing.T) {
	var k known
	for i := range 150_000 {
		k.add("table", keyOf(idOf(i)))
	}
	for i := range 300 {
		k.add(fmt.Sprint("table ", i), keyOf(idOf(i)))
	}
	if len(k.slots) != mostSlots || len(k.tables) != manyTables || k.has("table 299", keyOf(idOf(299))) {
		t.Errorf("%d slots, %d tables", len(k.slots), len(k.tables))
	}
}

// A target that was found, and that the application deletes while the run goes on, is
// missed by the rows that come after.
func TestTargetIsDeletedMeanwhile(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := newEnv(t, d, testProfile(t))
		put(t, d, state{"store": []tableRow{storedUser(idOf(1), "ann"), storedUser(idOf(2), "bob"),
			storedLog(idOf(11), idOf(1)), storedLog(idOf(12), idOf(2)), storedLog(idOf(13), idOf(2))}})
		r := newRun(env, partition.Filter{}, Options{}, nil)
		r.limits.batch = 2
		r.tick = func(done int64) {
			if done == 4 { // the users and two logs
				exec(t, d, "DELETE FROM facility_profile_summarylog WHERE user_id = $1", idOf(2))
				exec(t, d, "DELETE FROM facility_profile_myuser WHERE id = $1", idOf(2))
			}
		}
		if err := r.all(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.report(); got != (Report{Applied: 4, Errors: 1}) {
			t.Errorf("report %+v", got)
		}
		wantCount(t, d, "morango_store WHERE dirty_bit AND id = '"+idOf(13)+"' AND deserialization_error LIKE '"+idOf(2)+" is missing%'", 1)
	})
}

// While nobody else writes, a run asks after a target once.
func TestTargetsAreAskedAfterOnce(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	env := newEnv(t, d, testProfile(t))
	s := state{"store": []tableRow{storedUser(idOf(1), "ann")}}
	for i := range 40 {
		s["store"] = append(s["store"], storedLog(idOf(100+i), idOf(1)))
	}
	put(t, d, s)
	r := newRun(env, partition.Filter{}, Options{}, nil)
	r.limits.batch = 10
	if err := r.all(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.asked != 0 {
		t.Errorf("%d targets were asked after that the run has written itself", r.asked)
	}
	exec(t, d, "UPDATE morango_store SET dirty_bit = TRUE WHERE model_name = 'contentsummarylog'")
	r = newRun(env, partition.Filter{}, Options{}, nil)
	r.limits.batch = 10
	if err := r.all(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.asked != 1 {
		t.Errorf("%d targets were asked after, want 1", r.asked)
	}
}

// A trigger of the application's own that relies on its conflict clauses keeps them.
func TestTriggersOfTheApplication(t *testing.T) {
	d := dbtest.New(t)
	env := newEnv(t, d, testProfile(t))
	exec(t, d, `CREATE TABLE latest (place integer PRIMARY KEY, username text)`)
	exec(t, d, `CREATE TRIGGER keep_latest AFTER INSERT ON facility_profile_myuser
		BEGIN INSERT OR REPLACE INTO latest VALUES (1, NEW.username); END`)
	put(t, d, state{"store": []tableRow{storedUser(idOf(1), "ann"), storedUser(idOf(2), "bob"), storedUser(idOf(3), "cem")}})
	wantRun(t, env, Report{Applied: 3})
	wantCount(t, d, "latest WHERE username = 'cem'", 1)
}

// A value that a column of the application cannot hold stops its own row only, whoever
// finds out: the driver or the server.
func TestColumnOfAnotherType(t *testing.T) {
	d := dbtest.PostgresDjango(t)
	env := newEnv(t, d, testProfile(t))
	exec(t, d, `ALTER TABLE facility_profile_myuser ALTER COLUMN password TYPE integer USING 0`)
	user := func(n int, password string) tableRow {
		return stored("user", idOf(n), "", fmt.Sprintf(`"username": "user %d", "password": %q`, n, password))
	}
	put(t, d, state{"store": []tableRow{user(1, "1"), user(2, "secret"), user(3, "3")}})
	wantRun(t, env, Report{Applied: 2, Errors: 1})
}
