package record

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
)

// cell turns a column's JSON value, as the scanner accepted it, into the
// canonical value. It is as forgiving as the reference's own fields: numbers in
// strings, 0 and 1 as booleans, anything printable as text.
func cell(c *model.Column, raw string) (any, error) {
	if raw == "null" {
		return nil, nil
	}
	text, isText := raw, raw[0] == '"'
	if isText {
		text = unquote(raw)
		// What is not escaped has been looked at already, with the text as a whole.
		if len(text) < len(raw)-2 && (!utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0) {
			return nil, errors.New("the text has a lone surrogate or a NUL, which databases cannot hold")
		}
	}
	switch c.Type {
	case model.UUID, model.DashedUUID:
		return idCell(c.Type, text, isText)
	case model.Text:
		return textCell(text, raw, isText)
	case model.Integer:
		return intCell(text, raw, 32)
	case model.SmallInt:
		return intCell(text, raw, 16)
	case model.BigInt:
		return intCell(text, raw, 64)
	case model.Float:
		return floatCell(text, raw)
	case model.Decimal:
		return decimalCell(text)
	case model.Boolean:
		return boolCell(text, raw)
	case model.DateTime, model.DateTimeTZ, model.Date, model.Time:
		if !isText {
			return nil, fmt.Errorf("%s is not a text", quoteShort(raw))
		}
		return timeCell(c.Type, text)
	case model.JSON:
		return jsonCell(c, text, raw)
	default:
		return nil, fmt.Errorf("the profile gives it the unknown type %q", c.Type)
	}
}

func idCell(t model.Type, text string, isText bool) (any, error) {
	if isText && ident.Valid(text) {
		return text, nil
	}
	if isText && (t == model.DashedUUID || len(text) == 32) {
		if id, err := ident.Parse(text); err == nil {
			return id, nil
		}
	}
	return nil, fmt.Errorf("%s is not an id of 32 hex digits", quoteShort(text))
}

// textCell reads a text. Anything else becomes the text that the reference makes
// of it, which is how certificates fill templates too.
func textCell(text, raw string, isText bool) (any, error) {
	if isText {
		return text, nil
	}
	_, text, err := partition.BuildJSON("${v}", `{"v": `+raw+`}`)
	if err != nil {
		return nil, fmt.Errorf("%s is not a text", quoteShort(raw))
	}
	return text, nil
}

// intCell reads a whole number of the given size. A fraction is cut off.
func intCell(text, raw string, bits int) (any, error) {
	switch raw {
	case "true":
		return int64(1), nil
	case "false":
		return int64(0), nil
	}
	text = strings.TrimSpace(text)
	n, err := strconv.ParseInt(text, 10, bits)
	if err == nil {
		return n, nil
	}
	if errors.Is(err, strconv.ErrRange) {
		return nil, fmt.Errorf("%s does not fit in %d bits", quoteShort(text), bits)
	}
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return nil, fmt.Errorf("%s is not a whole number", quoteShort(text))
	}
	if limit := math.Ldexp(1, bits-1); f <= -limit-1 || f >= limit {
		return nil, fmt.Errorf("%s does not fit in %d bits", quoteShort(text), bits)
	}
	return int64(f), nil
}

func floatCell(text, raw string) (any, error) {
	switch raw {
	case "true":
		return 1.0, nil
	case "false":
		return 0.0, nil
	}
	text = strings.TrimSpace(text)
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || strings.ContainsAny(text, "xX_") {
		return nil, fmt.Errorf("%s is not a number", quoteShort(text))
	}
	if math.IsNaN(f) {
		return nil, errors.New("a float that is not a number cannot be kept")
	}
	return f, nil
}

// decimalForm is a decimal number as text.
var decimalForm = regexp.MustCompile(`\A[+-]?(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})(?:[eE][+-]?\d{1,3})?\z`)

func decimalCell(text string) (any, error) {
	text = strings.TrimSpace(text)
	if !decimalForm.MatchString(text) {
		return nil, fmt.Errorf("%s is not a decimal number", quoteShort(text))
	}
	return text, nil
}

func boolCell(text, raw string) (any, error) {
	switch {
	case raw == "true":
		return true, nil
	case raw == "false":
		return false, nil
	case raw[0] == '"':
		switch text {
		case "t", "True", "1":
			return true, nil
		case "f", "False", "0":
			return false, nil
		}
	default:
		if n, err := strconv.ParseFloat(raw, 64); err == nil && (n == 0 || n == 1) {
			return n == 1, nil
		}
	}
	return nil, fmt.Errorf("%s is neither true nor false", quoteShort(text))
}

// jsonCell reads a column that holds JSON: a string with JSON text in it, whose
// null means the column's null, or, from a peer that does not encode it twice,
// the value itself.
func jsonCell(c *model.Column, text, raw string) (any, error) {
	if raw[0] != '"' {
		return string(appendNormal(nil, raw)), nil
	}
	if c.Nullable && (text == "null" || text == "") {
		return nil, nil
	}
	s := scanner{text: text}
	if err := errors.Join(s.skip(0), s.end()); err != nil {
		return nil, err
	}
	return text, nil
}
