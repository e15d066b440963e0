package session

// How far a sender's buffer has been filled is kept in the sync session's extra_fields, by transfer
// session, like the cursors of streams.
const queuedKey = "morango_queued"

// Queued is how far the buffer of a transfer session has been filled, in the order of ids. The zero value
// is the beginning.
type Queued struct {
	After   string `json:"after"`        // up to which id
	All     bool   `json:"all,omitzero"` // to the end
	Records int64  `json:"records"`      // how many the buffer has
}

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
