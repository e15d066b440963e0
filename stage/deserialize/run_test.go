package deserialize

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage"
)

// idOf is a valid id for a number.
func idOf(n int) string { return fmt.Sprintf("%032x", n) }

// stored is a dirty store row with the given JSON members after the id.
func stored(model, id, selfRef, members string) tableRow {
	return tableRow{"id": id, "profile": "facilitydata", "model_name": model, "partition": "p", "source_id": "source",
		"serialized": fmt.Sprintf(`{"id": %q, %s}`, id, members), "conflicting_serialized_data": "", "deleted": false,
		"hard_deleted": false, "last_saved_instance": noRandom, "last_saved_counter": 1, "dirty_bit": true,
		"_self_ref_fk": selfRef, "deserialization_error": "", "last_transfer_session_id": nil}
}

func storedFacility(id, parent string) tableRow {
	text := "null"
	if parent != "" {
		text = `"` + parent + `"`
	}
	return stored("facility", id, parent, `"name": "new", "parent_id": `+text)
}

func storedUser(id, name string) tableRow {
	return stored("user", id, "", fmt.Sprintf(`"username": %q, "password": "x"`, name))
}

// storedUsers are users with the ids 1 to n.
func storedUsers(n int) state {
	s := state{}
	for i := range n {
		s["store"] = append(s["store"], storedUser(idOf(i+1), fmt.Sprint("name ", i)))
	}
	return s
}

func storedLog(id, user string) tableRow {
	return stored("contentsummarylog", id, "", fmt.Sprintf(`"user_id": %q, "content_id": %q`, user, noRandom))
}

func with(row tableRow, column string, value any) tableRow {
	row[column] = value
	return row
}

// wantRun runs the stage and compares what it reports.
func wantRun(t *testing.T, env stage.Env, want Report) {
	t.Helper()
	got, err := Run(t.Context(), env, partition.Filter{}, Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("report (-want +got):\n%s", diff)
	}
}

// wantCount compares the number of rows for which a condition holds.
func wantCount(t *testing.T, d *db.DB, from string, want int) {
	t.Helper()
	var got int
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.QueryRow(t.Context(), "SELECT count(*) FROM "+from).Scan(&got)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Fatalf("%s: %d rows, want %d", from, got, want)
	}
}

func exec(t *testing.T, d *db.DB, query string, args ...any) {
	t.Helper()
	write(t, d, func(tx *db.Tx) error {
		if err := tx.Capture(t.Context(), false); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), query, args...)
		return err
	})
}

