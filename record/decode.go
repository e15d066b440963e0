package record

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/morango-go/morango/model"
)

// partitionLength is what the application's partition column holds.
const partitionLength = 128

// FieldError says why a record cannot become a row. Its text is what goes into
// the store row's deserialization_error.
type FieldError struct {
	Column string // "" when the text as a whole is at fault
	Reason string
}

// Error names the column and the reason.
func (e *FieldError) Error() string {
	if e.Column == "" {
		return e.Reason
	}
	return e.Column + ": " + e.Reason
}

// Decode turns a record's JSON text into the values of a row, in the order of
// m.Columns, local columns included (they get their default, or nil). The values
// are canonical (see Encode), defaults are applied and constraints checked. id,
// source id and partition come from the store row; an id in the text that differs
// is an error. now and random fill defaults; random returns a fresh id. Any error
// is a *FieldError.
func Decode(m *model.Model, id, sourceID, partition, serialized string, now time.Time, random func() string) ([]any, error) {
	return NewDecoder(m).Decode(id, sourceID, partition, serialized, now, random)
}

// Decoder decodes many records of one model, one after the other.
type Decoder struct {
	model *model.Model
	list  object           // of the record before
	forms []*regexp.Regexp // of the model's columns; nil where there is none, or it is broken
}

// NewDecoder makes a decoder for a model's records.
func NewDecoder(m *model.Model) *Decoder {
	d := &Decoder{model: m, forms: make([]*regexp.Regexp, len(m.Columns))}
	for i, c := range m.Columns {
		if c.Check.Pattern != "" {
			d.forms[i], _ = wholly(c.Check.Pattern) // said again when a text is to be matched
		}
	}
	return d
}

// wholly compiles a pattern that a text must match as a whole.
func wholly(pattern string) (*regexp.Regexp, error) {
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// Decode is the function Decode for the decoder's model.
func (d *Decoder) Decode(id, sourceID, partition, serialized string, now time.Time, random func() string) ([]any, error) {
	m := d.model
	list, err := split(serialized, d.list[:0])
	if err != nil {
		return nil, &FieldError{Reason: err.Error()}
	}
	d.list = list
	if err := identityCheck(list, id, sourceID, partition); err != nil {
		return nil, err
	}
	values := make([]any, len(m.Columns))
	for i := range m.Columns {
		c := &m.Columns[i]
		switch c.Name {
		case model.ColumnID:
			values[i] = id
			continue
		case model.ColumnSourceID:
			values[i] = sourceID
			continue
		case model.ColumnPartition:
			values[i] = partition
			continue
		}
		raw, sent := list.find(c.Name, i)
		v, err := column(c, d.forms[i], raw, sent && !c.Local, now, random)
		if err != nil {
			return nil, &FieldError{Column: c.Name, Reason: err.Error()}
		}
		values[i] = v
	}
	return values, nil
}

// Carries reports whether a record's JSON text has a value, be it null, for any of
// the columns. A text that is no JSON object carries none.
func Carries(serialized string, columns []string) bool {
	list, err := members(serialized)
	return err == nil && slices.ContainsFunc(list, func(m member) bool { return slices.Contains(columns, m.key) })
}

// identityCheck compares the id in the text, if there is one, with the store
// row's, and checks what goes into the row unseen.
func identityCheck(list object, id, sourceID, partition string) error {
	if raw, sent := list.find(model.ColumnID, 0); sent && (raw[0] != '"' || unquote(raw) != id) {
		return &FieldError{Column: model.ColumnID, Reason: fmt.Sprintf("the text names another id than the record's own, %s", id)}
	}
	for _, text := range []string{id, sourceID, partition} {
		if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
			return &FieldError{Reason: "id, source id or partition is no valid text"}
		}
	}
	if utf8.RuneCountInString(partition) > partitionLength {
		return &FieldError{Column: model.ColumnPartition, Reason: fmt.Sprintf("longer than %d characters", partitionLength)}
	}
	return nil
}

