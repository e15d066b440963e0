package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/partition"
)

// A digest does not depend on the order of the records, nor on how they are grouped,
// and any difference in them shows.
func TestDigestIsOfTheSet(t *testing.T) {
	entries := rapid.SliceOfNDistinct(rapid.Custom(func(r *rapid.T) Entry {
		return Entry{
			ID: rapid.StringMatching(`[0-9a-f]{32}`).Draw(r, "id"), Content: rapid.StringMatching(`[0-9a-f]{32}`).Draw(r, "content"),
			Version: counter.Version{Instance: rapid.StringMatching(`[0-9a-f]{32}`).Draw(r, "instance"), Counter: rapid.Int64Range(0, counter.Greatest).Draw(r, "counter")},
		}
	}), 1, 20, func(e Entry) string { return e.ID })
	rapid.Check(t, func(r *rapid.T) {
		list := entries.Draw(r, "entries")
		all := digestOf(list)
		mixed := rapid.Permutation(list).Draw(r, "mixed")
		cut := rapid.IntRange(0, len(list)).Draw(r, "cut")
		if got := digestOf(mixed[:cut]).plus(digestOf(mixed[cut:])); got != all {
			r.Fatalf("another order gives %v, not %v", got, all)
		}
		if back := NewDigest(all.Records, all.Sum()); back != all {
			r.Fatalf("%v comes back as %v", all, back)
		}
		changed := slices.Clone(list)
		one := &changed[rapid.IntRange(0, len(list)-1).Draw(r, "one")]
		switch rapid.IntRange(0, 3).Draw(r, "what") {
		case 0:
			one.ID = flip(one.ID)
		case 1:
			one.Content = flip(one.Content)
		case 2:
			one.Version.Counter ^= 1
		case 3:
			one.Version.Instance = flip(one.Version.Instance)
		}
		if digestOf(changed) == all {
			r.Fatal("a changed record does not show")
		}
	})
}

// flip changes the last digit of an id.
func flip(id string) string { return id[:31] + map[bool]string{true: "1", false: "0"}[id[31] == '0'] }

func digestOf(list []Entry) (d Digest) {
	for _, e := range list {
		d.add(e)
	}
	return d
}

// The parts of a span are its own ids, each in one of them, and are smaller.
func TestSplitCoversTheSpan(t *testing.T) {
	id := rapid.Custom(func(r *rapid.T) number {
		return number{rapid.Uint64().Draw(r, "hi"), rapid.Uint64().Draw(r, "lo")}
	})
	rapid.Check(t, func(r *rapid.T) {
		a, b := id.Draw(r, "a"), id.Draw(r, "b")
		if rapid.Bool().Draw(r, "near") {
			b = a.plus(number{lo: rapid.Uint64Range(0, 40).Draw(r, "width")})
		}
		if b.less(a) {
			a, b = b, a
		}
		s := Span{a.id(), b.id()}
		parts := s.split()
		if parts[0].First != s.First || parts[len(parts)-1].Last != s.Last || len(parts) > splitParts {
			r.Fatalf("%v is split into %v", s, parts)
		}
		for i, part := range parts {
			if part.Check() != nil || i > 0 && numberOf(parts[i-1].Last).plus(number{lo: 1}).id() != part.First {
				r.Fatalf("part %d of %v: %v", i, s, parts)
			}
		}
		if a.less(b) && len(parts) < 2 {
			r.Fatalf("%v stays whole", s)
		}
	})
}

// filled is a database with n records of random ids and one RMC each, saved by instance
// at counter 1.
func filled(t *testing.T, d *db.DB, n int) {
	t.Helper()
	var rows [][]any
	for i := range n {
		id := content([]string{fmt.Sprint(i)})
		rows = append(rows, []any{id, "p", "m", fmt.Sprintf("part:%d", i%3), id, `{"n": 1}`, "", "", saver, 1, false, false, false, ""})
	}
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		return tx.InsertAll(t.Context(), db.Insert{Table: "morango_store", Columns: []string{"id", "profile", "model_name", "partition",
			"source_id", "serialized", "conflicting_serialized_data", "_self_ref_fk", "last_saved_instance", "last_saved_counter",
			"deleted", "hard_deleted", "dirty_bit", "deserialization_error"}}, rows)
	})
	if err != nil {
		t.Fatal(err)
	}
}

