package db_test

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/partition"
)

// writeAlong writes a row again and again, with a moment between, until ctx ends.
func writeAlong(ctx context.Context, other *sql.DB) error {
	for {
		if _, err := other.ExecContext(ctx, `UPDATE other SET n = n + 1`); err != nil {
			return err
		}
		select { // or it would keep us out in its turn
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// A program that waits for the database as SQLite does has its turn again and again while a
// long job goes on. Without pauses it comes in about once, when it happens to look in
// the moment between two transactions.
func TestOthersWriteBetweenTheParts(t *testing.T) {
	d := dbtest.New(t)
	other, err := sql.Open("sqlite", d.Path()+"?_busy_timeout=60000&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	write(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `CREATE TABLE other (n INTEGER); INSERT INTO other VALUES (0); CREATE TABLE ours (n INTEGER)`)
		return err
	})
	if _, err := other.ExecContext(t.Context(), `SELECT n FROM other`); err != nil { // it is known to have it open
		t.Fatal(err)
	}
	const parts, length = 60, 20 * time.Millisecond
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- writeAlong(ctx, other) }()
	turns, before := 0, 0
	for range parts {
		err := d.WritePart(t.Context(), t, func(tx *db.Tx) error {
			var n int
			if err := tx.QueryRow(t.Context(), `SELECT n FROM other`).Scan(&n); err != nil {
				return err
			}
			if n > before {
				turns, before = turns+1, n
			}
			for began := time.Now(); time.Since(began) < length; {
				if _, err := tx.Exec(t.Context(), `INSERT INTO ours VALUES (1)`); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	end()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// There is a pause after each part, of which it misses some on a busy machine.
	if turns < parts/4 {
		t.Errorf("the other had its turn in %d of %d gaps", turns, parts)
	}
}

// A part may take longer than others only as long as nobody else writes.
func TestAPartThatIsAloneMayTakeLonger(t *testing.T) {
	d := dbtest.New(t)
	other, err := sql.Open("sqlite", d.Path()+"?_busy_timeout=60000&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	part := func() (most time.Duration) {
		err := d.WritePart(t.Context(), t, func(tx *db.Tx) error {
			most = tx.PartTime()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return most
	}
	for range 2 {
		if most := part(); most <= db.PartTime {
			t.Errorf("alone it may take %s, no more than %s", most, db.PartTime)
		}
	}
	if _, err := other.ExecContext(t.Context(), `CREATE TABLE other (n INTEGER)`); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if most := part(); most != db.PartTime {
			t.Errorf("beside others it may take %s, want %s", most, db.PartTime)
		}
	}
}

// A part that can end at any moment may take much longer, until somebody wants
// to write.
func TestAPartThatCanEndTakesLongerUntilSomebodyComes(t *testing.T) {
	d := dbtest.New(t)
	part := func(inIt func(*db.Tx)) {
		t.Helper()
		err := d.WritePart(t.Context(), t, func(tx *db.Tx) error {
			alone := tx.PartTime()
			if most := tx.PartMost(); most <= alone || tx.PartTime() != most {
				t.Errorf("alone it may take %s, and the next %s, no more than the %s of others", most, tx.PartTime(), alone)
			}
			inIt(tx)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	part(func(tx *db.Tx) {
		go func() { done <- d.Write(t.Context(), func(*db.Tx) error { return nil }) }()
		for tx.PartMost() != db.PartTime {
			runtime.Gosched()
		}
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// On PostgreSQL a part may take longer than others only as long as nobody waits for one.
func TestAPartThatNobodyWaitsForMayTakeLonger(t *testing.T) {
	d := dbtest.Postgres(t)
	part := func(inIt func(*db.Tx)) (most time.Duration) {
		err := d.WritePart(t.Context(), t, func(tx *db.Tx) error {
			if err := tx.Lock(t.Context(), partition.All(), false); err != nil {
				return err
			}
			most = tx.PartTime()
			inIt(tx)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return most
	}
	for range 2 {
		if most := part(func(*db.Tx) {}); most <= db.PartTime {
			t.Errorf("when nobody waits it may take %s, no more than %s", most, db.PartTime)
		}
	}
	done := make(chan error, 1)
	var waitedFor *db.Tx
	part(func(tx *db.Tx) {
		waitedFor = tx
		go func() {
			done <- d.Write(t.Context(), func(tx *db.Tx) error { return tx.Lock(t.Context(), partition.Of("p"), false) })
		}()
		for waiting := 0; waiting == 0; {
			err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.QueryRow(t.Context(), countWaiting).Scan(&waiting) })
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if next := waitedFor.PartTime(); next != db.PartTime {
		t.Errorf("the part that is waited for says %s for the next, want %s", next, db.PartTime)
	}
	if most := part(func(*db.Tx) {}); most != db.PartTime {
		t.Errorf("when somebody waited it may take %s, want %s", most, db.PartTime)
	}
}
