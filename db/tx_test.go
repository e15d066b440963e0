package db_test

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/partition"
	"pgregory.net/rapid"
)

const addClaim = `INSERT INTO morango_databasemaxcounter (instance_id, partition, counter) VALUES ($1, $2, 1)`

// awkward draws partitions full of what other ways of matching trip over.
func awkward() *rapid.Generator[string] {
	return rapid.StringOf(rapid.SampledFrom([]rune("ab:A%_\\'\"é\uFFFD\U0010FFFF*[Z")))
}

func TestPrefixCondMatchesPrefixesOnly(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		// A table of the application's: its text sorts as the database likes.
		write(t, d, func(tx *db.Tx) error { _, err := tx.Exec(t.Context(), `CREATE TABLE words (word text)`); return err })
		rapid.Check(t, func(r *rapid.T) {
			texts := rapid.SliceOfNDistinct(awkward(), 1, 12, rapid.ID[string]).Draw(r, "partitions")
			prefixes := rapid.SliceOfN(awkward(), 0, 3).Draw(r, "prefixes")
			var got []string
			err := d.Write(t.Context(), func(tx *db.Tx) (err error) {
				got, err = matching(t.Context(), tx, texts, prefixes)
				return err
			})
			if err != nil {
				r.Fatal(err)
			}
			for _, text := range texts {
				want := len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(text, p) })
				if slices.Contains(got, text) != want {
					r.Fatalf("prefixes %q match %q: got %v, want %v", prefixes, text, !want, want)
				}
			}
		})
	})
}

// matching fills a table with texts and returns those that the prefixes select.
func matching(ctx context.Context, tx *db.Tx, texts, prefixes []string) ([]string, error) {
	if _, err := tx.Exec(ctx, `DELETE FROM words`); err != nil {
		return nil, err
	}
	for _, text := range texts {
		if _, err := tx.Exec(ctx, `INSERT INTO words (word) VALUES ($1)`, text); err != nil {
			return nil, err
		}
	}
	cond, args := tx.PrefixCond("word", partition.Of(prefixes...), 2)
	rows, err := tx.Query(ctx, `SELECT word FROM words WHERE word <> $1 AND `+cond, append([]any{"none"}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		got = append(got, text)
	}
	return got, rows.Err()
}

func TestListsIDsAndTimesComeBackAsTheyWent(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		whole := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
		fine := time.Date(2026, 2, 3, 4, 5, 6, 123456789, time.FixedZone("", 3600))
		odd := "a'\"<&>\u2028é"
		write(t, d, func(tx *db.Tx) error {
			for id, moment := range map[string]time.Time{idA: whole, idB: fine} {
				if _, err := tx.Exec(ctx, addNonce, id, tx.Time(moment)); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, addClaim, idA, odd)
			return err
		})
		for ids, want := range map[string]int{db.JSONList(nil): 0, db.JSONList([]string{idA}): 1, db.JSONList([]string{idA, idB, idA}): 2} {
			if n := count(t, d, countNonces+` WHERE id IN `+(unpacker(t, d).IDs(1)), ids); n != want {
				t.Errorf("%s selects %d rows, want %d", ids, n, want)
			}
		}
		texts := db.JSONList([]string{"x", odd})
		if n := count(t, d, `SELECT count(*) FROM morango_databasemaxcounter WHERE partition IN `+unpacker(t, d).Texts(1), texts); n != 1 {
			t.Errorf("%s selects %d rows, want 1", texts, n)
		}
		err := d.Read(ctx, func(tx *db.Tx) error {
			for id, want := range map[string]time.Time{idA: whole, idB: fine.Truncate(time.Microsecond)} {
				var gotID string
				var got db.Time
				if err := tx.QueryRow(ctx, `SELECT id, timestamp FROM morango_nonce WHERE id = $1`, id).Scan(&gotID, &got); err != nil {
					return err
				}
				if gotID != id || !got.Valid || !got.Time.Equal(want) || got.Time.Location() != time.UTC {
					t.Errorf("got %s %v, want %s %v", gotID, got.Time, id, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// unpacker is a transaction to ask for SQL text after it has ended.
func unpacker(t *testing.T, d *db.DB) (kept *db.Tx) {
	t.Helper()
	if err := d.Read(t.Context(), func(tx *db.Tx) error { kept = tx; return nil }); err != nil {
		t.Fatal(err)
	}
	return kept
}

func TestTimeReadsEveryForm(t *testing.T) {
	want := time.Date(2026, 2, 3, 4, 5, 6, 500000000, time.UTC)
	for _, form := range []any{"2026-02-03 04:05:06.500000", []byte("2026-02-03T04:05:06.5Z"), "2026-02-03 05:05:06.5+01:00", want} {
		var got db.Time
		if err := got.Scan(form); err != nil || !got.Valid || !got.Time.Equal(want) {
			t.Errorf("%v is read as %v (%v)", form, got, err)
		}
	}
	var got db.Time
	if err := got.Scan(nil); err != nil || got.Valid {
		t.Errorf("null is read as %v (%v)", got, err)
	}
	for _, bad := range []any{"yesterday", "", int64(5)} {
		if err := got.Scan(bad); err == nil {
			t.Errorf("%v is read as %v", bad, got)
		}
	}
}

func TestAdoptJoinsTheCallersTransaction(t *testing.T) {
	url := dbtest.PostgresURL(t)
	d := dbtest.New(t)
	for _, c := range []struct {
		driver, source string
		kind           db.Kind
	}{{"pgx", url, db.Postgres}, {"sqlite", d.Path(), db.SQLite}} {
		pool, err := sql.Open(c.driver, c.source)
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		raw, err := pool.Begin()
		if err != nil {
			t.Fatal(err)
		}
		tx := db.Adopt(c.kind, raw)
		if err := tx.Lock(t.Context(), partition.Of(idA), false); err != nil {
			t.Error(err)
		}
		if _, err := tx.Exec(t.Context(), addNonce, idA, tx.Time(time.Now())); err != nil {
			t.Error(err)
		}
		if err := raw.Rollback(); err != nil {
			t.Error(err)
		}
		var n int
		if err := pool.QueryRow(countNonces).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d rows after the caller rolled back (%v)", c.driver, n, err)
		}
	}
}
