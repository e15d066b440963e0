package stream

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
	"github.com/morango-go/morango/stage"
)

// order is that in which the records of a store travel: one in which what a record refers to
// comes before it, nearly always, and in which they are found next to each other. On SQLite it is
// that of the rows, which is that in which records came, or were serialized: an update leaves a row
// where it is, and what replaces one comes last. On PostgreSQL it is that of the models in the
// profile, and of ids in each; a record's model does not change.
type order struct {
	byRow  bool
	models []string // in the order of the profile
	sum    uint32   // of the models: another profile can have another order
}

func orderOf(env stage.Env) order {
	if env.DB.Kind() == db.SQLite {
		return order{byRow: true}
	}
	o := order{}
	for _, m := range env.Profile.Models {
		o.models = append(o.models, m.Name)
	}
	o.sum = crc32.ChecksumIEEE([]byte(strings.Join(o.models, "\n")))
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

// place is where the reading of the store stands: after a record, which is in a row with this
// number, or of a model with this rank. Without an id it is the beginning. VACUUM can give
// rows other numbers, and a new version of the program other ranks: then reading begins
// again, in another epoch. What was read before does no harm when it comes again.
type place struct {
	epoch int
	row   int64
	id    string
}

// The last epoch that a cursor can name.
const lastEpoch = math.MaxUint16

// cursor is a place as text: greater than those of all places before it.
func (o order) cursor(p place) string {
	if o.byRow { // numbers that are negative, as programs can give them, come before others
		return fmt.Sprintf("b%04x-%016x-%s", p.epoch, uint64(p.row)^1<<63, p.id)
	}
	return fmt.Sprintf("b%04x-%04x-%s-%08x", p.epoch, p.row, p.id, o.sum)
}

// place reads a cursor, which a peer may have made up. ErrCursor when it is none of this order.
func (o order) place(cursor string) (p place, err error) {
	if cursor == "" {
		return p, nil
	}
	parts := strings.Split(cursor, "-")
	n, width := 3, 64
	if !o.byRow {
		n, width = 4, 16
	}
	wrong := fmt.Errorf("%.60q: %w", cursor, ErrCursor)
	if len(parts) != n || !strings.HasPrefix(parts[0], "b") || !ident.Valid(parts[2]) {
		return p, wrong
	}
	epoch, err := strconv.ParseUint(parts[0][1:], 16, 16)
	row, rowErr := strconv.ParseUint(parts[1], 16, width)
	if err != nil || rowErr != nil {
		return p, wrong
	}
	p = place{int(epoch), int64(row), parts[2]}
	made := o // by which it was made
	if o.byRow {
		p.row = int64(row ^ 1<<63)
	} else if sum, err := strconv.ParseUint(parts[3], 16, 32); err == nil {
		made.sum = uint32(sum)
	}
	switch {
	case made.cursor(p) != cursor:
		return place{}, wrong
	case made.sum != o.sum:
		return p.again()
	}
	return p, nil
}

// The statements that find a record's row, and a row's record.
const (
	rowOf = `SELECT rowid FROM morango_store WHERE id = $1`
	atRow = `SELECT id FROM morango_store WHERE rowid = $1`
)

// again is the beginning of the next epoch.
func (p place) again() (place, error) {
	if p.epoch == lastEpoch {
		return p, fmt.Errorf("the records have changed their order %d times: %w", p.epoch, ErrCursor)
	}
	return place{epoch: p.epoch + 1}, nil
}

// confirm returns the place, or the beginning of the next epoch when its row is another
// record's now.
func (o order) confirm(ctx context.Context, tx *db.Tx, p place) (place, error) {
	if !o.byRow || p.id == "" {
		return p, nil
	}
	var id db.ID
	if err := tx.QueryRow(ctx, atRow, p.row).Scan(&id); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return p, fmt.Errorf("look where the reading stands: %w", err)
	}
	if string(id) == p.id {
		return p, nil
	}
	return p.again()
}

// after is the place after a record, as the transaction sees it.
func (o order) after(ctx context.Context, tx *db.Tx, epoch int, id, model string) (place, error) {
	p := place{epoch: epoch, id: id, row: o.rank(model)}
	if o.byRow {
		if err := tx.QueryRow(ctx, rowOf, id).Scan(&p.row); err != nil {
			return p, fmt.Errorf("look for the row of record %s: %w", id, err)
		}
	}
	return p, nil
}
