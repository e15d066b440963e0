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
		return session.SetProgress(ctx, tx, id, session.Progress{
			RecordsTransferred: min(t.RecordsTransferred+records, counter.Greatest),
			BytesSent:          t.BytesSent + bytes, BytesReceived: t.BytesReceived,
		}, e.env.Now())
	})
	if err != nil {
		return fmt.Errorf("note what was sent of transfer session %s: %w", id, err)
	}
	return nil
}

// Settle ends the streams that the client of a sync session has pulled: it closes the sync
// session, so it has all that it wants.
func (e *Engine) Settle(ctx context.Context, syncID string) error {
	var open []session.Transfer
	var sync session.Sync
	err := e.env.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if sync, err = session.GetSync(ctx, tx, syncID); err == nil {
			open, err = session.ActiveOfSync(ctx, tx, syncID, false)
		}
		return err
	})
	for _, t := range open {
		_, streams := sync.Cursor(t.ID)
		if err != nil || !streams || !sync.IsServer || !stage.Reached(t, stage.Queuing) {
			continue
		}
		_, err = e.Run(ctx, t.ID, stage.Cleanup, Terms{V2: true, Async: true, Stream: true, Settled: true})
	}
	if err != nil {
		return fmt.Errorf("end the transfers of sync session %s: %w", syncID, err)
	}
	return nil
}
