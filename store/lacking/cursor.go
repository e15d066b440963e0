package lacking

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/store"
)

// order is that in which the records of a store travel: one in which what a record refers to
// comes before it, nearly always, and in which they are found next to each other. On SQLite it is
// that of the rows, which is that in which records came, or were serialized: an update leaves a row
// where it is, and what replaces one comes last. On PostgreSQL it is that of the models in the
// profile, of groups in each, and of ids in these. A group is the partitions with one hash; where
// no index has that order all are one. A record's model and partition do not change: its id tells them.
type order struct {
	byRow   bool
	models  []string // in the order of the profile
	grouped bool     // see look
}

// groupIndex finds the records of a model in the order of groups and ids, on PostgreSQL in the lean
// layout only.
const groupIndex = "morango_store_group"

// look is the order with what the database says of it.
func (o order) look(ctx context.Context, tx *db.Tx) (order, error) {
	var err error
	if !o.byRow {
		o.grouped, err = tx.HasIndex(ctx, groupIndex)
	}
	return o, err
}

// groups says whether a model's records are read by groups. Models that the profile does not have
// are one, and there is no index of these.
func (o order) groups(rank int64) bool { return o.grouped && rank < int64(len(o.models)) }

func orderOf(d *db.DB, p *model.Profile) order {
	if d.Kind() == db.SQLite {
		return order{byRow: true}
	}
	o := order{}
	for _, m := range p.Models {
		o.models = append(o.models, m.Name)
	}
	return o
}

// rank is a model's place in the order. Those that the profile does not have are the last, together.
func (o order) rank(model string) int64 {
	for i, name := range o.models {
		if name == model {
			return int64(i)
		}
	}
	return int64(len(o.models))
}

// rankOf is rank in SQL, for the model of a row s, and the query's parameters with those that it
// takes.
func (o order) rankOf(args []any) (string, []any) {
	var b strings.Builder
	b.WriteString("CASE s.model_name")
	for i, name := range o.models {
		args = append(args, name)
		fmt.Fprintf(&b, " WHEN $%d THEN %d", len(args), i)
	}
	fmt.Fprintf(&b, " ELSE %d END", len(o.models))
	return b.String(), args
}

// place is where the reading of the store stands: after a record, which is in a row with this
// number, or of a model with this rank. Without an id it is the beginning. VACUUM can give
// rows other numbers, and a new version of the program other ranks: then reading begins
// again, in another epoch. What was read before does no harm when it comes again.
type place struct {
	epoch int
	row   int64
	group int64
	id    string
	state uint32 // of the order: see order.state
	saved uint32 // sum of the version that the row had; 0 is not known
}

// state is another number when rows can have other numbers or models other ranks: SQLite's
// schema version, which VACUUM raises, and a sum of the models and of whether there are groups.
func (o order) state(ctx context.Context, tx *db.Tx) (state uint32, err error) {
	if !o.byRow {
		parts := strings.Join(o.models, "\n")
		if o.grouped {
			parts += "\n\ngroups" // no model has an empty name
		}
		return crc32.ChecksumIEEE([]byte(parts)), nil
	}
	if err := tx.QueryRow(ctx, `PRAGMA schema_version`).Scan(&state); err != nil {
		return 0, fmt.Errorf("look whether rows have other numbers: %w", err)
	}
	return state, nil
}

// The last epoch that a cursor can name.
const lastEpoch = math.MaxUint16

// cursor is a place as text: greater than those of all places before it.
func (o order) cursor(p place) string {
	if o.byRow { // numbers that are negative, as programs can give them, come before others
		return fmt.Sprintf("b%04x-%016x-%s-%08x%08x", p.epoch, uint64(p.row)^1<<63, p.id, p.state, p.saved)
	}
	return fmt.Sprintf("b%04x-%04x%016x-%s-%08x%08x", p.epoch, p.row, uint64(p.group)^1<<63, p.id, p.state, p.saved)
}

// noGroup is group 0 in a cursor.
const noGroup = "8000000000000000"

