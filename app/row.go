package app

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/record"
)

// Row is one row of an application table. Values stand in the order of the
// model's Columns and are canonical: nil, string, int64, float64, bool or
// time.Time in UTC (see package record).
type Row struct {
	ID     string
	Values []any
	Fault  error // why the row cannot be read; Values is then nil
}

// FromDatabase turns what the driver gave for a column into its canonical value.
// It takes the forms of SQLite (text ids, 0 and 1, datetimes as text) and of
// PostgreSQL. A value that the column's type cannot hold is an error that names
// the column.
func FromDatabase(c *model.Column, raw any) (any, error) {
	if raw == nil {
		return nil, nil
	}
	if b, ok := raw.([]byte); ok {
		raw = string(b)
	}
	v, err := canonical(c.Type, raw)
	if err != nil {
		return nil, fmt.Errorf("column %s: %w", c.Name, err)
	}
	return v, nil
}

func canonical(t model.Type, raw any) (any, error) {
	switch t {
	case model.UUID, model.DashedUUID:
		if text, ok := raw.(string); ok {
			if ident.Valid(text) {
				return raw, nil // as it is, without a copy
			}
			return ident.Parse(text)
		}
	case model.Text, model.Decimal, model.DateTimeTZ, model.JSON:
		return canonicalText(raw)
	case model.Integer, model.SmallInt, model.BigInt:
		switch n := raw.(type) {
		case int64:
			return raw, nil
		case float64:
			if n == math.Trunc(n) && math.Abs(n) < 1<<53 {
				return int64(n), nil
			}
		}
	case model.Float:
		switch n := raw.(type) {
		case float64:
			return raw, nil
		case int64:
			return float64(n), nil
		}
	case model.Boolean:
		switch b := raw.(type) {
		case bool:
			return b, nil
		case int64:
			if b == 0 || b == 1 {
				return b == 1, nil
			}
		}
	case model.DateTime, model.Date, model.Time:
		switch at := raw.(type) {
		case time.Time:
			return at.UTC(), nil
		case string:
			return record.ParseTime(t, at)
		}
	}
	return nil, fmt.Errorf("%v (a %T) is not a %s", raw, raw, t)
}

// canonicalText takes numbers too: SQLite keeps what it is given in a column
// whose declared type it does not know, and decimals as numbers.
func canonicalText(raw any) (any, error) {
	switch v := raw.(type) {
	case string:
		if !utf8.ValidString(v) {
			return nil, errors.New("the text is not valid UTF-8")
		}
		return raw, nil // as it is, without a copy
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	}
	return nil, fmt.Errorf("%v (a %T) is not a text", raw, raw)
}

// Bind returns what to bind for a column's canonical value in this database: on
// SQLite in the form that Django writes.
func Bind(kind db.Kind, c *model.Column, v any) any {
	if kind != db.SQLite {
		if at, ok := v.(time.Time); ok && c.Type == model.Time {
			return at.Format("15:04:05.999999")
		}
		return v
	}
	switch v := v.(type) {
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case time.Time:
		return sqliteTime(c.Type, v)
	default:
		return v
	}
}

// sqliteTime is a moment, date or time of day as Django writes it: with
// microseconds only where there are any.
func sqliteTime(t model.Type, at time.Time) string {
	at = at.Truncate(time.Microsecond)
	layout := "2006-01-02 15:04:05.000000"
	if at.Nanosecond() == 0 {
		layout = "2006-01-02 15:04:05"
	}
	switch t {
	case model.Date:
		return at.Format("2006-01-02")
	case model.Time:
		return at.Format(strings.TrimPrefix(layout, "2006-01-02 "))
	default:
		return at.UTC().Format(layout)
	}
}
