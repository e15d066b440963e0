package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/record"
)

// Count returns how many rows the model has in the application's table, and how many
// of them have changed since they were last serialized.
func Count(ctx context.Context, tx *db.Tx, m *model.Model) (rows, changed int64, err error) {
	var args []any
	where := "TRUE" + discriminator(m, &args)
	dirty := db.Quote(model.ColumnDirty)
	err = tx.QueryRow(ctx, fmt.Sprintf("SELECT COUNT(*), COUNT(CASE WHEN %s THEN 1 END) FROM %s WHERE %s",
		dirty, db.Quote(m.Table), where), args...).Scan(&rows, &changed)
	if err != nil {
		return 0, 0, fmt.Errorf("count the rows of table %s: %w", m.Table, err)
	}
	return rows, changed, nil
}

// Digest returns one hash over everything that travels of the profile's rows, as they
// stand in the application's tables: two databases with equal rows have equal digests.
func Digest(ctx context.Context, tx *db.Tx, p *model.Profile) (string, error) {
	const page = 1000
	all := sha256.New()
	for _, m := range p.Models {
		fmt.Fprintf(all, "model %s\n", m.Name)
		travels := travelling(m)
		for after := ""; ; {
			rows, err := rowPage(ctx, tx, m, after, page)
			if err != nil {
				return "", err
			}
			for _, row := range rows {
				if row.Fault != nil {
					return "", fmt.Errorf("row %s of table %s: %w", row.ID, m.Table, row.Fault)
				}
				values := make([]any, 0, len(travels))
				for _, i := range travels {
					values = append(values, travelled(row.Values[i]))
				}
				text, err := record.Encode(m, values)
				if err != nil {
					return "", fmt.Errorf("row %s of table %s: %w", row.ID, m.Table, err)
				}
				fmt.Fprintln(all, text)
			}
			if len(rows) < page {
				break
			}
			after = rows[len(rows)-1].ID
		}
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}

// travelled is a value as it is after a journey: times travel in milliseconds. It is
// cut before it is written, for what is left of a whole second is written otherwise
// than one that always was.
func travelled(value any) any {
	if moment, ok := value.(time.Time); ok {
		return moment.Truncate(time.Millisecond)
	}
	return value
}

// travelling returns the places of the serialized columns among all.
func travelling(m *model.Model) (places []int) {
	for i, c := range m.Columns {
		if !c.Local {
			places = append(places, i)
		}
	}
	return places
}

// rowPage reads up to limit rows of a model with ids greater than after, in id order.
func rowPage(ctx context.Context, tx *db.Tx, m *model.Model, after string, limit int) ([]Row, error) {
	if after == "" && tx.Kind() == db.Postgres {
		after = ident.Lowest // an empty text is no uuid
	}
	args := []any{after}
	where := "id > $1" + discriminator(m, &args)
	rows, _, err := readRows(ctx, tx, m, fmt.Sprintf("SELECT id, %s FROM %s WHERE %s ORDER BY id LIMIT %d",
		columnsOfTable(m), db.Quote(m.Table), where, limit), args, &room{})
	return rows, err
}
