package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/session"
)

// Limit keeps at most so many sync sessions, of so many bytes together, of the clients
// with these certificates (of all clients when there are none given). What is beyond
// goes, with transfer sessions and buffers: first sessions that are closed, the oldest
// first, then open ones, the idlest first.
func (e *Engine) Limit(ctx context.Context, certificates []string, sessions int, bytes int64) error {
	var list []session.Used
	err := e.env.DB.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = session.Usage(ctx, tx, certificates)
		return err
	})
	if err != nil {
		return err
	}
	kept := 0
	for ; kept < len(list) && kept < sessions && list[kept].Bytes <= bytes; kept++ {
		bytes -= list[kept].Bytes
	}
	for part := range slices.Chunk(list[kept:], sweepBatch) {
		if err := e.drop(ctx, part); err != nil {
			return fmt.Errorf("drop sync sessions beyond the limit: %w", err)
		}
	}
	return nil
}

// drop deletes sync sessions, open or closed. Buffers of any size go first, in parts, and in the end
// what clients have begun meanwhile.
func (e *Engine) drop(ctx context.Context, list []session.Used) error {
	err := e.env.DB.Write(ctx, func(tx *db.Tx) error { return e.closeAll(ctx, tx, list, session.CloseTransfer) })
	if err == nil {
		_, err = e.dropOrphans(ctx)
	}
	if err != nil {
		return err
	}
	return e.env.DB.Write(ctx, func(tx *db.Tx) error {
		ids := make([]string, len(list))
		for i, one := range list {
			ids[i] = one.ID
		}
		if err := e.closeAll(ctx, tx, list, abandon); err != nil {
			return err
		}
		return session.DeleteSyncs(ctx, tx, ids)
	})
}

// closeAll ends the open transfer sessions of sync sessions.
func (e *Engine) closeAll(ctx context.Context, tx *db.Tx, list []session.Used,
	end func(ctx context.Context, tx *db.Tx, id string, now time.Time) error,
) (err error) {
	for _, one := range list {
		for _, push := range []bool{false, true} {
			open, openErr := session.ActiveOfSync(ctx, tx, one.ID, push)
			err = errors.Join(err, openErr)
			for _, t := range open {
				err = errors.Join(err, end(ctx, tx, t.ID, e.env.Now()))
			}
		}
	}
	return err
}
