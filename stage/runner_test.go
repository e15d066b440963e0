package stage_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
)

const (
	syncID     = "00000000000000000000000000000001"
	transferID = "00000000000000000000000000000002"
)

// A stage that works notes that it is complete in its own last transaction, and with that those
// before it that had nothing to do; the end of the run notes the rest.
func TestStagesAreNotedWithWork(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, hooked := range []bool{false, true} {
			env, look := belt(t, d)
			if hooked {
				env.Hook = func(context.Context, stage.HookEvent) error { return nil }
			}
			var seen []string
			passed := func(context.Context, *session.Transfer) (stage.Status, error) {
				seen = append(seen, look())
				return stage.Passed, nil
			}
			r := stage.Runner{Env: env, Steps: map[stage.Stage]stage.Step{
				stage.Serializing: passed,
				stage.Queuing: func(ctx context.Context, tr *session.Transfer) (stage.Status, error) {
					seen = append(seen, look())
					return env.Complete(ctx, tr, stage.Queuing, nil, func(_ *db.Tx, t *session.Transfer) error {
						total := int64(7)
						t.RecordsTotal = &total
						return nil
					})
				},
				stage.Transferring:  passed,
				stage.Deserializing: passed,
			}}
			after, err := r.Run(t.Context(), row(t, d), stage.Deserializing)
			if err != nil || after.RecordsTotal == nil || *after.RecordsTotal != 7 {
				t.Fatalf("%+v, %v", after, err)
			}
			want := []string{"initializing completed", "initializing completed", "queuing completed", "queuing completed"}
			if !slices.Equal(seen, want) {
				t.Errorf("the steps saw %q, want %q", seen, want)
			}
			if now := look(); now != "deserializing completed" || after.Stage+" "+after.Status != now {
				t.Errorf("in the end it is %q, and said %s %s", now, after.Stage, after.Status)
			}
		}
	})
}

// Who waits for a stage finds in the row that it has begun, and never that after it has ended.
func TestWhoWaitsIsToldThatAStageHasBegun(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env, look := belt(t, d)
		work := &stage.Work{}
		note := func() {
			if err := work.Note(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		r := stage.Runner{Env: env, Work: work, Steps: map[stage.Stage]stage.Step{
			stage.Serializing: func(ctx context.Context, tr *session.Transfer) (stage.Status, error) {
				note()
				if now := look(); now != "serializing started" {
					t.Errorf("while it works: %q", now)
				}
				return env.Complete(ctx, tr, stage.Serializing, nil, nil)
			},
			stage.Queuing: func(ctx context.Context, tr *session.Transfer) (stage.Status, error) {
				status, err := env.Complete(ctx, tr, stage.Queuing, nil, nil)
				note() // too late
				return status, err
			},
		}}
		if _, err := r.Run(t.Context(), row(t, d), stage.Queuing); err != nil {
			t.Fatal(err)
		}
		note() // nothing is being worked at
		if now := look(); now != "queuing completed" {
			t.Errorf("in the end: %q", now)
		}
	})
}

// A stage that fails is errored, whatever was passed before it, and is run again by the next run.
func TestAFailedStageRunsAgain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env, look := belt(t, d)
		broken := errors.New("broken")
		fail := broken
		r := stage.Runner{Env: env, Steps: map[stage.Stage]stage.Step{
			stage.Serializing: func(context.Context, *session.Transfer) (stage.Status, error) { return stage.Passed, nil },
			stage.Queuing:     func(context.Context, *session.Transfer) (stage.Status, error) { return stage.Passed, fail },
		}}
		if _, err := r.Run(t.Context(), row(t, d), stage.Queuing); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		if now := look(); now != "queuing errored" {
			t.Errorf("it is %q", now)
		}
		fail = nil
		if _, err := r.Run(t.Context(), row(t, d), stage.Queuing); err != nil {
			t.Fatal(err)
		}
		if now := look(); now != "queuing completed" {
			t.Errorf("then it is %q", now)
		}
	})
}

// belt makes a transfer session of which the first stage is complete; look says how far it is.
func belt(t *testing.T, d *db.DB) (env stage.Env, look func() string) {
	t.Helper()
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	env = stage.Env{DB: d, Now: func() time.Time { return noon }}
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		for _, table := range []string{"morango_transfersession", "morango_syncsession"} {
			if _, err := tx.Exec(t.Context(), "DELETE FROM "+table); err != nil {
				return err
			}
		}
		return errors.Join(
			session.CreateSync(t.Context(), tx, session.Sync{ID: syncID, StartTime: noon, LastTime: noon, Active: true}),
			session.CreateTransfer(t.Context(), tx, session.Transfer{ID: transferID, SyncSessionID: syncID, Active: true,
				StartTime: noon, LastTime: noon, Stage: string(stage.Initializing), Status: string(stage.Completed)}))
	})
	if err != nil {
		t.Fatal(err)
	}
	return env, func() (now string) {
		t.Helper()
		err := d.Read(t.Context(), func(tx *db.Tx) error {
			row, err := session.GetTransfer(t.Context(), tx, transferID)
			now = row.Stage + " " + row.Status
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
}

// row reads the transfer session.
func row(t *testing.T, d *db.DB) (now session.Transfer) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		now, err = session.GetTransfer(t.Context(), tx, transferID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// A run that begins with a row which others have left behind takes nothing back.
func TestARunTakesNothingBack(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env, look := belt(t, d)
		r := stage.Runner{Env: env, Steps: map[stage.Stage]stage.Step{
			stage.Queuing: func(ctx context.Context, tr *session.Transfer) (stage.Status, error) {
				return env.Complete(ctx, tr, stage.Queuing, nil, func(_ *db.Tx, t *session.Transfer) error {
					t.ServerFSIC += " again"
					return nil
				})
			},
			stage.Transferring: func(context.Context, *session.Transfer) (stage.Status, error) { return stage.Pending, nil },
		}}
		old := row(t, d)
		if _, err := r.Run(t.Context(), old, stage.Queuing); err != nil {
			t.Fatal(err)
		}
		done, err := stage.Runner{Env: env}.Run(t.Context(), row(t, d), stage.Deserializing)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range []stage.Stage{stage.Queuing, stage.Transferring} {
			if _, err := r.Run(t.Context(), old, to); err != nil {
				t.Fatal(err)
			}
			if now := look(); now != "deserializing completed" {
				t.Errorf("it is %q", now)
			}
			if now := row(t, d); now.ServerFSIC != done.ServerFSIC || now.ServerFSIC != "{} again" {
				t.Errorf("the claim is %q", now.ServerFSIC)
			}
		}
	})
}
