package partition

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// pythonText returns a value as Python's str() writes it. Parameters of a scope take
// this form in partitions; a peer that wrote them otherwise would get another scope
// from the same certificate.
func pythonText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	var text strings.Builder
	writeRepr(&text, v)
	return text.String()
}

// writeRepr writes a value as Python's repr().
func writeRepr(to *strings.Builder, v any) {
	switch v := v.(type) {
	case nil:
		to.WriteString("None")
	case bool:
		if v {
			to.WriteString("True")
		} else {
			to.WriteString("False")
		}
	case string:
		writeQuoted(to, v)
	case number:
		to.WriteString(v.text())
	case json.Number:
		to.WriteString(number(v).text())
	case float64:
		to.WriteString(pythonFloat(v))
	case []any:
		writeList(to, v)
	case []member:
		writeObject(to, v)
	case map[string]any:
		writeObject(to, objectOf(v))
	default: // integers, and what prints itself
		fmt.Fprint(to, v)
	}
}

func writeList(to *strings.Builder, list []any) {
	to.WriteByte('[')
	for i, v := range list {
		if i > 0 {
			to.WriteString(", ")
		}
		writeRepr(to, v)
	}
	to.WriteByte(']')
}

func writeObject(to *strings.Builder, object []member) {
	to.WriteByte('{')
	for i, m := range object {
		if i > 0 {
			to.WriteString(", ")
		}
		writeQuoted(to, m.name)
		to.WriteString(": ")
		writeRepr(to, m.value)
	}
	to.WriteByte('}')
}

// writeQuoted writes a string in quotes: single ones, unless it has some and no
// double ones. What cannot be printed is escaped.
func writeQuoted(to *strings.Builder, s string) {
	quote := '\''
	if strings.ContainsRune(s, '\'') && !strings.ContainsRune(s, '"') {
		quote = '"'
	}
	to.WriteRune(quote)
	for _, r := range s {
		switch {
		case r == quote || r == '\\':
			to.WriteRune('\\')
			to.WriteRune(r)
		case r == '\n':
			to.WriteString(`\n`)
		case r == '\r':
			to.WriteString(`\r`)
		case r == '\t':
			to.WriteString(`\t`)
		case unicode.IsPrint(r):
			to.WriteRune(r)
		case r <= unicode.MaxLatin1:
			fmt.Fprintf(to, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(to, `\u%04x`, r)
		default:
			fmt.Fprintf(to, `\U%08x`, r)
		}
	}
	to.WriteRune(quote)
}

// pythonFloat returns the shortest digits that name the number, with an exponent
// from 1e+16 up and below 1e-04, and always marked as no integer.
func pythonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case f != 0 && (math.Abs(f) >= 1e16 || math.Abs(f) < 1e-4):
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	digits := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	return digits
}
