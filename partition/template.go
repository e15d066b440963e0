package partition

import (
	"errors"
	"fmt"
	"strings"
)

// Build fills a filter template with parameters and splits the result into
// prefixes. Holes are ${name} and $name (ASCII letters, digits, underscore; case
// counts); "$$" is a dollar; a hole without a parameter and a stray dollar stay
// as they are. Values that are no strings appear in the text form of Python
// (None, True, 1e+22, [1, 'a']), because certificates made by Python peers rely
// on it; the keys of a map come in sorted order (BuildJSON keeps them as written).
// substituted is the text before it is split.
func Build(template string, params map[string]any) (f Filter, substituted string) {
	substituted = fill(template, textsOf(params))
	return Parse(substituted), substituted
}

// BuildJSON is Build with the parameters as the text of a JSON object, the form in
// which certificates carry them. Numbers keep their digits. The error wraps
// ErrParams and says what is wrong with the text.
func BuildJSON(template, paramsJSON string) (f Filter, substituted string, err error) {
	params, err := parseParams(paramsJSON)
	if err != nil {
		return Filter{}, "", err
	}
	substituted = fill(template, params)
	return Parse(substituted), substituted, nil
}

// fill puts the texts of parameters into the holes of a template.
func fill(template string, params map[string]string) string {
	var filled strings.Builder
	for {
		before, rest, found := strings.Cut(template, "$")
		filled.WriteString(before)
		if !found {
			return filled.String()
		}
		name, length := hole(rest)
		value, known := params[name]
		switch {
		case strings.HasPrefix(rest, "$"):
			filled.WriteByte('$')
			length = 1
		case name != "" && known:
			filled.WriteString(value)
		default:
			filled.WriteByte('$')
			filled.WriteString(rest[:length])
		}
		template = rest[length:]
	}
}

// hole returns the name that follows a dollar, bare or in braces, and how many bytes
// it takes with its braces; "" and 0 when no name follows.
func hole(rest string) (name string, length int) {
	if braced, ok := strings.CutPrefix(rest, "{"); ok {
		n := nameLength(braced)
		if n == 0 || !strings.HasPrefix(braced[n:], "}") {
			return "", 0
		}
		return braced[:n], n + len("{}")
	}
	n := nameLength(rest)
	return rest[:n], n
}

// nameLength returns the length of the name with which s begins.
func nameLength(s string) int {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(s)
}

// ErrNotSubset says that a scope grants more than the one it has to lie in. Errors
// of Scope.SubsetOf wrap it.
var ErrNotSubset = errors.New("scope is not a subset")

// Scope is what a certificate grants: the filters within which its holder may
// read and write. The zero value grants nothing.
type Scope struct{ Read, Write Filter }

// NewScope fills the three templates of a scope definition: what may be read, what
// may be written, and what may be both. An empty template adds nothing, but a
// scope whose templates for one direction are all empty matches all in that
// direction.
func NewScope(readTemplate, writeTemplate, readWriteTemplate string, params map[string]any) Scope {
	return newScope(readTemplate, writeTemplate, readWriteTemplate, textsOf(params))
}

// NewScopeJSON is NewScope with the parameters as JSON text, as BuildJSON.
func NewScopeJSON(readTemplate, writeTemplate, readWriteTemplate, paramsJSON string) (Scope, error) {
	params, err := parseParams(paramsJSON)
	if err != nil {
		return Scope{}, err
	}
	return newScope(readTemplate, writeTemplate, readWriteTemplate, params), nil
}

// newScope fills each template twice, the second time without parameters, because
// peers do (they join filters as templates): "$$$$" is one dollar in the end.
func newScope(read, write, readWrite string, params map[string]string) Scope {
	filter := func(template string) Filter { return Parse(fill(fill(template, params), nil)) }
	both := filter(readWrite)
	return Scope{Read: both.Plus(filter(read)), Write: both.Plus(filter(write))}
}

// SubsetOf says whether s grants nothing that t does not: nil when so, else an
// error that wraps ErrNotSubset and names the direction and the prefix in the way.
func (s Scope) SubsetOf(t Scope) error {
	for _, d := range []struct {
		verb     string
		ours, in Filter
	}{{"read", s.Read, t.Read}, {"write", s.Write, t.Write}} {
		for _, p := range d.ours.prefixes {
			if !d.in.Contains(p) {
				return fmt.Errorf("may %s %.200q, which lies in none of %.500q: %w", d.verb, p, d.in.prefixes, ErrNotSubset)
			}
		}
	}
	return nil
}

// Equal says whether both directions have the same prefixes.
func (s Scope) Equal(t Scope) bool { return s.Read.Equal(t.Read) && s.Write.Equal(t.Write) }
