package verify

import (
	"context"
	"errors"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/session"
)

const withoutSync = `SELECT t.id FROM morango_transfersession t
	WHERE NOT EXISTS (SELECT 1 FROM morango_syncsession s WHERE s.id = t.sync_session_id)`

// sessions looks for what sessions have left behind.
func (c *check) sessions(ctx context.Context) error {
	err := c.each(ctx, "transfer sessions", withoutSync, nil, func(row scanner) error {
		var id db.ID
		err := row.Scan(&id)
		c.find(TransferOrphan, string(id), "", "its sync session is gone")
		return err
	})
	if err != nil {
		return err
	}
	for after := ""; ; {
		next, err := buffer.Next(ctx, c.tx, after)
		if err != nil || next == "" {
			return err
		}
		after = next
		_, err = session.ActiveTransfer(ctx, c.tx, next)
		if errors.Is(err, session.ErrNotFound) {
			n, err := buffer.Count(ctx, c.tx, next)
			if err != nil {
				return err
			}
			c.find(BufferOrphan, next, "", "this transfer session is not open, and %d of its records are still buffered", n)
		} else if err != nil {
			return err
		}
	}
}
