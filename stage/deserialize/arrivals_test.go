package deserialize

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/dequeue"
	"github.com/morango-go/morango/stage/stream"
	"github.com/morango-go/morango/store"
)

const transferID = "5e550000000000000000000000000aaa"

// arrive begins a stream.
func arrive(t testing.TB, env stage.Env) session.Transfer {
	t.Helper()
	tr := session.Transfer{ID: transferID, SyncSessionID: transferID, Push: true, Active: true, StartTime: now, LastTime: now,
		Stage: string(stage.Queuing), Status: string(stage.Completed)}
	write(t, env.DB, func(tx *db.Tx) error {
		for _, query := range []string{"DELETE FROM morango_transfersession", "DELETE FROM morango_syncsession",
			"DELETE FROM morango_instanceidmodel", "DELETE FROM morango_databaseidmodel"} {
			if _, err := tx.Exec(t.Context(), query); err != nil {
				return err
			}
		}
		sync := session.Sync{ID: transferID, StartTime: now, LastTime: now, Active: true, IsServer: true, Profile: "facilitydata"}
		if err := session.CreateSync(t.Context(), tx, sync); err != nil {
			return err
		}
		if err := session.CreateTransfer(t.Context(), tx, tr); err != nil {
			return err
		}
		return session.MarkStream(t.Context(), tx, tr)
	})
	return tr
}

// arrival is a stream that is merged chunk by chunk.
type arrival struct {
	env      stage.Env
	transfer session.Transfer
	apply    *Arrivals // nil: all is left to the stage
	report   stream.Report
	refused  int
}

