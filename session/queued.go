package session

import "github.com/morango-go/morango/ident"

// How far a sender's buffer has been filled is kept in the sync session's extra_fields, by transfer
// session, like the cursors of streams.
const queuedKey = "morango_queued"

// Queued is how far the buffer of a transfer session has been filled, in the order of ids. The zero value
// is the beginning.
type Queued struct {
	After   string `json:"after"`   // up to which id
	Records int64  `json:"records"` // how many the buffer has
}

// All says whether the buffer has been filled to the end.
func (q Queued) All() bool { return q.After == ident.Highest }

// Queued returns how far the buffer has been filled.
func (t Transfer) Queued() Queued {
	all, _ := byTransfer[Queued](t.Within.ExtraFields, queuedKey)
	return all[t.ID]
}

// SetQueued notes how far the buffer has been filled. Write stores it, in the transaction that fills it.
func (t *Transfer) SetQueued(q Queued) error {
	return changeByTransfer(t, queuedKey, func(all map[string]Queued) (bool, error) {
		before := all[t.ID]
		all[t.ID] = q
		return before != q, nil
	})
}