// place reads a cursor, which a peer may have made up. ErrCursor when it is none of this order.
func (o order) place(cursor string) (p place, err error) {
	if cursor == "" {
		return p, nil
	}
	parts := strings.Split(cursor, "-")
	wrong := fmt.Errorf("%.60q: %w", cursor, ErrCursor)
	if len(parts) != 4 || !strings.HasPrefix(parts[0], "b") || !ident.Valid(parts[2]) {
		return p, wrong
	}
	epoch, err := strconv.ParseUint(parts[0][1:], 16, 16)
	at, group := parts[1], uint64(1<<63)
	var groupErr error
	if n := len(at) - 16; !o.byRow && n > 0 {
		group, groupErr = strconv.ParseUint(at[n:], 16, 64)
		at = at[:n]
	}
	row, rowErr := strconv.ParseUint(at, 16, 64)
	state, stateErr := strconv.ParseUint(parts[3], 16, 64)
	if errors.Join(err, rowErr, groupErr, stateErr) != nil || !o.byRow && row > math.MaxUint16 {
		return p, wrong
	}
	p = place{int(epoch), int64(row), int64(group ^ 1<<63), parts[2], uint32(state >> 32), uint32(state)}
	if o.byRow {
		p.row = int64(row ^ 1<<63)
	}
	// Earlier versions had no groups in cursors. Where there are some now the state is another; where
	// there are none the order is the same, and those with groups are greater.
	earlier := strings.Join([]string{parts[0], parts[1] + noGroup, parts[2], parts[3]}, "-")
	if now := o.cursor(p); now != cursor && (o.byRow || now != earlier) {
		return place{}, wrong
	}
	return p, nil
}

// The statements that find a record's row, a row's record, and a record's group.
const (
	groupOf = `SELECT ` + store.Group + ` FROM morango_store s WHERE s.id = $1`
	rowOf   = `SELECT rowid, last_saved_instance, last_saved_counter FROM morango_store WHERE id = $1`
	atRow   = `SELECT id, last_saved_instance, last_saved_counter FROM morango_store WHERE rowid = $1`
)

// again is the beginning of the next epoch.
func (p place) again() (place, error) {
	if p.epoch == lastEpoch {
		return p, fmt.Errorf("the records have changed their order %d times: %w", p.epoch, ErrCursor)
	}
	return place{epoch: p.epoch + 1}, nil
}

// confirm returns the place, or the beginning of the next epoch when the order can be another
// now. Where rows can have other numbers, a row that has its number and its version still has
// not moved, nor has then what was after it come before it: only what is replaced moves among others.
func (o order) confirm(ctx context.Context, tx *db.Tx, p place) (place, error) {
	if p.id == "" {
		return p, nil
	}
	state, err := o.state(ctx, tx)
	if err != nil {
		return p, err
	}
	if !o.byRow {
		if state != p.state {
			return p.again()
		}
		return p, nil
	}
	var id, instance db.ID
	var n int64
	err = tx.QueryRow(ctx, atRow, p.row).Scan(&id, &instance, &n)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return p, fmt.Errorf("look where the reading stands: %w", err)
	}
	if string(id) != p.id || state != p.state && savedAs(instance, n) != p.saved {
		return p.again()
	}
	p.state = state
	return p, nil
}

// regroup returns the place, or the beginning of the next epoch when its record is not in its group
// any more, as in a database that was moved to a machine on which hashes come out otherwise.
func (o order) regroup(ctx context.Context, tx *db.Tx, p place) (place, error) {
	if p.id == "" || !o.groups(p.row) {
		return p, nil
	}
	var now int64
	err := tx.QueryRow(ctx, groupOf, p.id).Scan(&now)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return p, fmt.Errorf("look where the reading stands: %w", err)
	}
	if err != nil || now != p.group {
		return p.again()
	}
	return p, nil
}

// savedAs is the sum of a version: not 0.
func savedAs(instance db.ID, n int64) uint32 {
	return max(1, crc32.ChecksumIEEE(fmt.Appendf(nil, "%s %d", instance, n)))
}

// after is the place after a record, as the transaction sees it.
func (o order) after(ctx context.Context, tx *db.Tx, epoch int, id, model string) (p place, err error) {
	p = place{epoch: epoch, id: id, row: o.rank(model)}
	if p.state, err = o.state(ctx, tx); err != nil {
		return p, err
	}
	if !o.byRow {
		if o.groups(p.row) {
			err = tx.QueryRow(ctx, groupOf, id).Scan(&p.group)
		}
		return p, err
	}
	var instance db.ID
	var n int64
	if err := tx.QueryRow(ctx, rowOf, id).Scan(&p.row, &instance, &n); err != nil {
		return p, fmt.Errorf("look for the row of record %s: %w", id, err)
	}
	p.saved = savedAs(instance, n)
	return p, nil
}
