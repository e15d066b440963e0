package session

import (
	"context"
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

// Ahead returns how the transfer session runs ahead, and whether it does.
func (t Transfer) Ahead() (a Ahead, ok bool) {
	all, _ := byTransfer[Ahead](t.Within.ExtraFields, aheadKey)
	a, ok = all[t.ID]
	return a, ok
}

// SetAhead notes how a transfer session runs ahead. Once that is fixed it stays as it is.
func SetAhead(ctx context.Context, tx *db.Tx, t Transfer, a Ahead) error {
	return changeExtra(ctx, tx, t, func(t *Transfer) error {
		return changeByTransfer(t, aheadKey, func(all map[string]Ahead) (bool, error) {
			if all[t.ID].Fixed {
				return false, fmt.Errorf("how far transfer session %s runs ahead: %w", t.ID, ErrExists)
			}
			all[t.ID] = a
			return true, nil
		})
	})
}
