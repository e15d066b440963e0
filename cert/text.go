package cert

import (
	"strconv"
	"strings"
	"unicode/utf16"
)

// object writes a JSON object byte for byte as Python peers do: ", " and ": "
// between, everything outside printable ASCII escaped. Signatures are made over
// such text, so a peer that rebuilds it must get the same bytes.
type object struct{ text strings.Builder }

func (o *object) name(name string) {
	if o.text.Len() == 0 {
		o.text.WriteByte('{')
	} else {
		o.text.WriteString(", ")
	}
	quote(&o.text, name)
	o.text.WriteString(": ")
}

func (o *object) string(name, value string) {
	o.name(name)
	quote(&o.text, value)
}

// stringOrNull writes null for "".
func (o *object) stringOrNull(name, value string) {
	if value != "" {
		o.string(name, value)
		return
	}
	o.name(name)
	o.text.WriteString("null")
}

func (o *object) int(name string, value int) {
	o.name(name)
	o.text.WriteString(strconv.Itoa(value))
}

func (o *object) end() string {
	if o.text.Len() == 0 {
		return "{}"
	}
	return o.text.String() + "}"
}

func quote(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= ' ' && r <= '~':
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			escape(b, high)
			escape(b, low)
		default:
			escape(b, r)
		}
	}
	b.WriteByte('"')
}

func escape(b *strings.Builder, r rune) {
	const digits = "0123456789abcdef"
	b.WriteString(`\u`)
	for shift := 12; shift >= 0; shift -= 4 {
		b.WriteByte(digits[r>>shift&0xf])
	}
}
