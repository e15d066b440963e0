package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/morango-go/morango/db"
)

// That the stream of a push began before all was serialized is kept in the sync session's
// extra_fields, by transfer session, like the cursors.
const aheadKey = "morango_ahead"

// Ahead is a push whose stream begins while its changes are still being serialized. What
// Instance, this database's own, saves after the counter From goes out in the order of its
// counters, as it is saved, up to To; what else the receiver lacks follows.
type Ahead struct {
	Instance string `json:"instance"`
	From     int64  `json:"from"`
	// Fixed says that all is serialized and To is known. The claim that goes with the transfer
	// stands in the transfer session then, and not before.
	Fixed bool  `json:"fixed,omitzero"`
	To    int64 `json:"to,omitzero"`
}

// aheads reads how a sync session's transfers run ahead, and all of its fields.
func (s Sync) aheads() (all map[string]Ahead, fields map[string]json.RawMessage) {
	fields = s.extra()
	if json.Unmarshal(fields[aheadKey], &all) != nil || all == nil {
		all = map[string]Ahead{}
	}
	return all, fields
}

// Ahead returns how a transfer session runs ahead, and whether it does.
func (s Sync) Ahead(transferID string) (a Ahead, ok bool) {
	all, _ := s.aheads()
	a, ok = all[transferID]
	return a, ok
}

// SetAhead notes how a transfer session runs ahead. Once that is fixed it stays as it is.
func SetAhead(ctx context.Context, tx *db.Tx, t Transfer, a Ahead) error {
	s, err := GetSync(ctx, tx, t.SyncSessionID)
	if err != nil {
		return err
	}
	all, fields := s.aheads()
	if all[t.ID].Fixed {
		return fmt.Errorf("how far transfer session %s runs ahead: %w", t.ID, ErrExists)
	}
	all[t.ID] = a
	return setAheads(ctx, tx, s, all, fields)
}

// dropAhead forgets that of a transfer session that has ended.
func dropAhead(ctx context.Context, tx *db.Tx, t Transfer) error {
	s, err := GetSync(ctx, tx, t.SyncSessionID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	all, fields := s.aheads()
	if _, known := all[t.ID]; !known {
		return nil
	}
	delete(all, t.ID)
	return setAheads(ctx, tx, s, all, fields)
}

func setAheads(ctx context.Context, tx *db.Tx, s Sync, all map[string]Ahead, fields map[string]json.RawMessage) (err error) {
	if fields[aheadKey], err = json.Marshal(all); err != nil {
		return fmt.Errorf("note what runs ahead in sync session %s: %w", s.ID, err)
	}
	if len(all) == 0 {
		delete(fields, aheadKey)
	}
	return s.setExtra(ctx, tx, fields)
}
