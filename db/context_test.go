package db_test

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
)

// TestStatementsEndWithTheirContext holds that a statement that runs on PostgreSQL ends when its
// context does, with its transaction, that one that follows says so too, and that the pool goes on without that connection.
func TestStatementsEndWithTheirContext(t *testing.T) {
	d := dbtest.Postgres(t)
	for name, transaction := range map[string]func(context.Context, func(*db.Tx) error) error{"read": d.Read, "write": d.Write} {
		for way, run := range map[string]func(context.Context, *db.Tx) error{
			"query": func(ctx context.Context, tx *db.Tx) error {
				return tx.QueryRow(ctx, `SELECT pg_sleep(20)`).Scan(new(string))
			},
			"exec": func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `SELECT pg_sleep(20)`)
				return err
			},
			"rows": func(ctx context.Context, tx *db.Tx) error {
				rows, err := tx.Query(ctx, `SELECT CASE WHEN n > 5000 THEN pg_sleep(20)::text ELSE repeat('x', 100) END FROM generate_series(1, 10000) n`)
				if err != nil {
					return err
				}
				defer rows.Close()
				for rows.Next() {
				}
				return rows.Err()
			},
		} {
			t.Run(name+" "+way, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var connection int
				err := transaction(ctx, func(tx *db.Tx) error {
					if err := tx.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&connection); err != nil {
						return err
					}
					go func() {
						defer cancel()
						wait(t, d, `SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep')`, connection)
					}()
					if err := run(ctx, tx); !errors.Is(err, context.Canceled) {
						t.Errorf("the statement ended with %v", err)
					}
					return run(ctx, tx)
				})
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("the next one ended with %v", err)
				}
				wait(t, d, `SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = $1)`, connection)
			})
		}
	}
}

// wait asks the database until it says yes.
func wait(t *testing.T, d *db.DB, question string, args ...any) {
	for done := false; !done && t.Context().Err() == nil; {
		if err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.QueryRow(t.Context(), question, args...).Scan(&done) }); err != nil {
			t.Error(err)
			return
		}
	}
}

// TestStatementsStartNoGoroutines holds that none is started for a transaction on PostgreSQL and its
// queries, also under a context that can end: they took as long as the statements themselves.
func TestStatementsStartNoGoroutines(t *testing.T) {
	d := dbtest.Postgres(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 { // the first opens the connection
		before := runtime.NumGoroutine()
		err := d.Write(ctx, func(tx *db.Tx) error {
			rows, err := tx.Query(ctx, `SELECT 1`)
			if err != nil {
				return err
			}
			defer rows.Close()
			if n := runtime.NumGoroutine(); n > before {
				t.Errorf("%d goroutines were started", n-before)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestAskIsForOneQuery holds that a second query, and what is no query, fails on PostgreSQL outside of a
// transaction, and so runs in one.
func TestAskIsForOneQuery(t *testing.T) {
	d := dbtest.Postgres(t)
	ctx := t.Context()
	query := func(tx *db.Tx) error { return tx.QueryRow(ctx, `SELECT 1`).Scan(new(int)) }
	for name, c := range map[string]struct {
		f    func(*db.Tx) error
		runs int
	}{
		"one query":  {query, 1},
		"two":        {func(tx *db.Tx) error { return errors.Join(query(tx), query(tx)) }, 2},
		"a change":   {func(tx *db.Tx) error { _, err := tx.Exec(ctx, `SET LOCAL enable_sort = off`); return err }, 2},
		"a prepared": {func(tx *db.Tx) error { s, err := tx.Prepare(ctx, `SELECT 1`); return errors.Join(err, closed(s)) }, 2},
	} {
		runs := 0
		err := d.Ask(ctx, func(tx *db.Tx) error { runs++; return c.f(tx) })
		if err != nil || runs != c.runs {
			t.Errorf("%s: %d runs (%v)", name, runs, err)
		}
	}
}

func closed(s *sql.Stmt) error {
	if s == nil {
		return nil
	}
	return s.Close()
}