// A tree arrives in any order, of any depth, whatever the size of the windows
// through which it is climbed; and goes as a whole.
func TestDeepTree(t *testing.T) {
	for depth, window := range map[int]int{3000: usual.window, 700: 50} {
		t.Run(fmt.Sprint("window ", window), func(t *testing.T) {
			t.Parallel()
			d := dbtest.New(t)
			env := newEnv(t, d, testProfile(t))
			order := rand.New(rand.NewPCG(1, 2)).Perm(depth)
			s := state{"store": []tableRow{storedFacility(idOf(order[0]+1), "")}}
			for i := 1; i < depth; i++ {
				s["store"] = append(s["store"], storedFacility(idOf(order[i]+1), idOf(order[i-1]+1)))
			}
			put(t, d, s)
			r := newRun(env, partition.Filter{}, Options{}, nil)
			r.limits.window = window
			if err := r.all(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := r.report(); got != (Report{Applied: int64(depth)}) {
				t.Fatalf("report %+v", got)
			}
			wantCount(t, d, "morango_store WHERE dirty_bit", 0)
		})
	}
}

// A deep tree goes as a whole, its rows as deletions that propagate.
func TestDeepTreeIsRemoved(t *testing.T) {
	t.Parallel()
	const depth = 700 // more than one transaction goes down
	d := dbtest.New(t)
	env := newEnv(t, d, testProfile(t))
	s := state{"store": []tableRow{storedFacility(idOf(1), "")}}
	for i := 1; i < depth; i++ {
		s["store"] = append(s["store"], storedFacility(idOf(i+1), idOf(i)))
	}
	put(t, d, s)
	wantRun(t, env, Report{Applied: depth})
	exec(t, d, "UPDATE morango_store SET deleted = TRUE, hard_deleted = TRUE, dirty_bit = TRUE WHERE _self_ref_fk = ''")
	wantRun(t, env, Report{Deleted: depth})
	wantCount(t, d, "facility_profile_facility", 0)
	wantCount(t, d, "morango_harddeletedmodels", depth-1)
	wantCount(t, d, "morango_deletedmodels", depth-1)
}

// Rows that are their own ancestors, and those below them, keep an error; others
// do not suffer.
func TestCircle(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	env := newEnv(t, d, testProfile(t))
	const length, tail = 500, 300
	s := state{"store": []tableRow{storedFacility(idOf(9000), ""), storedFacility(idOf(9001), idOf(9000))}}
	for i := range length {
		s["store"] = append(s["store"], storedFacility(idOf(i+1), idOf((i+1)%length+1)))
	}
	for i := range tail {
		s["store"] = append(s["store"], storedFacility(idOf(length+i+1), idOf(length+i)))
	}
	put(t, d, s)
	for _, window := range []int{usual.window, 50} {
		exec(t, d, "UPDATE morango_store SET dirty_bit = TRUE, deserialization_error = ''")
		r := newRun(env, partition.Filter{}, Options{}, nil)
		r.limits.window, r.limits.page = window, 10
		if err := r.all(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.report(); got != (Report{Applied: 2, Errors: length + tail}) {
			t.Fatalf("window %d: report %+v", window, got)
		}
		wantCount(t, d, "morango_store WHERE dirty_bit AND deserialization_error <> ''", length+tail)
	}
}

// Many rows go through in bounded memory.
func TestMemoryIsBounded(t *testing.T) {
	const users, logs = 2_000, 20_000
	d := dbtest.New(t)
	env := newEnv(t, d, testProfile(t))
	padding := `"later": "` + strings.Repeat("x", 600) + `", `
	s := storedUsers(users)
	for i := range logs {
		s["store"] = append(s["store"], stored("contentsummarylog", idOf(i+users+1), "",
			padding+fmt.Sprintf(`"user_id": %q, "content_id": %q`, idOf(i%users+1), noRandom)))
	}
	put(t, d, s)
	clear(s)
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most, calls := live(), uint64(0), 0
	env.Now = func() time.Time { // asked for every row that is decoded
		if calls++; calls%3001 == 0 {
			most = max(most, live())
		}
		return now
	}
	wantRun(t, env, Report{Applied: users + logs})
	if limit := before + 8<<20; most == 0 || most > limit {
		t.Errorf("%d bytes in use at most, want no more than %d", most, limit)
	}
	wantRun(t, env, Report{})
}

// A page for which a transaction has no time left waits for the next: others wait for the transaction.
func TestPartsEndInTime(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	env := newEnv(t, d, testProfile(t))
	put(t, d, storedUsers(60))
	clock := now
	env.Now = func() time.Time { // asked for every row that is decoded: a page takes some 60 ms, a part 150 at most
		clock = clock.Add(6 * time.Millisecond)
		return clock
	}
	var ends []int64
	r := newRun(env, partition.Filter{}, Options{}, func(done int64) { ends = append(ends, done) })
	r.limits.page = 10
	if err := r.all(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []int64{20, 40, 60}; !slices.Equal(ends, want) {
		t.Errorf("the transactions end at %v, want %v", ends, want)
	}
}

// A row whose target is missing waits with an error; it is applied once the target
// has arrived.
func TestMissingTarget(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := newEnv(t, d, testProfile(t))
		put(t, d, state{"store": []tableRow{storedLog(idOf(1), idOf(2)), storedFacility(idOf(3), idOf(4))}})
		wantRun(t, env, Report{Errors: 2})
		put(t, d, state{"store": []tableRow{storedUser(idOf(2), "ann"), storedFacility(idOf(4), "")}})
		wantRun(t, env, Report{Applied: 4})
		wantCount(t, d, "facility_profile_summarylog WHERE NOT _morango_dirty_bit", 1)
	})
}

// A row that the application edits or deletes before it is overwritten waits for
// the next serialize, and so does the deletion of an edited row.
func TestEditedInBetween(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := newEnv(t, d, testProfile(t))
		put(t, d, state{"store": []tableRow{storedUser(idOf(1), "ann"), storedUser(idOf(2), "bob"), storedUser(idOf(3), "eve")}})
		wantRun(t, env, Report{Applied: 3})
		exec(t, d, "UPDATE facility_profile_myuser SET username = 'edited', _morango_dirty_bit = TRUE WHERE id = $1", idOf(1))
		exec(t, d, "UPDATE facility_profile_myuser SET _morango_dirty_bit = TRUE WHERE id = $1", idOf(3))
		exec(t, d, "DELETE FROM facility_profile_myuser WHERE id = $1", idOf(2))
		exec(t, d, "INSERT INTO morango_deletedmodels (id, profile) VALUES ($1, 'facilitydata')", idOf(2))
		exec(t, d, "UPDATE morango_store SET dirty_bit = TRUE")
		exec(t, d, "UPDATE morango_store SET deleted = TRUE WHERE id = $1", idOf(3))
		wantRun(t, env, Report{Waiting: 3})
		wantCount(t, d, "facility_profile_myuser WHERE _morango_dirty_bit", 2)
		wantCount(t, d, "facility_profile_myuser WHERE username = 'edited'", 1)
		wantCount(t, d, "morango_store WHERE dirty_bit AND deserialization_error = ''", 3)
	})
}

