package model

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/morango-go/morango/ident"
)

// part is one piece of a template: literal text, or a hole that names a column.
type part struct {
	text string
	hole bool
}

// parts cuts a template such as "${dataset_id}:user-rw:${user_id}" at its holes.
// A "$" that opens no hole is literal text.
func parts(template string) ([]part, error) {
	var out []part
	for rest := template; rest != ""; {
		start := strings.Index(rest, "${")
		if start < 0 {
			return append(out, part{text: rest}), nil
		}
		if start > 0 {
			out = append(out, part{text: rest[:start]})
		}
		rest = rest[start+2:]
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return nil, fmt.Errorf("template %q: a hole \"${\" has no closing \"}\"", template)
		}
		name := rest[:end]
		if name == "" || strings.ContainsAny(name, "${") || strings.IndexFunc(name, unicode.IsSpace) >= 0 {
			return nil, fmt.Errorf("template %q: %q is no column name", template, name)
		}
		out = append(out, part{text: name, hole: true})
		rest = rest[end+1:]
	}
	return out, nil
}

// expand fills a template with a row's columns. The hole ${id} stays, because
// the id is computed from the result.
func expand(template string, get func(column string) (string, bool)) (string, error) {
	pieces, err := parts(template)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, p := range pieces {
		switch {
		case !p.hole:
			out.WriteString(p.text)
		case p.text == ColumnID:
			out.WriteString(ident.Placeholder)
		default:
			value, ok := get(p.text)
			if !ok {
				return "", fmt.Errorf("template %q: column %s is null", template, p.text)
			}
			out.WriteString(value)
		}
	}
	return out.String(), nil
}