// receive merges records in one transaction, as the engine does.
func (a *arrival) receive(t testing.TB, records []record.Record, last bool) {
	t.Helper()
	before := fmt.Sprintf("%08d", a.transfer.RecordsTransferred)
	after := fmt.Sprintf("%08d", int(a.transfer.RecordsTransferred)+len(records))
	if a.transfer.RecordsTransferred == 0 {
		before = ""
	}
	c := stream.Chunk{Before: before, Pages: []stream.Page{{Records: records, After: after}}, After: after, Last: last}
	merge := func(ctx context.Context, tx *db.Tx, records []record.Record) (stream.Report, error) {
		r, err := dequeue.Merge(ctx, tx, a.env, transferID, records)
		return stream.Report{Conflicts: r.Conflicts, Joined: r.Joined}, err
	}
	var r stream.Report
	var err error
	if a.apply != nil {
		defer a.apply.Decode(c.All())()
		a.transfer, r, err = (&stream.Receiver{Env: a.env, Merge: merge, Apply: a.apply}).Receive(t.Context(), a.transfer, c)
	}
	switch {
	case a.apply != nil && err == nil:
		a.apply.Committed()
	case a.apply == nil || a.apply.Refused(err):
		a.refused++
		a.transfer, r, err = (&stream.Receiver{Env: a.env, Merge: merge}).Receive(t.Context(), a.transfer, c)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.report.New += r.New
	a.report.Applied += r.Applied
}

// recordOf is a store row as it arrives from a peer.
func recordOf(row tableRow) record.Record {
	v := counter.Version{Instance: row["last_saved_instance"].(string), Counter: int64(row["last_saved_counter"].(int))}
	return record.Record{ID: row["id"].(string), Profile: row["profile"].(string), Model: row["model_name"].(string),
		Partition: row["partition"].(string), SourceID: row["source_id"].(string), Serialized: row["serialized"].(string),
		SelfRef: row["_self_ref_fk"].(string), Deleted: row["deleted"].(bool), HardDeleted: row["hard_deleted"].(bool),
		Version: v, History: counter.Counters{v.Instance: v.Counter}}
}

// drawArrivals draws what comes to a database: rows that fit and rows that do not, some that
// the store has, and of some a second version, which changes nothing that others could clash
// with or wait for.
func drawArrivals(rt *rapid.T, s state, taken bool) (all []record.Record) {
	const theirs, other = "11111111111111111111111111111111", "22222222222222222222222222222222"
	for i, table := range tableOrder[:4] {
		for n := range people {
			if rapid.IntRange(0, 2).Draw(rt, "arrives") == 0 {
				continue
			}
			id := fmt.Sprintf("%c%031d", "abcd"[i], n)
			row := drawStored(rt, table, id)
			if table == "user" {
				name := fmt.Sprint("own name ", n) // else who has it depends on who comes first
				if taken && !has(s, id) && rapid.IntRange(0, 4).Draw(rt, "taken") == 0 {
					name = takenName
				}
				row["serialized"] = storedUser(id, name)["serialized"]
			}
			if row["profile"], row["model_name"] = "facilitydata", table; has(s, id) {
				applicable(row)
			}
			r := recordOf(row)
			r.Version = counter.Version{Instance: theirs, Counter: 5}
			r.History = counter.Counters{theirs: 5}
			if rapid.Bool().Draw(rt, "has seen ours") {
				r.History[noRandom] = 1
			}
			all = append(all, r)
			if rapid.IntRange(0, 3).Draw(rt, "again") == 0 {
				again := r
				again.Deleted = again.Deleted || rapid.Bool().Draw(rt, "deleted now")
				again.Version, again.History = counter.Version{Instance: other, Counter: 7}, counter.Counters{theirs: 5, other: 7}
				all = append(all, again)
			}
		}
	}
	if rapid.Bool().Draw(rt, "shuffled") {
		order := rapid.Permutation(all).Draw(rt, "order")
		slices.SortStableFunc(order, func(a, b record.Record) int { // versions of one record stay in order
			if a.ID != b.ID {
				return 0
			}
			return int(a.Version.Counter - b.Version.Counter)
		})
		all = order
	}
	return all
}

// applicable makes a row whatever others can refer to such that it can be applied. Else those
// that came before it are applied at once, and the stage has them wait for it.
func applicable(row tableRow) {
	switch id := row["id"].(string); row["model_name"] {
	case "facility":
		row["serialized"], row["_self_ref_fk"] = storedFacility(id, "")["serialized"], ""
	case "user":
		row["serialized"] = storedUser(id, "own name "+id[len(id)-1:])["serialized"]
	}
}

// has reports whether a database knows an id, in whatever table.
func has(s state, id string) bool {
	for _, rows := range s {
		if slices.ContainsFunc(rows, func(row tableRow) bool { return row["id"] == id }) {
			return true
		}
	}
	return false
}

const takenName = "taken"

// However what arrives is cut into chunks, and whatever the application changes meanwhile,
// the tables come to be the same, whether some of it is applied at once or all of it later.
func TestArrivalsComeToTheSame(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		t.Parallel()
		env := newEnv(t, d, testProfile(t))
		env.Machine = store.Machine{SystemID: "system", NodeID: "node"}
		var applied, refused int64
		rapid.Check(t, func(rt *rapid.T) {
			in := drawVector(rt, false)
			taken := in.State["user"] != nil && rapid.Bool().Draw(rt, "a name is taken")
			if taken { // by a row that stays
				in.State["user"] = append(in.State["user"], tableRow{"id": idOf(99), "_morango_source_id": "source", "_morango_partition": "p",
					"_morango_dirty_bit": false, "username": takenName, "password": "x", "last_login": nil, "is_staff": false, "is_superuser": false})
			}
			for _, row := range in.State["store"] { // an id is that of one model of one profile
				row["profile"], row["model_name"] = "facilitydata", tableOrder[row["id"].(string)[0]-'a']
				applicable(row)
			}
			arrivals := drawArrivals(rt, in.State, taken)
			if n := rapid.IntRange(0, 20).Draw(rt, "deleted here, not serialized yet"); n < len(arrivals) && !has(in.State, arrivals[n].ID) {
				in.State["deleted_models"] = append(in.State["deleted_models"], tableRow{"id": arrivals[n].ID, "profile": "facilitydata"})
			}
			var cuts []int
			for at := 0; at < len(arrivals); {
				at = min(at+rapid.IntRange(1+len(arrivals)/4, len(arrivals)).Draw(rt, "chunk"), len(arrivals))
				cuts = append(cuts, at)
			}
			edits := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) []string { return drawEdit(rt, in.State) }), len(cuts), len(cuts)).Draw(rt, "edits")

			var states [2]state
			for way := range states {
				replace(t, d, in.State)
				a := &arrival{env: env, transfer: arrive(t, env)}
				if way == 1 {
					a.apply = NewArrivals(env)
				}
				before := 0
				for i, at := range cuts {
					a.receive(t, arrivals[before:at], at == len(arrivals))
					before = at
					for _, query := range edits[i] {
						exec(t, d, query)
					}
				}
				if way == 1 {
					applied, refused = applied+a.report.Applied, refused+int64(a.refused)
				}
				states[way] = settled(t, rt, env)
			}
			if diff := cmp.Diff(states[0], states[1]); diff != "" {
				rt.Fatalf("-later +at once:\n%s", diff)
			}
		})
		if applied == 0 || refused == 0 {
			t.Errorf("%d rows were applied at once, %d chunks were refused", applied, refused)
		}
	})
}

// Of two versions of a record that come together the first is applied with what its own text says.
func TestDecodedEarly(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := newEnv(t, d, testProfile(t))
		env.Machine = store.Machine{SystemID: "system", NodeID: "node"}
		a := &arrival{env: env, transfer: arrive(t, env), apply: NewArrivals(env)}
		first, second := recordOf(storedUser(idOf(1), "ann")), recordOf(storedUser(idOf(1), "bob"))
		second.Version.Counter++
		second.History = counter.Counters{second.Version.Instance: second.Version.Counter}
		a.receive(t, []record.Record{first, second, recordOf(storedUser(idOf(2), "cem"))}, true)
		var names []any
		for _, row := range get(t, d)["user"] {
			names = append(names, row["username"])
		}
		if want := []any{"ann", "cem"}; !cmp.Equal(names, want) {
			t.Errorf("the application has %v, want %v", names, want)
		}
		if a.apply.early != nil {
			t.Error("what was decoded early is still there")
		}
	})
}

