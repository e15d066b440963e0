package engine

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
)

// Sent notes that a stream went out: so many records and bytes more of a transfer session.
// It is information: the receiver knows better how many came.
func (e *Engine) Sent(ctx context.Context, id string, records, bytes int64) error {
	err := e.env.DB.Write(ctx, func(tx *db.Tx) error {
		t, err := session.ActiveTransfer(ctx, tx, id)
		if err != nil {
			return err
		}
		before := t
		t.RecordsTransferred, t.BytesSent = min(t.RecordsTransferred+records, counter.Greatest), t.BytesSent+bytes
		return session.Write(ctx, tx, before, &t, e.env.Now())
	})
	if err != nil {
		return fmt.Errorf("note what was sent of transfer session %s: %w", id, err)
	}
	return nil
}

// Pulled reads the streams that the client of a sync session has pulled, or begun to, and that are open.
func Pulled(ctx context.Context, tx *db.Tx, syncID string) (pulled []session.Transfer, err error) {
	open, err := session.ActiveOfSync(ctx, tx, syncID, false)
	for _, t := range open {
		if _, streams := t.Cursor(); streams && t.Within.IsServer && stage.Reached(t, stage.Queuing) {
			pulled = append(pulled, t)
		}
	}
	return pulled, err
}

// Settle ends streams that the client has pulled: it has come to something else, so it has all that it
// wants. They are as Pulled has read them.
func (e *Engine) Settle(ctx context.Context, pulled []session.Transfer) error {
	for _, t := range pulled {
		if _, err := e.Run(ctx, t, stage.Cleanup, Terms{V2: true, Async: true, Stream: true, Settled: true}); err != nil {
			return fmt.Errorf("end transfer session %s: %w", t.ID, err)
		}
	}
	return nil
}