const saver = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// other is a peer whose database lies beside ours.
type other struct {
	d    *db.DB
	now  func() time.Time
	q    int
	said int // entries and sums told
}

func (o *other) Ask(ctx context.Context, q Question) (Answer, error) {
	if err := q.Check(); err != nil {
		return Answer{}, err
	}
	o.q++
	if q.Kept {
		if _, err := Keep(ctx, o.d, q.Filter, nil, o.now); err != nil {
			return Answer{}, err
		}
	}
	a, err := Ask(ctx, o.d, q, o.now)
	o.said += len(a.Sums)
	for _, list := range a.Lists {
		o.said += len(list)
	}
	return a, err
}

// slow is a clock on which every look costs a second: an answer leaves off soon.
func slow() func() time.Time {
	now := time.Unix(0, 0)
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}

// Of many equal records little is told; those that differ are found, whatever the peer's
// patience, and with a wide filter as with a narrow one.
func TestCompareFindsTheNeedles(t *testing.T) {
	const n = 12_000
	us, them := dbtest.New(t), dbtest.New(t)
	filled(t, us, n)
	filled(t, them, n)
	compare := func(now func() time.Time, filter partition.Filter) (Comparison, *other) {
		t.Helper()
		peer := &other{d: them, now: now}
		c, err := Compare(t.Context(), us, "p", filter, peer, CompareOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return c, peer
	}
	if c, peer := compare(time.Now, partition.All()); c.Here != n || c.There != n || peer.q > 2 || peer.said > 20 || len(c.Differences) > 0 {
		t.Errorf("equal: %+v, %d questions, %d told", c, peer.q, peer.said)
	}
	for _, i := range []int{5, 500, 11_000} {
		id := content([]string{fmt.Sprint(i)})
		if err := them.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `DELETE FROM morango_store WHERE id = $1`, id)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		now    func() time.Time
		filter partition.Filter
		want   int64
	}{
		"wide": {time.Now, partition.All(), 3}, "impatient": {slow(), partition.All(), 3},
		"narrow": {time.Now, partition.Of("part:2"), 3}, "elsewhere": {time.Now, partition.Of("part:0"), 0},
	} {
		found, peer := compare(c.now, c.filter)
		if found.Explained != c.want || int64(len(found.Differences)) != c.want || peer.said > 400 {
			t.Errorf("%s: %+v, %d told", name, found, peer.said)
		}
	}
}

// A peer that answers nonsense is an error, not an endless conversation.
func TestCompareRefusesNonsense(t *testing.T) {
	d := dbtest.New(t)
	filled(t, d, 100)
	for name, answer := range map[string]func(Question) Answer{
		"nothing":         func(Question) Answer { return Answer{} },
		"too much":        func(q Question) Answer { return Answer{Sums: make([]Sum, len(q.Sums)+1)} },
		"another span":    func(Question) Answer { return Answer{Sums: []Sum{{Last: "x"}}} },
		"no end in sight": func(q Question) Answer { return Answer{Sums: []Sum{{Last: q.Sums[0].First}}} },
		"others' records": func(q Question) Answer {
			if len(q.Lists) > 0 {
				return Answer{Lists: [][]Entry{{{ID: numberOf(q.Lists[0].Last).plus(number{lo: 1}).id()}}}}
			}
			return Answer{Sums: []Sum{{Last: q.Sums[0].Last}}}
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err := Compare(ctx, d, "p", partition.All(), asking(answer), CompareOptions{})
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

type asking func(Question) Answer

func (f asking) Ask(_ context.Context, q Question) (Answer, error) { return f(q), nil }
