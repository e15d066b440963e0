package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newEngine(t *testing.T, d *db.DB) *Engine {
	t.Helper()
	e := New(stage.Env{DB: d, Profile: &model.Profile{Name: "things"}, Rand: rand.Reader, Now: func() time.Time { return noon }})
	t.Cleanup(e.Close)
	return e
}

func testID(n int) string { return fmt.Sprintf("%032x", n) }

func write(t *testing.T, d *db.DB, f func(context.Context, *db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), func(tx *db.Tx) error { return f(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

// open makes sync session n with transfer session 100+n, last active some time before
// noon, with one record in its buffer.
func open(t *testing.T, d *db.DB, n int, active bool, ago time.Duration) {
	t.Helper()
	at := noon.Add(-ago)
	write(t, d, func(ctx context.Context, tx *db.Tx) error {
		if err := session.CreateSync(ctx, tx, session.Sync{ID: testID(n), Profile: "things", StartTime: at, LastTime: at, Active: active}); err != nil {
			return err
		}
		if err := session.CreateTransfer(ctx, tx, session.Transfer{ID: testID(100 + n), SyncSessionID: testID(n),
			StartTime: at, LastTime: at, Active: active, Filter: "a"}); err != nil {
			return err
		}
		_, _, err := buffer.Put(ctx, tx, testID(100+n), []record.Record{{ID: testID(1000 + n), Profile: "things",
			Model: "m", Partition: "a", SourceID: "s", Serialized: "{}", Version: version(n), History: map[string]int64{testID(7): 1}}})
		return err
	})
}

// openStream makes sync session 1 with transfer session 101, to which a stream can come.
func openStream(t *testing.T, d *db.DB) {
	t.Helper()
	open(t, d, 1, true, time.Minute)
	write(t, d, func(ctx context.Context, tx *db.Tx) error {
		row, err := session.GetTransfer(ctx, tx, testID(101))
		return errors.Join(err, session.MarkStream(ctx, tx, row),
			session.SetStage(ctx, tx, row.ID, string(stage.Queuing), string(stage.Completed), noon))
	})
}

// state is what is left: sync sessions, active ones, transfer sessions, active ones, buffered records.
func state(t *testing.T, d *db.DB) (s [5]int) {
	t.Helper()
	write(t, d, func(ctx context.Context, tx *db.Tx) error {
		for i, query := range []string{
			`SELECT COUNT(*) FROM morango_syncsession`, `SELECT COUNT(*) FROM morango_syncsession WHERE active`,
			`SELECT COUNT(*) FROM morango_transfersession`, `SELECT COUNT(*) FROM morango_transfersession WHERE active`,
			`SELECT COUNT(*) FROM morango_buffer`,
		} {
			if err := tx.QueryRow(ctx, query).Scan(&s[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return s
}

func TestSweep(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		e := newEngine(t, d)
		open(t, d, 1, true, time.Minute)      // live, whatever is asked for
		open(t, d, 2, true, time.Hour)        // idle
		open(t, d, 3, true, time.Hour)        // with work in this process
		open(t, d, 4, false, 24*time.Hour)    // ended, but its buffer was left behind
		open(t, d, 5, false, 40*24*time.Hour) // ended long ago
		open(t, d, 6, true, 50*24*time.Hour)  // idle for long
		stop := e.KeepAlive(t.Context(), testID(103))
		check := func(o SweepOptions, want SweepReport, left [5]int) {
			t.Helper()
			got, err := e.Sweep(t.Context(), o)
			if err != nil || got != want {
				t.Errorf("sweep %+v: %+v, %v; want %+v", o, got, err, want)
			}
			if got := state(t, d); got != left {
				t.Errorf("sweep %+v left %v, want %v", o, got, left)
			}
		}
		check(SweepOptions{Idle: 2 * time.Hour, Pick: session.Pick{SyncIDs: []string{testID(2)}}}, SweepReport{Buffers: 2}, [5]int{6, 4, 6, 4, 4})
		check(SweepOptions{Idle: 2 * time.Hour}, SweepReport{Syncs: 1, Transfers: 1}, [5]int{6, 3, 6, 3, 3})
		check(SweepOptions{Keep: 30 * 24 * time.Hour}, SweepReport{Syncs: 1, Transfers: 1, Compacted: 1}, [5]int{5, 2, 5, 2, 2})
		stop()
		check(SweepOptions{}, SweepReport{Syncs: 1, Transfers: 1}, [5]int{5, 1, 5, 1, 1})
	})
}

// TestKeepAlive holds that work on a session is noted without anybody's doing.
func TestKeepAlive(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		e := newEngine(t, d)
		e.beat = time.Millisecond
		open(t, d, 1, true, time.Hour)
		stop := e.KeepAlive(t.Context(), testID(101))
		defer stop()
		for {
			row, err := e.Transfer(t.Context(), testID(101))
			if err != nil {
				t.Fatal(err)
			}
			if row.LastTime.Equal(noon) {
				return
			}
		}
	})
}

// Who has noted activity a moment ago is not disturbed.
func TestNoteActivity(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		e := newEngine(t, d)
		for i, ago := range []time.Duration{beat - time.Second, beat} {
			open(t, d, i, true, ago)
			if err := e.noteActivity(t.Context(), testID(100+i)); err != nil {
				t.Fatal(err)
			}
			row, err := e.Transfer(t.Context(), testID(100+i))
			if err != nil {
				t.Fatal(err)
			}
			if noted := row.LastTime.Equal(noon); noted != (ago == beat) {
				t.Errorf("%v after the last activity: noted %v", ago, noted)
			}
		}
	})
}

func version(n int) counter.Version { return counter.Version{Instance: testID(7), Counter: int64(n)} }
