package session

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
)

// Pick says which sessions a cleanup looks at. The zero value is all of them.
type Pick struct {
	SyncIDs        []string // of these sync sessions; empty: of all
	ClientInstance string   // "" is any
	ServerInstance string
	FilterPrefix   string   // transfer sessions whose filter begins with it
	Push, Pull     bool     // only this direction; both, as neither, mean both
	Except         []string // not these transfer sessions
}

// where collects conditions with their parameters.
type where struct {
	conds []string
	args  []any
}

// add adds a condition, in which ? stands for the parameter.
func (w *where) add(cond string, arg any) {
	w.args = append(w.args, arg)
	w.conds = append(w.conds, strings.ReplaceAll(cond, "?", fmt.Sprintf("$%d", len(w.args))))
}

func (w *where) String() string { return strings.Join(w.conds, " AND ") }

// syncs adds the conditions on the sync session s.
func (p Pick) syncs(tx *db.Tx, w *where) {
	if len(p.SyncIDs) > 0 {
		w.add("s.id IN "+tx.IDs(len(w.args)+1), db.JSONList(p.SyncIDs))
	}
	if p.ClientInstance != "" {
		w.add("s.client_instance_id = ?", p.ClientInstance)
	}
	if p.ServerInstance != "" {
		w.add("s.server_instance_id = ?", p.ServerInstance)
	}
}

// IdleTransfers lists active transfer sessions without activity since before, for
// cleanup, the idlest first: at most limit.
func IdleTransfers(ctx context.Context, tx *db.Tx, p Pick, before time.Time, limit int) ([]string, error) {
	w := where{conds: []string{"t.active"}}
	w.add("t.last_activity_timestamp < ?", tx.Time(before))
	if len(p.Except) > 0 {
		w.add("t.id NOT IN "+tx.IDs(len(w.args)+1), db.JSONList(p.Except))
	}
	if p.Push != p.Pull {
		w.add("t.push = ?", p.Push)
	}
	if p.FilterPrefix != "" {
		cond, args := tx.PrefixCond("t.filter", partition.Of(p.FilterPrefix), len(w.args)+1)
		w.conds, w.args = append(w.conds, cond), append(w.args, args...)
	}
	s := where{conds: []string{"s.id = t.sync_session_id"}, args: w.args}
	p.syncs(tx, &s)
	if len(s.conds) > 1 {
		w.conds, w.args = append(w.conds, "EXISTS (SELECT 1 FROM morango_syncsession s WHERE "+s.String()+")"), s.args
	}
	rows, err := tx.Query(ctx, fmt.Sprintf(`SELECT t.id FROM morango_transfersession t WHERE %s
		ORDER BY t.last_activity_timestamp, t.id LIMIT %d`, w.String(), limit), w.args...)
	return all(rows, err, "idle transfer sessions", scanID)
}

// IdleSyncs lists active sync sessions without activity since before and without
// an active transfer session, for cleanup: at most limit.
func IdleSyncs(ctx context.Context, tx *db.Tx, p Pick, before time.Time, limit int) ([]string, error) {
	w := where{conds: []string{"s.active",
		"NOT EXISTS (SELECT 1 FROM morango_transfersession t WHERE t.sync_session_id = s.id AND t.active)"}}
	w.add("s.last_activity_timestamp < ?", tx.Time(before))
	p.syncs(tx, &w)
	rows, err := tx.Query(ctx, fmt.Sprintf(`SELECT s.id FROM morango_syncsession s WHERE %s
		ORDER BY s.last_activity_timestamp, s.id LIMIT %d`, w.String(), limit), w.args...)
	return all(rows, err, "idle sync sessions", scanID)
}

const finishedSyncs = `SELECT id FROM morango_syncsession s
	WHERE NOT active AND profile <> '' AND last_activity_timestamp < $1 AND NOT EXISTS (
		SELECT 1 FROM morango_transfersession t WHERE t.sync_session_id = s.id AND t.active)
	ORDER BY last_activity_timestamp, id LIMIT $2`

// Compact deletes up to limit sync sessions that ended before a moment, with their
// transfer sessions, and returns how many it deleted. Their buffers must be gone.
func Compact(ctx context.Context, tx *db.Tx, before time.Time, limit int) (int, error) {
	rows, err := tx.Query(ctx, finishedSyncs, tx.Time(before), limit)
	ids, err := all(rows, err, "finished sync sessions", scanID)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return len(ids), DeleteSyncs(ctx, tx, ids)
}

// DeleteSyncs deletes sync sessions with their transfer sessions, whose buffers must be
// gone.
func DeleteSyncs(ctx context.Context, tx *db.Tx, ids []string) error {
	for _, query := range []string{
		`DELETE FROM morango_transfersession WHERE sync_session_id IN ` + tx.IDs(1),
		`DELETE FROM morango_syncsession WHERE id IN ` + tx.IDs(1),
	} {
		if _, err := tx.Exec(ctx, query, db.JSONList(ids)); err != nil {
			return fmt.Errorf("delete %d sync sessions: %w", len(ids), err)
		}
	}
	return nil
}

// Touch notes activity on a transfer session, if it is active, and on its sync session.
func Touch(ctx context.Context, tx *db.Tx, id string, now time.Time) error {
	n, err := tx.Exec(ctx, `UPDATE morango_transfersession SET last_activity_timestamp = $2 WHERE id = $1 AND active`, id, tx.Time(now))
	if err != nil {
		return fmt.Errorf("note activity of transfer session %s: %w", id, err)
	}
	if n == 0 {
		return nil
	}
	return touchSyncOfTransfer(ctx, tx, id, now)
}
