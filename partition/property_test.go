package partition_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/morango-go/morango/partition"
)

// edges returns the characters around which the length of UTF-8 changes, and some
// that are plain.
func edges() []rune {
	return []rune{
		'a', 'b', ':', '%', '_', 0x0, 0x1, 0x7f, 0x80, 0x7ff, 0x800, 0xd7fe, 0xd7ff, 0xe000, 0xe001,
		0xfffd, 0xffff, 0x10000, 0x10fffe, 0x10ffff,
	}
}

// texts are short strings over few characters, so that they often begin with each
// other.
func texts() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringOfN(rapid.SampledFrom(edges()), 0, 5, -1), rapid.String())
}

// words are partitions so few that they often begin with each other.
func words() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "a:", "a:b", "a:b:c", "ab", "aÉ", "b"}),
		rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'b', ':', '%', 'É'}), 0, 4, -1),
	)
}

func filters() *rapid.Generator[partition.Filter] {
	return rapid.Custom(func(t *rapid.T) partition.Filter {
		return partition.Of(rapid.SliceOfN(words(), 1, 4).Draw(t, "prefixes")...)
	})
}

func TestRangeIsHasPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix := texts().Draw(t, "prefix")
		s := rapid.OneOf(texts(), rapid.Map(texts(), func(s string) string { return prefix + s })).Draw(t, "s")
		if err := checkRange(prefix, s); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRangeAtTheEdges(t *testing.T) {
	pairs := []string{""}
	for _, a := range edges() {
		pairs = append(pairs, string(a))
		for _, b := range edges() {
			pairs = append(pairs, string([]rune{a, b}))
		}
	}
	for _, prefix := range pairs {
		for _, s := range pairs {
			if err := checkRange(prefix, s); err != nil {
				t.Error(err)
			}
		}
	}
}

// checkRange says what is wrong with the range of a prefix, seen from s.
func checkRange(prefix, s string) error {
	lo, hi, bounded := partition.Range(prefix)
	switch in := s >= lo && (!bounded || s < hi); {
	case in != strings.HasPrefix(s, prefix):
		return fmt.Errorf("%q in [%q, %q) bounded %v: %v", s, lo, hi, bounded, in)
	case !bounded && strings.Trim(prefix, "\U0010FFFF") != "":
		return fmt.Errorf("no upper bound for %q", prefix)
	case !utf8.ValidString(hi), strings.Count(hi, "\x00") > strings.Count(prefix, "\x00"):
		return fmt.Errorf("hi %q is no text for a database", hi)
	case bounded && hi <= lo:
		return fmt.Errorf("hi %q is not above lo %q", hi, lo)
	}
	return nil
}

func TestRangeOfEverything(t *testing.T) {
	if lo, hi, bounded := partition.Range(""); lo != "" || hi != "" || bounded {
		t.Errorf("Range of the empty prefix: %q, %q, %v", lo, hi, bounded)
	}
}

func TestSubsetMeansContainment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, g, h := filters().Draw(t, "f"), filters().Draw(t, "g"), filters().Draw(t, "h")
		p := words().Draw(t, "partition")
		if f.SubsetOf(g) && f.Contains(p) && !g.Contains(p) {
			t.Fatalf("%q lies in %q but not in %q", p, f, g)
		}
		if f.SubsetOf(g) && g.SubsetOf(h) && !f.SubsetOf(h) {
			t.Fatal("not transitive")
		}
		if !f.SubsetOf(f) || !f.Equal(f) || !f.SubsetOf(partition.All()) {
			t.Fatal("not reflexive, or not within all")
		}
		if f.Equal(g) && (!f.SubsetOf(g) || !g.SubsetOf(f) || f.Contains(p) != g.Contains(p)) {
			t.Fatal("equal filters differ")
		}
	})
}

func TestPlusIsUnion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, g := partition.Parse(filters().Draw(t, "f").String()), partition.Parse(filters().Draw(t, "g").String())
		p := words().Draw(t, "partition")
		sum := f.Plus(g)
		switch all := partition.All(); {
		case f.Equal(all):
			if !sum.Equal(g) {
				t.Fatalf("all plus %q is %q", g, sum)
			}
		case g.Equal(all):
			if !sum.Equal(f) {
				t.Fatalf("%q plus all is %q", f, sum)
			}
		default:
			if sum.Contains(p) != (f.Contains(p) || g.Contains(p)) {
				t.Fatalf("%q in %q: %v", p, sum, sum.Contains(p))
			}
		}
	})
}

func TestTheZeroFilter(t *testing.T) {
	var zero partition.Filter
	if !zero.IsZero() || zero.Len() != 0 || zero.Contains("") || zero.Contains("a") {
		t.Error("the zero filter matches something")
	}
	if !zero.SubsetOf(zero) || partition.All().SubsetOf(zero) || !zero.Plus(zero).IsZero() {
		t.Error("the zero filter is no empty set")
	}
	if all := partition.All(); all.IsZero() || !all.Contains("") || !zero.Plus(all).Equal(all) {
		t.Error("all does not match all")
	}
	if err := (partition.Scope{}).SubsetOf(partition.Scope{}); err != nil {
		t.Error(err)
	}
}

func TestFiltersAreImmutable(t *testing.T) {
	given := []string{"a", "b"}
	f := partition.Of(given...)
	given[0] = "x"
	f.Prefixes()[1] = "x"
	if f.String() != "a\nb" {
		t.Errorf("filter became %q", f)
	}
}

// Whatever text comes over the wire, its prefixes are words, and its canonical text
// means the same.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "a", "a\nb", " a\u0085b\x1c\u3000c\u200bd ", "%_'\\", "\xff\x00\n\xc0", "\U0010ffff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed := partition.Parse(text)
		again := partition.Parse(parsed.String())
		if parsed.String() != again.String() || parsed.Len() != again.Len() {
			t.Errorf("%q parses to %q, that to %q", text, parsed, again)
		}
		for _, p := range parsed.Prefixes() {
			if p == "" && parsed.Len() > 1 || strings.ContainsAny(p, " \t\n\v\f\r\x1c\x1d\x1e\x1f\u0085\u00a0\u2028") {
				t.Errorf("prefix %q of %q", p, text)
			}
			if lo, hi, bounded := partition.Range(p); lo != p || bounded && hi <= lo {
				t.Errorf("range of %q: %q to %q", p, lo, hi)
			}
		}
	})
}
