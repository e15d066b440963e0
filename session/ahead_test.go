package session_test

import (
	"context"
	"errors"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/session"
)

// What runs ahead is fixed once, beside whatever else is kept there, and forgotten with its
// transfer session.
func TestAhead(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSync(1, noon)
		s.ExtraFields = `{"theirs": [1]}`
		one, two := newTransfer(2, 1, true, noon), newTransfer(3, 1, true, noon)
		first, fixed := session.Ahead{Instance: id(7), From: 3}, session.Ahead{Instance: id(7), From: 3, Fixed: true, To: 9}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(session.CreateSync(ctx, tx, s), session.CreateTransfer(ctx, tx, one), session.CreateTransfer(ctx, tx, two),
				session.SetAhead(ctx, tx, one, first), session.SetAhead(ctx, tx, two, first), session.SetCursor(ctx, tx, one, "a"))
		})
		have := func(transfer session.Transfer, want session.Ahead, known bool) {
			t.Helper()
			row := read(t, d, func(ctx context.Context, tx *db.Tx) (session.Transfer, error) {
				return session.GetTransfer(ctx, tx, transfer.ID)
			})
			got, ok := row.Ahead()
			equal(t, "ahead", got, want)
			equal(t, "known", ok, known)
		}
		have(one, first, true)
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return session.SetAhead(ctx, tx, one, fixed) })
		err := d.Write(t.Context(), func(tx *db.Tx) error { return session.SetAhead(t.Context(), tx, one, first) })
		if !errors.Is(err, session.ErrExists) {
			t.Errorf("fixed twice: %v", err)
		}
		have(one, fixed, true)
		have(two, first, true)
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return session.CloseTransfer(ctx, tx, one.ID, noon) })
		have(one, session.Ahead{}, false)
		have(two, first, true)
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return session.CloseTransfer(ctx, tx, two.ID, noon) })
		sync := read(t, d, func(ctx context.Context, tx *db.Tx) (session.Sync, error) { return session.GetSync(ctx, tx, s.ID) })
		equal(t, "what is left", sync.ExtraFields, `{"theirs":[1]}`)
	})
}
