package lacking

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/store"
)

// walk is the reading of a store by a plan.
type walk struct {
	order
	job         Job
	rows, bytes int // of a page
	wide        int // how many rows are likely to make the next page; 0 is as many as it may have
	at          place
	plan        // what is left of it
}

const columns = `s.id, s.profile, s.model_name, s.partition, s.source_id, s.serialized, s.conflicting_serialized_data,
	s._self_ref_fk, s.deleted, s.hard_deleted, s.last_saved_instance, s.last_saved_counter`

// A page of a model, or of the whole store, and one of a list. Joining "" to the columns keeps
// the engines from taking one of their indexes and sorting all they find.
const (
	pageOfAll = `SELECT ` + columns + ` FROM morango_store s
		WHERE s.profile || '' = $1 AND (FILTER) AND (ABOVE)(AFTER)(AMONG) ORDER BY (KEY) LIMIT (LIMIT)`
	pageOfList = `SELECT ` + columns + ` FROM morango_store s WHERE s.profile = $2 AND (IDS) ORDER BY (KEY)`
)

// next reads the next page. It can have no records.
func (w *walk) next(ctx context.Context, tx *db.Tx) ([]record.Record, error) {
	if len(w.all) > 0 && (len(w.list) == 0 || w.list[0].row > w.all[0]) {
		return w.nextOfAll(ctx, tx)
	}
	n := min(w.rows, len(w.list))
	for len(w.all) > 0 && w.list[n-1].row > w.all[0] {
		n--
	}
	return w.nextOfList(ctx, tx, n)
}

// pageQuery is a page of the first model of which all is read.
func (w *walk) pageQuery(tx *db.Tx) (string, []any) {
	query, args := w.job.fill(tx, pageOfAll, "s.partition || ''")
	after, key, from := "", "s.rowid", []any{w.at.row}
	if !w.byRow {
		after, args = w.ofModel(args)
		if key, from = "s.id", []any{w.at.id}; w.groups(w.all[0]) {
			key, from = store.Group+", s.id", []any{w.at.group, w.at.id}
		}
	}
	if w.at.id != "" && (w.byRow || w.at.row == w.all[0]) {
		var places []string
		for _, at := range from {
			args = append(args, at)
			places = append(places, fmt.Sprintf("$%d", len(args)))
		}
		after += fmt.Sprintf(" AND (%s) > (%s)", key, strings.Join(places, ", "))
	}
	among := ""
	if w.keyed() {
		among, args = w.amongKeys(tx, args)
	}
	return strings.NewReplacer("(AFTER)", after, "(AMONG)", among, "(KEY)", key, "(LIMIT)", fmt.Sprint(w.limit())).Replace(query), args
}

// limit is how many rows a page's query asks for. PostgreSQL sends them all, also those that
// the page has no room for. It is one of few numbers: each makes a statement.
func (w *walk) limit() int {
	const step = 64
	if w.wide == 0 {
		return w.rows
	}
	return min((w.wide+step-1)/step*step, w.rows)
}

// ofModel is a condition that a record is of the first model of which all is read, or of none
// that the profile has.
func (w *walk) ofModel(args []any) (string, []any) {
	if rank := w.all[0]; rank < int64(len(w.models)) {
		return fmt.Sprintf(" AND s.model_name = $%d", len(args)+1), append(args, w.models[rank])
	}
	var b strings.Builder
	for _, name := range w.models {
		args = append(args, name)
		fmt.Fprintf(&b, " AND s.model_name || '' <> $%d", len(args))
	}
	return b.String(), args
}