// column gives one column its value from the text, or its default.
func column(c *model.Column, form *regexp.Regexp, raw string, sent bool, now time.Time, random func() string) (any, error) {
	d := c.Default
	if !sent || d != nil && d.WhenEmpty && (raw == "null" || raw == `""`) {
		switch {
		case d == nil && (c.Nullable || c.Local):
			return nil, nil
		case d == nil:
			return nil, errors.New("this column is required, and the record lacks it")
		case d.Now:
			return nowFor(c.Type, now), nil
		case d.Random:
			return random(), nil
		}
		return defaultFor(c.Type, d.Value), nil
	}
	v, err := cell(c, raw)
	if err != nil {
		return nil, err
	}
	if v == nil {
		if !c.Nullable {
			return nil, errors.New("this column cannot be null")
		}
		return nil, nil
	}
	return v, constraint(c, form, v)
}

// nowFor is the moment in the canonical form of a type, with the microseconds
// that databases keep.
func nowFor(t model.Type, now time.Time) any {
	now = now.UTC().Truncate(time.Microsecond)
	if t == model.DateTimeTZ {
		return now.Format("2006-01-02 15:04:05.000000") + "(UTC)"
	}
	return now
}

// defaultFor is a declared default in the canonical form of a type.
func defaultFor(t model.Type, v any) any {
	if n, ok := v.(int64); ok && t == model.Float {
		return float64(n)
	}
	return v
}

// constraint checks what the profile demands of a value, its pattern by the form that was
// made of it. As in the reference an empty text passes everything but a least length.
func constraint(c *model.Column, form *regexp.Regexp, v any) error {
	check := &c.Check
	free := len(check.Choices) == 0 && check.Pattern == "" && check.Min == nil && check.Max == nil
	text, isText := v.(string)
	if isText {
		if free && check.MinLength <= 0 && (c.Length <= 0 || len(text) <= c.Length) {
			return nil // no longer in bytes than it may be in characters
		}
		length := utf8.RuneCountInString(text)
		if c.Length > 0 && length > c.Length {
			return fmt.Errorf("longer than %d characters", c.Length)
		}
		if length < c.Check.MinLength {
			return fmt.Errorf("shorter than %d characters", c.Check.MinLength)
		}
		if text == "" {
			return nil
		}
	}
	if free {
		return nil
	}
	if !isText {
		if n, ok := v.(float64); ok && len(check.Choices) == 0 && check.Pattern == "" {
			return inBounds(c, n)
		}
		text = fmt.Sprint(v)
	}
	if len(c.Check.Choices) > 0 && !slices.Contains(c.Check.Choices, text) {
		return fmt.Errorf("%s is none of the choices", quoteShort(text))
	}
	if c.Check.Pattern != "" {
		if form == nil {
			_, err := wholly(c.Check.Pattern)
			return fmt.Errorf("the profile's pattern is broken: %w", err)
		}
		if !form.MatchString(text) {
			return fmt.Errorf("%s does not have the form that the profile demands", quoteShort(text))
		}
	}
	return bounds(c, text)
}

// bounds checks the least and the greatest value, also of numbers kept as text.
func bounds(c *model.Column, text string) error {
	if c.Check.Min == nil && c.Check.Max == nil {
		return nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%s is not a number", quoteShort(text))
	}
	return inBounds(c, n)
}

func inBounds(c *model.Column, n float64) error {
	if c.Check.Min != nil && n < *c.Check.Min {
		return fmt.Errorf("less than %v", *c.Check.Min)
	}
	if c.Check.Max != nil && n > *c.Check.Max {
		return fmt.Errorf("greater than %v", *c.Check.Max)
	}
	return nil
}

// quoteShort quotes the start of a value for a message.
func quoteShort(text string) string {
	runes := []rune(text)
	if len(runes) > 40 {
		text = string(runes[:40]) + "…"
	}
	return strconv.Quote(text)
}