// A deletion does not take along what the application has written and nobody has: it waits
// until that is in the store, and those beside it do not.
func TestDeletionSparesWhatIsNotSerialized(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := newEnv(t, d, testProfile(t))
		s := state{"store": []tableRow{storedLog(idOf(101), idOf(2)), storedLog(idOf(102), idOf(7))}}
		for n := range 8 {
			s["store"] = append(s["store"], storedUser(idOf(n), fmt.Sprint("user", n)))
		}
		put(t, d, s)
		wantRun(t, env, Report{Applied: 10})
		exec(t, d, "UPDATE facility_profile_summarylog SET _morango_dirty_bit = TRUE WHERE id = $1", idOf(102))
		exec(t, d, "UPDATE morango_store SET dirty_bit = TRUE, deleted = TRUE WHERE model_name = 'user'")
		for _, want := range []Report{{Deleted: 8, Waiting: 1}, {Waiting: 1}, {Deleted: 2}} {
			if want.Waiting == 0 {
				exec(t, d, "UPDATE facility_profile_summarylog SET _morango_dirty_bit = FALSE")
			}
			got, err := Run(t.Context(), env, partition.Filter{}, Options{Sparing: true}, nil)
			if err != nil || got != want {
				t.Fatalf("%+v, %v; want %+v", got, err, want)
			}
			wantCount(t, d, "facility_profile_summarylog", int(want.Waiting))
			wantCount(t, d, "facility_profile_myuser", int(want.Waiting))
		}
	})
}

// A narrow filter's rows find their parents outside of it, once these are applied:
// a peer that knows only v1 claims is pulled from one prefix at a time.
func TestParentOutsideTheFilter(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := newEnv(t, d, testProfile(t))
		put(t, d, state{"store": []tableRow{with(storedFacility(idOf(1), ""), "partition", "b"),
			with(storedFacility(idOf(2), idOf(1)), "partition", "a"), with(storedFacility(idOf(3), idOf(2)), "partition", "a")}})
		for _, step := range []struct {
			prefix string
			want   Report
		}{{"a", Report{Errors: 2}}, {"b", Report{Applied: 1}}, {"a", Report{Applied: 2}}} {
			got, err := Run(t.Context(), env, partition.Of(step.prefix), Options{}, nil)
			if err != nil || got != step.want {
				t.Fatalf("prefix %s: %+v, %v; want %+v", step.prefix, got, err, step.want)
			}
		}
		wantCount(t, d, "morango_store WHERE dirty_bit OR deserialization_error <> ''", 0)
	})
}

// A deletion takes along what refers to the row, in other models too, and it
// propagates; a row that arrives for a deleted target is deleted itself.
func TestDeletionAcrossModels(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := newEnv(t, d, testProfile(t))
		put(t, d, state{"store": []tableRow{storedUser(idOf(1), "ann"), storedUser(idOf(2), "bob"), storedLog(idOf(11), idOf(1)),
			storedLog(idOf(12), idOf(1)), storedLog(idOf(13), idOf(2))}})
		wantRun(t, env, Report{Applied: 5})
		exec(t, d, "UPDATE morango_store SET dirty_bit = TRUE, deleted = TRUE WHERE id IN ($1, $2)", idOf(1), idOf(11))
		put(t, d, state{"store": []tableRow{storedLog(idOf(14), idOf(1)), storedUser(idOf(3), "ann")}})
		wantRun(t, env, Report{Applied: 1, Deleted: 4})
		wantCount(t, d, "facility_profile_summarylog", 1)
		wantCount(t, d, "facility_profile_myuser WHERE username = 'ann' AND id = '"+idOf(3)+"'", 1)
		wantCount(t, d, "morango_deletedmodels WHERE id IN ('"+idOf(12)+"', '"+idOf(14)+"')", 2)
		wantCount(t, d, "morango_deletedmodels", 2)
	})
}