// nextOfAll reads a page of the first model of which all is read.
func (w *walk) nextOfAll(ctx context.Context, tx *db.Tx) ([]record.Record, error) {
	var err error
	if w.at, err = w.confirm(ctx, tx, w.at); err != nil {
		return nil, err
	}
	if more, err := w.ready(ctx, tx); err != nil || !more {
		return nil, err
	}
	query, args := w.pageQuery(tx)
	records, full, err := scan(ctx, tx, w.bytes, query, args...)
	if err != nil {
		return nil, err
	}
	read := len(records)
	over := !full && read < w.limit()
	if w.wide = 2 * w.limit(); full {
		w.wide = len(records) + len(records)/8
	}
	var last record.Record
	if len(records) > 0 {
		last = records[len(records)-1]
	}
	if records, err = complete(ctx, tx, w.job, records); err != nil {
		return nil, err
	}
	if n := fitting(records); n < len(records) {
		records, last, over = records[:n], records[n-1], false
	}
	if last.ID != "" {
		w.at, err = w.after(ctx, tx, w.at.epoch, last.ID, last.Model)
	}
	if w.keyed() {
		w.passed(read, over)
	} else if over {
		w.all = w.all[1:]
	}
	return records, err
}

// ready prepares the transaction for a page of the first model of which all is read. Without more that is over.
func (w *walk) ready(ctx context.Context, tx *db.Tx) (more bool, err error) {
	if !w.keyed() {
		return true, tx.WalkIndex(ctx)
	}
	if err := tx.LookUp(ctx); err != nil {
		return false, err
	}
	if err := w.findKeys(ctx, tx); err != nil {
		return false, err
	}
	if len(w.keys.list) == 0 {
		w.all = w.all[1:]
	}
	return len(w.keys.list) > 0, nil
}

// nextOfList reads a page of the next n of the list, or of some of these.
func (w *walk) nextOfList(ctx context.Context, tx *db.Tx, n int) ([]record.Record, error) {
	if n == 0 {
		return nil, nil
	}
	ids, position := make([]string, n), make(map[string]int, n)
	for i, one := range w.list[:n] {
		ids[i], position[one.id] = one.id, i
	}
	query, args := w.listQuery(tx, ids)
	records, full, err := scan(ctx, tx, w.bytes, query, args...)
	if err != nil {
		return nil, err
	}
	// Rows can have moved since they were listed: what counts is the order of the list.
	slices.SortFunc(records, func(a, b record.Record) int { return cmp.Compare(position[a.ID], position[b.ID]) })
	if full {
		read := 0
		for read < len(records) && position[records[read].ID] == read {
			read++
		}
		if read == 0 {
			return w.nextOfList(ctx, tx, 1)
		}
		records, n = records[:read], read
	}
	if records, err = complete(ctx, tx, w.job, records); err != nil {
		return nil, err
	}
	if fits := fitting(records); fits < len(records) {
		n = position[records[fits-1].ID] + 1
		records = records[:fits]
	}
	// The place is that of the record when the list was made. One that is gone by now has none.
	at, err := w.after(ctx, tx, w.at.epoch, w.list[n-1].id, "")
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	w.at = place{epoch: w.at.epoch, row: w.list[n-1].row, group: w.list[n-1].group, id: w.list[n-1].id, state: w.at.state, saved: at.saved}
	w.list = w.list[n:]
	return records, nil
}

// listQuery reads some records in their order.
func (w *walk) listQuery(tx *db.Tx, ids []string) (string, []any) {
	args, key := []any{db.JSONList(ids), w.job.Profile.Name}, "s.rowid"
	if !w.byRow {
		rank, more := w.rankOf(args)
		if key, args = rank, more; w.grouped {
			key += fmt.Sprintf(", CASE WHEN %s < %d THEN %s ELSE 0 END", rank, len(w.models), store.Group)
		}
		key += ", s.id"
	}
	return strings.NewReplacer("(IDS)", tx.AmongIDs("s.id", 1), "(KEY)", key).Replace(pageOfList), args
}

// pageHistory bounds the entries of the histories of a page's records: fewer than a frame can
// have.
const pageHistory = 100_000

// fitting returns how many of the records have histories that fit into a page: at least one.
func fitting(records []record.Record) int {
	room := pageHistory
	for i, r := range records {
		if room -= len(r.History); room < 0 {
			return max(i, 1)
		}
	}
	return len(records)
}
