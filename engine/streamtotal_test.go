package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/wire"
)

// TestTotalOfStream holds that a stream ends with its end and not with its number of
// records, which was counted before the first of them was read: since then some may have
// come in place of others, or besides.
func TestTotalOfStream(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		e := newEngine(t, d)
		open(t, d, 1, true, time.Minute) // the receiver's side of a pull
		id := testID(101)
		total := func(n int64) error {
			_, err := e.Update(t.Context(), id, Update{RecordsTotal: &n})
			return err
		}
		status := func() stage.Status {
			have, err := e.Transfer(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			s, err := e.transfer(&have, Terms{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		come := func(n int64, cursor string) {
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				err := session.SetProgress(ctx, tx, id, session.Progress{RecordsTransferred: n}, noon)
				if err == nil && cursor != "" {
					err = session.SetCursor(ctx, tx, session.Transfer{ID: id, SyncSessionID: testID(1)}, cursor)
				}
				return err
			})
		}

		come(4, "")
		if err := total(3); !errors.Is(err, ErrBadCount) {
			t.Errorf("three of a buffer when four have come: %v", err)
		}
		come(4, testID(4))
		if err := total(3); err != nil {
			t.Errorf("three of a stream when four have come: %v", err)
		}
		if err := total(-1); !errors.Is(err, ErrBadCount) {
			t.Errorf("less than none: %v", err)
		}
		if s := status(); s != stage.Pending {
			t.Errorf("four of four, without the end: %s", s)
		}
		come(4, wire.CursorEnd)
		if s := status(); s != stage.Passed {
			t.Errorf("with the end: %s", s)
		}
	})
}
