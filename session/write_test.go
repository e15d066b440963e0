package session_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/session"
)

// What differs is stored, with what the sync session keeps of it; its activity is noted to the second.
func TestWrite(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		want := newTransfer(10, 1, true, noon)
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(session.CreateSync(ctx, tx, newSync(1, noon)), session.CreateTransfer(ctx, tx, want))
		})
		get := func(ctx context.Context, tx *db.Tx) (session.Transfer, error) {
			return session.GetTransfer(ctx, tx, want.ID)
		}
		change := func(at time.Time, change func(*session.Transfer) error) {
			t.Helper()
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				row, err := get(ctx, tx)
				before := row
				return errors.Join(err, change(&row), session.Write(ctx, tx, before, &row, at))
			})
		}
		total, soon, later := int64(7), noon.Add(time.Second/2), noon.Add(time.Minute)
		change(soon, func(row *session.Transfer) error {
			row.RecordsTotal, row.RecordsTransferred, row.BytesSent, row.BytesReceived = &total, 3, 1<<40, 5
			row.ClientFSIC, row.ServerFSIC, row.Stage, row.Status = `{"a": 1}`, `{"b": 2}`, "queuing", "completed"
			return nil
		})
		want.RecordsTotal, want.RecordsTransferred, want.BytesSent, want.BytesReceived = &total, 3, 1<<40, 5
		want.ClientFSIC, want.ServerFSIC, want.Stage, want.Status = `{"a": 1}`, `{"b": 2}`, "queuing", "completed"
		want.LastTime = soon
		equal(t, "the row", read(t, d, get), want)

		change(later, func(row *session.Transfer) error { return nil })
		want.LastTime, want.Within.LastTime = later, later
		equal(t, "after a minute", read(t, d, get), want)

		change(later, func(row *session.Transfer) error { return row.SetCursor("a") })
		row := read(t, d, get)
		cursor, streams := row.Cursor()
		equal(t, "cursor", cursor, "a")
		equal(t, "streams", streams, true)

		change(later, (*session.Transfer).Close)
		row = read(t, d, get)
		_, streams = row.Cursor()
		equal(t, "streams when it is closed", streams, false)
		equal(t, "active", row.Active, false)
	})
}
