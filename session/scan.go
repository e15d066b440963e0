package session

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/morango-go/morango/db"
)

// scannedText reads a text column, null as "".
type scannedText struct{ into *string }

// Scan implements sql.Scanner.
func (s scannedText) Scan(src any) error {
	var text sql.NullString
	err := text.Scan(src)
	*s.into = text.String
	return err
}

// null is the value to bind for a column where "" stands for null.
func null(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// orObject is the text of a JSON column that may not be empty.
func orObject(text string) string {
	if text == "" {
		return "{}"
	}
	return text
}

// scanner is a row of *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// one scans a row that must be there.
func one[T any](row *sql.Row, what, id string, scan func(scanner) (T, error)) (T, error) {
	v, err := scan(row)
	if errors.Is(err, sql.ErrNoRows) {
		return v, fmt.Errorf("%s %.40q: %w", what, id, ErrNotFound)
	}
	if err != nil {
		return v, fmt.Errorf("reading %s %.40q: %w", what, id, err)
	}
	return v, nil
}

// all scans rows to the end and closes them.
func all[T any](rows *sql.Rows, err error, what string, scan func(scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", what, err)
		}
		list = append(list, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	return list, nil
}

// scanID scans a row of one id.
func scanID(row scanner) (string, error) {
	var id string
	err := row.Scan((*db.ID)(&id))
	return id, err
}

// affected turns a statement that touched no row into an error.
func affected(n int64, err error, none error, what, id string) error {
	if err != nil {
		return fmt.Errorf("writing %s %.40q: %w", what, id, err)
	}
	if n == 0 {
		return fmt.Errorf("%s %.40q: %w", what, id, none)
	}
	return nil
}