// drawEdit draws what the application does between two chunks: nothing, or to a row that it
// has had from the beginning.
func drawEdit(rt *rapid.T, s state) (queries []string) {
	table := rapid.SampledFrom(tableOrder[:4]).Draw(rt, "edited table")
	if len(s[table]) == 0 || rapid.Bool().Draw(rt, "no edit") {
		return nil
	}
	row := rapid.SampledFrom(s[table]).Draw(rt, "edited row")
	if row["id"] == idOf(99) {
		return nil
	}
	name := db.Quote(tableNames[table])
	if table == "facility" || table == "user" || rapid.Bool().Draw(rt, "changed") {
		return []string{fmt.Sprintf("UPDATE %s SET _morango_dirty_bit = TRUE WHERE id = '%s'", name, row["id"])}
	}
	return []string{
		fmt.Sprintf("INSERT INTO morango_deletedmodels (id, profile) SELECT id, 'facilitydata' FROM %s WHERE id = '%s' ON CONFLICT DO NOTHING", name, row["id"]),
		fmt.Sprintf("DELETE FROM %s WHERE id = '%s'", name, row["id"])}
}

// settled runs the stage until it changes nothing any more, and returns what it leaves. In
// between it marks the store rows of what the stage deleted, as the next serialize does: what
// hangs on these goes with them, if it has not gone with their own targets.
func settled(t *testing.T, rt *rapid.T, env stage.Env) state {
	t.Helper()
	ids := []string{"'" + ident.Lowest + "'"}
	for _, row := range get(t, env.DB)["deleted_models"] { // the application's own deletions still wait
		ids = append(ids, fmt.Sprintf("'%s'", row["id"]))
	}
	serialized := "UPDATE morango_store SET deleted = TRUE, dirty_bit = FALSE, deserialization_error = '' " +
		"WHERE id IN (SELECT id FROM morango_deletedmodels) AND id NOT IN (" + strings.Join(ids, ", ") + ")"
	for range 10 {
		r, err := Run(t.Context(), env, partition.Filter{}, Options{}, nil)
		if err != nil {
			rt.Fatal(err)
		}
		exec(t, env.DB, serialized)
		if r.Applied+r.Deleted == 0 {
			return normal(t, get(t, env.DB))
		}
	}
	rt.Fatal("the stage finds no end")
	return nil
}

// Of models that share a table each arrives beside the others, under what refers across them;
// a row of another's is not taken, which costs a refusal, then a look, and then nothing: the
// models are left to the stage.
func TestArrivalsOfASharedTable(t *testing.T) {
	for _, d := range []*db.DB{dbtest.New(t), dbtest.Postgres(t)} {
		p, err := model.Load("shared.yaml", strings.NewReader(sharedProfile))
		if err != nil {
			t.Fatal(err)
		}
		env := newEnv(t, d, p)
		a := &arrival{env: env, transfer: arrive(t, env), apply: NewArrivals(env)}
		next := func(last bool, applied int64, rows ...tableRow) {
			t.Helper()
			var records []record.Record
			for _, row := range rows {
				records = append(records, recordOf(row))
			}
			before := a.report.Applied
			if a.receive(t, records, last); a.report.Applied != before+applied {
				t.Errorf("%d of %d rows were applied at once instead of %d", a.report.Applied-before, len(rows), applied)
			}
		}
		class := func(n, parent int, kind string) tableRow {
			return stored("class", idOf(n), idOf(parent), fmt.Sprintf(`"kind": %q, "parent_id": %q`, kind, idOf(parent)))
		}
		school := stored("school", idOf(1), "", `"kind": "school", "parent_id": null`)
		next(false, 3, class(3, 2, "class"), class(2, 1, "class"), school, class(4, 1, "school"))
		exec(t, d, "INSERT INTO collection (id, _morango_source_id, _morango_partition, kind, _morango_dirty_bit) VALUES ($1, 's', 'p', 'school', TRUE)", idOf(5))
		next(false, 0, class(5, 1, "class"), class(6, 1, "class"))
		next(false, 1, class(7, 1, "class"))
		exec(t, d, "INSERT INTO collection (id, _morango_source_id, _morango_partition, kind, _morango_dirty_bit) VALUES ($1, 's', 'p', 'school', TRUE)", idOf(8))
		next(false, 1, class(8, 1, "class"), class(9, 1, "class"))
		next(true, 1, class(10, 9, "class"))
		if a.refused != 1 {
			t.Errorf("%d chunks were refused", a.refused)
		}
		wantRun(t, env, Report{Applied: 1, Errors: 1, Waiting: 2})
	}
}