// What the application's own tables demand beyond the profile stops one row, not
// its page: checks at once, deferred foreign keys when the transaction ends.
func TestConstraintsOfTheApplication(t *testing.T) {
	d := dbtest.New(t)
	exec(t, d, `CREATE TABLE place (id char(32) NOT NULL PRIMARY KEY)`)
	exec(t, d, `CREATE TABLE facility_profile_summarylog (id char(32) NOT NULL PRIMARY KEY, user_id char(32) NOT NULL,
		content_id char(32) NOT NULL REFERENCES place (id) DEFERRABLE INITIALLY DEFERRED CHECK (content_id <> '`+idOf(9)+`'))`)
	exec(t, d, "INSERT INTO place (id) VALUES ($1)", idOf(7))
	env := newEnv(t, d, testProfile(t))
	s := state{"store": []tableRow{storedUser(idOf(1), "ann")}}
	for i := range 40 {
		place := map[int]int{10: 8, 20: 9, 39: 8}[i]
		if place == 0 {
			place = 7
		}
		s["store"] = append(s["store"], stored("contentsummarylog", idOf(100+i), "",
			fmt.Sprintf(`"user_id": %q, "content_id": %q`, idOf(1), idOf(place))))
	}
	put(t, d, s)
	wantRun(t, env, Report{Applied: 38, Errors: 3})
	wantCount(t, d, "facility_profile_summarylog WHERE content_id = '"+idOf(7)+"'", 37)
	wantCount(t, d, "morango_store WHERE dirty_bit AND deserialization_error <> ''", 3)
}

// A run that is broken off is simply run again.
func TestRunAgain(t *testing.T) {
	d := dbtest.New(t)
	env := newEnv(t, d, testProfile(t))
	put(t, d, storedUsers(100))
	ctx, cancel := context.WithCancel(t.Context())
	r := newRun(env, partition.Filter{}, Options{}, func(done int64) {
		if done >= 30 {
			cancel()
		}
	})
	r.limits.batch = 10
	if err := r.all(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	wantCount(t, d, "facility_profile_myuser", 30)
	wantCount(t, d, "morango_store WHERE dirty_bit", 70)
	wantRun(t, env, Report{Applied: 70})
}

// Rows that the application made ancestors of themselves go with what they hang
// on, unless the circle is longer than what one transaction can remove.
func TestCircleIsRemoved(t *testing.T) {
	t.Parallel()
	for length, want := range map[int]Report{150: {Deleted: 1}, 1000: {Errors: 1}} {
		d := dbtest.New(t)
		env := newEnv(t, d, testProfile(t))
		s := state{"store": []tableRow{with(storedFacility(idOf(1), ""), "deleted", true)}}
		for i := range length {
			s["facility"] = append(s["facility"], tableRow{"id": idOf(i + 1), "name": "x", "now_date": "2020-01-02 03:04:05",
				"parent_id": idOf((i+1)%length + 1), "_morango_dirty_bit": false, "_morango_source_id": "s", "_morango_partition": "p"})
		}
		put(t, d, s)
		wantRun(t, env, want)
		wantCount(t, d, "facility_profile_facility", int(want.Errors)*length)
	}
}

const sharedProfile = `
profile: facilitydata
models:
  - name: school
    table: collection
    where: {kind: school}
    source: random
    partition: "p"
    columns:
      - {name: kind, type: text, length: 20}
      - {name: parent_id, type: uuid, nullable: true, references: school}
  - name: class
    table: collection
    where: {kind: class}
    after: [school]
    source: random
    partition: "p"
    columns:
      - {name: kind, type: text, length: 20}
      - {name: parent_id, type: uuid, nullable: true, references: school}
`

// Models that share a table keep to their own rows: a class hangs on a school, but
// cannot take a school's row, nor pass for one.
func TestSharedTable(t *testing.T) {
	p, err := model.Load("shared.yaml", strings.NewReader(sharedProfile))
	if err != nil {
		t.Fatal(err)
	}
	d := dbtest.New(t)
	env := newEnv(t, d, p)
	put(t, d, state{"store": []tableRow{
		stored("school", idOf(1), "", `"kind": "school", "parent_id": null`),
		stored("class", idOf(2), idOf(1), `"kind": "class", "parent_id": "`+idOf(1)+`"`),
		stored("class", idOf(3), idOf(2), `"kind": "class", "parent_id": "`+idOf(2)+`"`),
		stored("class", idOf(4), "", `"kind": "school", "parent_id": null`),
	}})
	wantRun(t, env, Report{Applied: 3, Errors: 1})
	wantCount(t, d, "collection WHERE kind = 'class'", 2)
	exec(t, d, "UPDATE morango_store SET model_name = 'class', serialized = replace(serialized, 'school', 'class'), dirty_bit = TRUE WHERE id = $1", idOf(1))
	wantRun(t, env, Report{Errors: 2})
	wantCount(t, d, "collection WHERE kind = 'school' AND id = '"+idOf(1)+"'", 1)
	exec(t, d, "UPDATE morango_store SET model_name = 'school', deleted = TRUE WHERE id = $1", idOf(1))
	wantRun(t, env, Report{Deleted: 3, Errors: 1})
	wantCount(t, d, "collection", 0)
	wantCount(t, d, "morango_deletedmodels", 2)
}
