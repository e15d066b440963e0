// Package partition holds filters: ordered sets of partition prefixes that say
// which subset of the records somebody may see or wants to transfer; the scopes
// that certificates grant; and the templates that both are made from.
//
// It belongs to the words layer: pure values, no I/O. It imports nothing
// of the project. On a row's path it decides at every stage whether a row
// takes part.
package partition

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Filter is an ordered set of partition prefixes. The zero value has no prefix
// and matches nothing on its own; the filter that matches all is All.
// A filter is immutable.
type Filter struct{ prefixes []string }

// Of returns the filter of exactly these prefixes, in this order. A prefix may be
// "", which matches all. Of() is the zero filter.
func Of(prefixes ...string) Filter { return Filter{slices.Clone(prefixes)} }

// All returns the filter that matches every partition: the one prefix "".
func All() Filter { return Filter{[]string{""}} }

// Parse reads a filter's text as it travels: prefixes separated by white space,
// usually newlines. Text without any prefix is the filter that matches all.
func Parse(text string) Filter {
	prefixes := strings.FieldsFunc(text, isSpace)
	if len(prefixes) == 0 {
		return All()
	}
	return Filter{prefixes}
}

// isSpace says what separates prefixes: Unicode white space and the four ASCII
// separators, which Python peers count among it.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f
}

// Prefixes returns the prefixes in order, as a copy.
func (f Filter) Prefixes() []string { return slices.Clone(f.prefixes) }

// Len returns the number of prefixes.
func (f Filter) Len() int { return len(f.prefixes) }

// IsZero says whether the filter has no prefix at all (not even "").
func (f Filter) IsZero() bool { return len(f.prefixes) == 0 }

// String returns the filter's text as it travels: the prefixes joined by
// newlines.
func (f Filter) String() string { return strings.Join(f.prefixes, "\n") }

// Contains says whether the partition lies in the filter: one of the prefixes
// begins it. Segments do not matter: "abc" contains "abcd:x".
func (f Filter) Contains(partition string) bool {
	for _, p := range f.prefixes {
		if strings.HasPrefix(partition, p) {
			return true
		}
	}
	return false
}

// SubsetOf says whether everything that f matches is matched by g too: each
// prefix of f lies in g.
func (f Filter) SubsetOf(g Filter) bool {
	for _, p := range f.prefixes {
		if !g.Contains(p) {
			return false
		}
	}
	return true
}

// Equal says whether f and g have the same prefixes, whatever their order and
// however often.
func (f Filter) Equal(g Filter) bool {
	return f.within(g) && g.within(f)
}

// within says whether each prefix of f is also a prefix of g.
func (f Filter) within(g Filter) bool {
	for _, p := range f.prefixes {
		if !slices.Contains(g.prefixes, p) {
			return false
		}
	}
	return true
}

// Plus returns the prefixes of f followed by those of g. It joins texts, as the
// templates of a scope are joined: the prefix "" has no text and gets lost beside
// any other, so All().Plus(g) is g.
func (f Filter) Plus(g Filter) Filter {
	var sum []string
	for _, p := range slices.Concat(f.prefixes, g.prefixes) {
		if p != "" {
			sum = append(sum, p)
		}
	}
	if sum == nil && f.Len()+g.Len() > 0 {
		return All()
	}
	return Filter{sum}
}

// Range returns the bounds of the strings that begin with prefix, in the order of
// their UTF-8 bytes, which is that of their code points: lo <= s, and s < hi when
// bounded is true. Without an upper bound (prefix "", or nothing but U+10FFFF)
// hi is "" and only lo counts. For a prefix of valid UTF-8, hi is valid UTF-8 and
// adds no NUL, so that a database takes it as text.
func Range(prefix string) (lo, hi string, bounded bool) {
	for rest := prefix; rest != ""; {
		r, size := utf8.DecodeLastRuneInString(rest)
		last := rest[len(rest)-size:]
		rest = rest[:len(rest)-size]
		switch {
		case r == utf8.RuneError && size == 1: // no UTF-8: the order of the bytes still holds
			if last[0] < 0xff {
				return prefix, rest + string([]byte{last[0] + 1}), true
			}
		case r == 0xd7ff: // the surrogates follow, which are no characters
			return prefix, rest + "\ue000", true
		case r < utf8.MaxRune:
			return prefix, rest + string(r+1), true
		}
	}
	return prefix, "", false
}
