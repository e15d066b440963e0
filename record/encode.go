package record

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/morango-go/morango/model"
)

// Encode returns the JSON text of a row, byte for byte as the reference writes
// it. Values stand in the order of m.Serialized() and are canonical: nil, string,
// int64, float64, bool or time.Time in UTC. A value that its column's type cannot
// hold is an error that names model and column.
func Encode(m *model.Model, values []any) (string, error) {
	text, err := EncodeIn(make([]byte, 0, 64*len(m.Columns)), m, values)
	return string(text), err
}

// EncodeIn is Encode in room that the caller has, from its beginning; the text lies
// elsewhere when there is too little of it. With an error there is no text.
func EncodeIn(room []byte, m *model.Model, values []any) ([]byte, error) {
	text, next := append(room[:0], '{'), 0
	for i := range m.Columns {
		c := &m.Columns[i]
		if c.Local {
			continue
		}
		if next == len(values) {
			return nil, countCheck(m, m.Serialized(), values)
		}
		var err error
		if text, err = appendCell(appendKey(text, c.Name), m, c, values[next]); err != nil {
			return nil, err
		}
		next++
	}
	if next < len(values) {
		return nil, countCheck(m, m.Serialized(), values)
	}
	return append(text, '}'), nil
}

// Update returns old with our columns overwritten: a dict update. Keys keep their
// places, keys that the model does not know keep their values with every digit,
// columns that were missing are appended. Old may be "", which is read as {}.
// Values stand in the order of m.Serialized(). Old that is no JSON object is an
// error.
func Update(old string, m *model.Model, values []any) (string, error) {
	if old == "" || old == "{}" {
		return Encode(m, values)
	}
	list, err := members(old)
	if err != nil {
		return "", fmt.Errorf("update the stored text of a record of model %s: %w", m.Name, err)
	}
	cols := m.Serialized()
	if err := countCheck(m, cols, values); err != nil {
		return "", err
	}
	text := append(make([]byte, 0, len(old)+64), '{')
	written := make([]bool, len(cols))
	place := 0
	for _, mem := range list {
		i := from(place, cols, func(c *model.Column) bool { return c.Name == mem.key })
		if i < 0 {
			text = appendComma(text)
			text = appendNormal(text, mem.rawKey)
			text = appendNormal(append(text, ": "...), mem.raw)
			continue
		}
		written[i], place = true, i+1
		if text, err = appendCell(appendKey(text, mem.key), m, cols[i], values[i]); err != nil {
			return "", err
		}
	}
	for i, c := range cols {
		if written[i] {
			continue
		}
		if text, err = appendCell(appendKey(text, c.Name), m, c, values[i]); err != nil {
			return "", err
		}
	}
	return string(append(text, '}')), nil
}

func countCheck(m *model.Model, cols []*model.Column, values []any) error {
	if len(cols) != len(values) {
		return fmt.Errorf("encode a row of model %s: %d values for %d columns", m.Name, len(values), len(cols))
	}
	return nil
}

// appendComma separates a key from the one before it.
func appendComma(text []byte) []byte {
	if len(text) > 1 {
		text = append(text, ", "...)
	}
	return text
}

func appendKey(text []byte, name string) []byte {
	return append(appendQuoted(appendComma(text), name), ": "...)
}

// appendCell appends a column's value in the column's JSON form.
func appendCell(dst []byte, m *model.Model, c *model.Column, v any) ([]byte, error) {
	if v == nil {
		if c.Type == model.JSON {
			return append(dst, `"null"`...), nil
		}
		return append(dst, "null"...), nil
	}
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) {
			return nil, fmt.Errorf("encode a row of model %s: the text in column %s is not valid UTF-8", m.Name, c.Name)
		}
		if text, ok := cellText(c.Type, v); ok {
			return appendQuoted(dst, text), nil
		}
	case int64:
		if c.Type == model.Integer || c.Type == model.SmallInt || c.Type == model.BigInt {
			return strconv.AppendInt(dst, v, 10), nil
		}
	case float64:
		if c.Type == model.Float {
			return appendFloat(dst, v), nil
		}
	case bool:
		if c.Type == model.Boolean {
			return strconv.AppendBool(dst, v), nil
		}
	case time.Time:
		if text, ok := timeText(c.Type, v); ok {
			return appendQuoted(dst, text), nil
		}
	}
	return nil, fmt.Errorf("encode a row of model %s: column %s of type %s cannot hold a %T", m.Name, c.Name, c.Type, v)
}

// cellText is the JSON string of a text value, false where the type has none.
func cellText(t model.Type, v string) (string, bool) {
	switch t {
	case model.UUID, model.Text, model.Decimal, model.DateTimeTZ, model.JSON:
		return v, true
	case model.DashedUUID:
		if len(v) != 32 {
			return v, true
		}
		return strings.Join([]string{v[:8], v[8:12], v[12:16], v[16:20], v[20:]}, "-"), true
	default:
		return "", false
	}
}

// timeText is the JSON string of a moment, a date or a time of day: milliseconds,
// cut off, where there is a fraction of a second.
func timeText(t model.Type, v time.Time) (string, bool) {
	fraction := ""
	if v.Nanosecond() >= int(time.Microsecond) {
		fraction = ".000"
	}
	switch t {
	case model.DateTime:
		return v.UTC().Format("2006-01-02T15:04:05" + fraction + "Z"), true
	case model.Date:
		return v.Format("2006-01-02"), true
	case model.Time:
		return v.Format("15:04:05" + fraction), true
	default:
		return "", false
	}
}
