package app

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
)

// fillPage is how many rows FillIDs holds in memory at a time.
const fillPage = 500

// FillIDs gives dirty rows whose source id or partition is empty these by the
// profile's rules. It never changes an id. A row for which the rules give nothing
// (a column that they need is null) is left as it is: serialize reports it.
func FillIDs(ctx context.Context, tx *db.Tx, p *model.Profile, m *model.Model, random func() string) error {
	all, err := dirtyRowsOf(ctx, tx, []*model.Model{m})
	if err != nil {
		return err
	}
	for after := (Place{}); ; {
		rows, last, err := unfilled(ctx, tx, m, all[0].sorted(), after)
		if err != nil {
			return fmt.Errorf("find rows of %s.%s without ids: %w", p.Name, m.Name, err)
		}
		if err := fill(ctx, tx, m, rows, random); err != nil {
			return fmt.Errorf("fill in ids of %s.%s: %w", p.Name, m.Name, err)
		}
		if len(rows) < fillPage {
			return nil
		}
		after = last
	}
}

// lacking is the condition that a row has no source id or no partition.
const lacking = "(coalesce(" + model.ColumnSourceID + ", '') = '' OR coalesce(" + model.ColumnPartition + ", '') = '')"

// unfilled reads a page of rows that lack a source id or a partition, and returns its end. A row
// that is given a partition moves on in the order of these, and lacks none any more.
func unfilled(ctx context.Context, tx *db.Tx, m *model.Model, sorted string, after Place) ([]Row, Place, error) {
	names := make([]string, len(m.Columns))
	for i, c := range m.Columns {
		names[i] = c.Name
	}
	var conds []string
	var args []any
	add := func(cond string, arg any) {
		args = append(args, arg)
		conds = append(conds, fmt.Sprintf(cond, len(args)))
	}
	if after.at != nil {
		args = append(args, after.at, after.id)
		conds = append(conds, fmt.Sprintf("(%s) > ($1, $2)", byPartition))
	} else if after.id != "" {
		add("id > $%d", after.id)
	}
	for _, w := range m.Where {
		add(db.Quote(w.Column)+" = $%d", w.Value)
	}
	conds = append(conds, model.ColumnDirty, lacking)
	key := "0"
	if sorted == byPartition {
		key = partitionKey
	}
	query := fmt.Sprintf("SELECT id, %s, %s FROM %s WHERE %s ORDER BY %s LIMIT %d",
		key, quoteAll(names), db.Quote(m.Table), strings.Join(conds, " AND "), sorted, fillPage)
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, Place{}, err
	}
	defer rows.Close()
	var page []Row
	var last Place
	for rows.Next() {
		var id db.ID
		var at int64
		raw := make([]any, len(m.Columns))
		into := []any{&id, &at}
		for i := range raw {
			into = append(into, &raw[i])
		}
		if err := rows.Scan(into...); err != nil {
			return nil, Place{}, err
		}
		page = append(page, Row{ID: string(id), Values: raw})
		if last.id = string(id); sorted == byPartition {
			last.at = at
		}
	}
	return page, last, rows.Err()
}

// fill computes and writes what the rows lack.
func fill(ctx context.Context, tx *db.Tx, m *model.Model, rows []Row, random func() string) error {
	if len(rows) == 0 {
		return nil
	}
	update, err := tx.Prepare(ctx, fmt.Sprintf("UPDATE %s SET %s = $1, %s = $2 WHERE id = $3",
		db.Quote(m.Table), model.ColumnSourceID, model.ColumnPartition))
	if err != nil {
		return err
	}
	defer update.Close()
	for _, row := range rows {
		get := row.text(m)
		oldSource, _ := get(model.ColumnSourceID)
		oldPartition, _ := get(model.ColumnPartition)
		source, err := m.SourceIDOf(get, random)
		if err != nil {
			continue
		}
		partition := oldPartition
		if partition == "" {
			if partition, err = m.PartitionOf(get); err != nil {
				continue
			}
			partition = strings.ReplaceAll(partition, ident.Placeholder, row.ID)
		}
		if source == oldSource && partition == oldPartition {
			continue // the model's partition is empty
		}
		if _, err := update.ExecContext(ctx, source, partition, row.ID); err != nil {
			return err
		}
	}
	return nil
}

// text reads columns of a row as text, the way the rules of a model want them. A
// value that its column cannot hold counts as null: serialize reports it.
func (r Row) text(m *model.Model) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := range m.Columns {
			if m.Columns[i].Name != name {
				continue
			}
			value, err := FromDatabase(&m.Columns[i], r.Values[i])
			if err != nil || value == nil {
				return "", false
			}
			return textOf(value), true
		}
		return "", false
	}
}

func textOf(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case time.Time:
		return v.UTC().Format("2006-01-02 15:04:05.999999")
	}
	return fmt.Sprint(value)
}
