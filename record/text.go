package record

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// hex4 reads four hex digits at pos.
func hex4(text string, pos int) (rune, bool) {
	if pos+4 > len(text) || strings.IndexByte("+-_", text[pos]) >= 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(text[pos:pos+4], 16, 16)
	return rune(n), err == nil
}

// unquote returns the text of a JSON string that the scanner has accepted. A lone
// surrogate becomes its three-byte form, which is no valid UTF-8.
func unquote(raw string) string {
	raw = raw[1 : len(raw)-1]
	if strings.IndexByte(raw, '\\') < 0 {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		if raw[i] != 'u' {
			out = append(out, "\"\\/\b\f\n\r\t"[strings.IndexByte(`"\/bfnrt`, raw[i])])
			continue
		}
		r, _ := hex4(raw, i+1)
		i += 4
		if utf16.IsSurrogate(r) && strings.HasPrefix(raw[i+1:], `\u`) {
			low, _ := hex4(raw, i+3)
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				r, i = pair, i+6
			}
		}
		out = appendRune(out, r)
	}
	return string(out)
}

// appendRune appends a rune, a lone surrogate in its three-byte form.
func appendRune(dst []byte, r rune) []byte {
	if utf16.IsSurrogate(r) {
		return append(dst, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0x3F, 0x80|byte(r)&0x3F)
	}
	return utf8.AppendRune(dst, r)
}

// runeAt decodes the rune at the start of s, also a lone surrogate.
func runeAt(s string) (rune, int) {
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && size == 1 && len(s) >= 3 && s[0] == 0xED && s[1] >= 0xA0 {
		return rune(s[0]&0x0F)<<12 | rune(s[1]&0x3F)<<6 | rune(s[2]&0x3F), 3
	}
	return r, size
}

// appendQuoted appends s as a JSON string of printable ASCII, with the escapes
// that the reference writes.
func appendQuoted(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	unit := func(dst []byte, r rune) []byte {
		return append(dst, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
	}
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		plain := i
		for i < len(s) && s[i] >= ' ' && s[i] < 0x7F && s[i] != '"' && s[i] != '\\' {
			i++
		}
		if dst = append(dst, s[plain:i]...); i == len(s) {
			break
		}
		c := s[i]
		if c == '"' || c == '\\' {
			dst = append(dst, '\\', c)
			i++
			continue
		}
		if at := strings.IndexByte("\b\f\n\r\t", c); at >= 0 {
			dst = append(dst, '\\', "bfnrt"[at])
			i++
			continue
		}
		r, size := runeAt(s[i:])
		if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
			dst = unit(unit(dst, high), low)
		} else {
			dst = unit(dst, r)
		}
		i += size
	}
	return append(dst, '"')
}

// appendNormal appends a value that the scanner has accepted in the reference's
// spelling: its separators, escapes and floats, while numbers keep every digit.
func appendNormal(dst []byte, raw string) []byte {
	for i := 0; i < len(raw); {
		switch c := raw[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		case '"':
			end := i + 1
			for ; raw[end] != '"'; end++ {
				if raw[end] == '\\' {
					end++
				}
			}
			dst = appendQuoted(dst, unquote(raw[i:end+1]))
			i = end + 1
		case ',', ':':
			dst = append(dst, c, ' ')
			i++
		default:
			end := i + 1
			for end < len(raw) && strings.IndexByte("+-.0123456789eE", raw[end]) >= 0 {
				end++
			}
			dst = appendNumber(dst, raw[i:end])
			i = end
		}
	}
	return dst
}

// appendNumber appends a number of JSON in the reference's spelling, unless that
// would lose a digit. Anything else it appends as it is.
func appendNumber(dst []byte, token string) []byte {
	if strings.IndexAny(token, ".eE") > 0 && token[len(token)-1] <= '9' {
		if f, err := strconv.ParseFloat(token, 64); err == nil {
			spelled := appendFloat(nil, f)
			if sameNumber(string(spelled), token) {
				return append(dst, spelled...)
			}
		}
	}
	return append(dst, token...)
}

// sameNumber reports whether two decimal numbers, of which a is finite, have the
// same sign and the same digits at the same places.
func sameNumber(a, b string) bool {
	digitsA, exponentA := digitsOf(a)
	digitsB, exponentB := digitsOf(b)
	return a[0] == '-' == (b[0] == '-') && digitsA == digitsB && exponentA == exponentB
}

// digitsOf returns a number's digits without zeros around them, and the power of
// ten of the last one; none and 0 for zero.
func digitsOf(number string) (digits string, exponent int) {
	number = strings.TrimPrefix(number, "-")
	mantissa, power, _ := strings.Cut(strings.ToLower(number), "e")
	exponent, _ = strconv.Atoi(power) // none is 0; a float's always fits
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits = strings.TrimLeft(whole+fraction, "0")
	short := strings.TrimRight(digits, "0")
	if short == "" {
		return "", 0
	}
	return short, exponent - len(fraction) + len(digits) - len(short)
}

// appendFloat appends a float as the reference writes it: the shortest digits
// that give the number back, ".0" after integral ones.
func appendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	if size := math.Abs(f); size != 0 && (size < 1e-4 || size >= 1e16) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	if strings.IndexByte(string(dst[start:]), '.') < 0 {
		dst = append(dst, ".0"...)
	}
	return dst
}
