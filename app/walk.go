package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
)

// Walk goes through a model's dirty rows within a filter, page by page, and clears their
// dirty bits. The zero filter means all rows.
//
// On SQLite it goes in the order in which the table has its rows, that of their numbers:
// those that were written at one time lie together, and each page of the file is changed
// once. In the order of their ids, which are random, a few thousand rows lie on most pages
// of a large table, and clearing their bits writes all of it anew. On PostgreSQL, where rows
// have no numbers that last, it goes by a hash of the partition, and by ids in each: what belongs
// together is mostly under one partition, and refers to few other rows; and that is the order of
// streams. Tables without row numbers, or without that index, it goes through by ids.
type Walk struct {
	Model  *model.Model
	Dirty  bool // there were rows to go through when it was made, or rows without partition
	filter partition.Filter
	dirty  dirtyRows
	order  string // by which it goes: a column, or partitionKey and then ids
	room   *room  // shared by all walks
}

// Place is where in a walk a page ends. The zero value is the beginning. It is good for as
// long as nobody renumbers the rows, which VACUUM does, or moves them to another partition: then
// rows may be left for the next walk.
type Place struct {
	at any
	id string // of the row, where the walk goes by partitions; else ""
}

// rowNumber is SQLite's name for the number of a row.
const rowNumber = "_rowid_"

// Walks returns a walk for each model of the profile, in its order.
func Walks(ctx context.Context, tx *db.Tx, p *model.Profile, filter partition.Filter) ([]*Walk, error) {
	all, err := dirtyRowsOf(ctx, tx, p.Models)
	if err != nil {
		return nil, err
	}
	cond, args := tx.PrefixCond(db.Quote(model.ColumnPartition), filter, 1)
	cond = fmt.Sprintf("(%s OR %s = '')", cond, model.ColumnPartition)
	found := make([]bool, len(p.Models))
	into := make([]any, len(p.Models))
	exist := make([]string, len(p.Models))
	for i, m := range p.Models {
		into[i] = &found[i]
		exist[i] = all[i].exist(cond + discriminator(m, &args))
	}
	if err := tx.QueryRow(ctx, "SELECT "+strings.Join(exist, ",\n"), args...).Scan(into...); err != nil {
		return nil, fmt.Errorf("look for changed rows: %w", err)
	}
	walks, shared := make([]*Walk, len(p.Models)), &room{}
	for i, m := range p.Models {
		order := model.ColumnID
		if found[i] {
			if order, err = orderOf(ctx, tx, all[i]); err != nil {
				return nil, fmt.Errorf("look at the table %s: %w", m.Table, err)
			}
		}
		walks[i] = &Walk{Model: m, Dirty: found[i], filter: filter, dirty: all[i], order: order, room: shared}
	}
	return walks, nil
}

// dirtyRows says how the dirty rows of a table are found. SQLite is told by which index:
// it would trust what it counted when most rows were dirty.
type dirtyRows struct {
	kind         db.Kind
	table, index string // "" when there is no index, or on PostgreSQL none by partitions
}

// dirtyRowsOf is that for the tables of models.
func dirtyRowsOf(ctx context.Context, tx *db.Tx, models []*model.Model) ([]dirtyRows, error) {
	all := make([]dirtyRows, len(models))
	var names []string
	for i, m := range models {
		all[i] = dirtyRows{kind: tx.Kind(), table: m.Table}
		names = append(names, changedIndex(m.Table), dirtyIndex(m.Table))
	}
	if tx.Kind() != db.SQLite {
		for i, m := range models {
			found, err := tx.HasIndex(ctx, changedIndex(m.Table))
			if err != nil {
				return nil, err
			}
			if found {
				all[i].index = changedIndex(m.Table)
			}
		}
		return all, nil
	}
	found, err := texts(ctx, tx, `SELECT name FROM sqlite_master WHERE type = 'index' AND name IN `+tx.Texts(1), db.JSONList(names))
	if err != nil {
		return nil, fmt.Errorf("look for the indexes of changed rows: %w", err)
	}
	for i, m := range models {
		for _, name := range []string{changedIndex(m.Table), dirtyIndex(m.Table)} {
			if all[i].index == "" && slices.Contains(found, name) {
				all[i].index = name
			}
		}
	}
	return all, nil
}

// from is the table, as it stands in a statement.
func (d dirtyRows) from() string {
	if d.index == "" || d.kind != db.SQLite {
		return db.Quote(d.table)
	}
	return db.Quote(d.table) + " INDEXED BY " + db.Quote(d.index)
}

// bit is the condition that a row is dirty. SQLite finds it in an index by its value.
func (d dirtyRows) bit() string {
	if d.kind != db.SQLite {
		return db.Quote(model.ColumnDirty)
	}
	return fmt.Sprintf("%s AND %[1]s = 1", db.Quote(model.ColumnDirty))
}

// exist is the condition that there are dirty rows of a kind. PostgreSQL reads them in the
// order of the index: it too would trust what it counted.
func (d dirtyRows) exist(cond string) string {
	if d.kind != db.SQLite {
		return fmt.Sprintf("(SELECT id FROM %s WHERE %s AND %s ORDER BY %s LIMIT 1) IS NOT NULL", d.from(), d.bit(), cond, d.sorted())
	}
	return fmt.Sprintf("EXISTS (SELECT 1 FROM %s WHERE %s AND %s)", d.from(), d.bit(), cond)
}

// sorted is by what dirty rows are sorted where they are not read by SQLite's numbers.
func (d dirtyRows) sorted() string {
	if d.kind == db.SQLite || d.index == "" {
		return model.ColumnID
	}
	return byPartition
}

