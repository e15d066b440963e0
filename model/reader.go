package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// reader walks a parsed YAML document. It goes on after a problem, so that all
// are reported at once.
type reader struct {
	*findings
}

// keys maps each key that may stand in a mapping to what reads its value.
type keys map[string]func(ast.Node)

// mark remembers the line of node for problems found at p.
func (r *reader) mark(p place, node ast.Node) {
	r.at[p] = r.line(node)
}

// line gives a node's place as file:line.
func (r *reader) line(node ast.Node) string {
	if node == nil {
		return r.name
	}
	if token := node.GetToken(); token != nil && token.Position != nil {
		return fmt.Sprintf("%s:%d", r.name, token.Position.Line)
	}
	return r.name
}

// wrong notes a problem at a node, about what p names.
func (r *reader) wrong(p place, node ast.Node, format string, args ...any) {
	r.mark(p, node)
	r.add(p, format, args...)
}

// pairs returns a mapping's entries, whichever of the parser's two node types it is.
func pairs(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	default:
		return nil, false
	}
}

// mapping reads the entries of a mapping by known. owner says whose keys they
// are; a key that is not known, or stands twice, is a problem.
func (r *reader) mapping(owner place, node ast.Node, known keys) {
	entries, ok := pairs(node)
	if !ok {
		r.wrong(owner, node, "expected a mapping with some of %s", list(known))
		return
	}
	seen := map[string]bool{}
	for _, entry := range entries {
		name, ok := r.key(owner, entry)
		if !ok {
			continue
		}
		at := owner
		at.key = name
		read := known[name]
		switch {
		case seen[name]:
			r.wrong(at, entry.Key, "key %q stands twice", name)
		case read == nil:
			r.wrong(at, entry.Key, "unknown key %q; known are %s", name, list(known))
		default:
			r.mark(at, entry.Key)
			read(entry.Value)
		}
		seen[name] = true
	}
}

// key returns an entry's key as text.
func (r *reader) key(owner place, entry *ast.MappingValueNode) (string, bool) {
	if node, ok := entry.Key.(*ast.StringNode); ok {
		return node.Value, true
	}
	r.wrong(owner, entry.Key, "a key must be plain text; anchors, aliases and merge keys are not read")
	return "", false
}

// list names the known keys in alphabetical order.
func list(known keys) string {
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// items returns the members of a list.
func (r *reader) items(at place, node ast.Node) []ast.Node {
	if n, ok := node.(*ast.SequenceNode); ok {
		return n.Values
	}
	r.wrong(at, node, "expected a list")
	return nil
}

// text reads a string; numbers and booleans must be quoted to be one.
func (r *reader) text(at place, node ast.Node) string {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	default:
		r.wrong(at, node, "expected text; put it in quotes")
		return ""
	}
}

// flag reads true or false.
func (r *reader) flag(at place, node ast.Node) bool {
	if n, ok := node.(*ast.BoolNode); ok {
		return n.Value
	}
	r.wrong(at, node, "expected true or false")
	return false
}

// whole reads a whole number.
func (r *reader) whole(at place, node ast.Node) int {
	if value, ok := scalar(node); ok {
		if n, ok := value.(int64); ok && n >= -1<<31 && n < 1<<31 {
			return int(n)
		}
	}
	r.wrong(at, node, "expected a whole number of 32 bits")
	return 0
}

// number reads a number.
func (r *reader) number(at place, node ast.Node) *float64 {
	if value, ok := scalar(node); ok {
		switch n := value.(type) {
		case int64:
			f := float64(n)
			return &f
		case float64:
			return &n
		}
	}
	r.wrong(at, node, "expected a number")
	return nil
}

// scalar returns nil, string, bool, int64 or float64; false for anything else.
func scalar(node ast.Node) (any, bool) {
	switch n := node.(type) {
	case *ast.NullNode:
		return nil, true
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.BoolNode:
		return n.Value, true
	case *ast.FloatNode:
		return n.Value, true
	case *ast.IntegerNode:
		switch i := n.Value.(type) {
		case int64:
			return i, true
		case uint64:
			return int64(i), i < 1<<63
		}
	}
	return nil, false
}