// The order of rows by partitions, on PostgreSQL. NULL counts as "", as in lacking: else such a
// row would come after no place.
const (
	partitionKey = `hashtextextended(coalesce(` + model.ColumnPartition + `, ''), 0)`
	byPartition  = partitionKey + ", " + model.ColumnID
)

// orderOf is by what a walk goes through a table. Where there is only the index
// of dirty ids that CreateTables used to make, it goes by ids.
func orderOf(ctx context.Context, tx *db.Tx, d dirtyRows) (string, error) {
	switch {
	case d.kind != db.SQLite:
		return map[bool]string{true: partitionKey, false: model.ColumnID}[d.index != ""], nil
	case d.index != "":
		return map[bool]string{true: rowNumber, false: model.ColumnID}[d.index == changedIndex(d.table)], nil
	}
	numbered, err := hasRowNumbers(ctx, tx, d.table)
	if err != nil || !numbered {
		return model.ColumnID, err
	}
	return rowNumber, nil
}

// hasRowNumbers reports whether SQLite numbers the rows of a table, and no column has
// taken that name.
func hasRowNumbers(ctx context.Context, tx *db.Tx, table string) (numbered bool, err error) {
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pragma_table_list($1) WHERE schema = 'main' AND NOT wr)
		AND NOT EXISTS (SELECT 1 FROM pragma_table_info($1) WHERE lower(name) = $2)`, table, rowNumber).Scan(&numbered)
	return numbered, err
}

// Page returns up to limit rows behind a place, and the place behind them. A row with a
// value that its column's type cannot hold comes with its Fault. The rows are good until
// a page is asked for again, of this walk or of one that was made with it.
func (w *Walk) Page(ctx context.Context, tx *db.Tx, after Place, limit int) ([]Row, Place, error) {
	cond, args := w.condition(tx, after, Place{})
	sorted := w.order
	if w.order == partitionKey {
		sorted = byPartition
	}
	query := fmt.Sprintf("SELECT %s, %s FROM %s WHERE %s ORDER BY %s LIMIT %d",
		w.order, columnsOfTable(w.Model), w.dirty.from(), cond, sorted, limit)
	rows, last, err := readRows(ctx, tx, w.Model, query, args, w.room)
	if err != nil {
		return nil, Place{}, err
	}
	if n := len(rows); n > 0 && w.order == model.ColumnID {
		last = rows[n-1].ID
		if before, _ := after.at.(string); rows[0].ID <= before {
			return nil, Place{}, fmt.Errorf("table %s: the id of row %q is no text; store ids as 32 lower-case hex digits", w.Model.Table, rows[0].ID)
		}
	}
	place := Place{at: last}
	if w.order == partitionKey && len(rows) > 0 {
		place.id = rows[len(rows)-1].ID
	}
	return rows, place, nil
}

// Clear clears the dirty bits of the rows of these ids, without the change being captured.
// They are of the pages between two places: all of these rows, or some. It leaves capture
// off; the commit turns it on.
func (w *Walk) Clear(ctx context.Context, tx *db.Tx, after, last Place, ids []string, all bool) error {
	if len(ids) == 0 {
		return nil
	}
	if err := tx.Capture(ctx, false); err != nil {
		return err
	}
	if all && tx.Kind() == db.SQLite {
		cond, args := w.condition(tx, after, last)
		return w.clear(ctx, tx, w.dirty.from(), cond, args...)
	}
	for some := range slices.Chunk(ids, clearedAtOnce) {
		if err := w.clear(ctx, tx, db.Quote(w.Model.Table), tx.AmongIDs(model.ColumnID, 1), db.JSONList(some)); err != nil {
			return err
		}
	}
	return nil
}

// clearedAtOnce is how many ids a statement is given: so that what travels and waits stays small.
const clearedAtOnce = 512

func (w *Walk) clear(ctx context.Context, tx *db.Tx, from, cond string, args ...any) error {
	// A statement that fails is not to be taken back by itself (OR FAIL): for that SQLite
	// would copy each page that it changes.
	verb := "UPDATE OR FAIL"
	if tx.Kind() != db.SQLite {
		verb = "UPDATE"
	}
	query := fmt.Sprintf("%s %s SET %s = FALSE WHERE %s", verb, from, db.Quote(model.ColumnDirty), cond)
	if _, err := tx.Exec(ctx, query, args...); err != nil {
		return fmt.Errorf("clear the dirty bits of table %s: %w", w.Model.Table, err)
	}
	return nil
}

// condition picks the walk's dirty rows between two places; a zero one is no bound.
func (w *Walk) condition(tx *db.Tx, after, last Place) (string, []any) {
	cond, args := tx.PrefixCond(db.Quote(model.ColumnPartition), w.filter, 1)
	cond = w.dirty.bit() + " AND " + cond + discriminator(w.Model, &args)
	for _, bound := range []struct {
		comes string
		place Place
	}{{">", after}, {"<=", last}} {
		if bound.place.at == nil {
			continue
		}
		if args = append(args, bound.place.at); w.order != partitionKey {
			cond += fmt.Sprintf(" AND %s %s $%d", w.order, bound.comes, len(args))
			continue
		}
		args = append(args, bound.place.id)
		cond += fmt.Sprintf(" AND (%s) %s ($%d, $%d)", byPartition, bound.comes, len(args)-1, len(args))
	}
	return cond, args
}

// LacksIDs reports whether FillIDs has something to look at: a dirty row of the model
// whose source id or partition is empty.
func (w *Walk) LacksIDs(ctx context.Context, tx *db.Tx) (lacks bool, err error) {
	var args []any
	query := "SELECT " + w.dirty.exist(lacking+discriminator(w.Model, &args))
	if err := tx.QueryRow(ctx, query, args...).Scan(&lacks); err != nil {
		return false, fmt.Errorf("look for rows of model %s without ids: %w", w.Model.Name, err)
	}
	return lacks, nil
}
