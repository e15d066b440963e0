package record

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a record's JSON, far above what any
// application writes and below what the reference can read.
const maxDepth = 500

// errNotObject tells that a text is JSON, but no object.
var errNotObject = errors.New("the JSON text is not an object")

// member is one key of an object with its value, both as they stand in the text.
type member struct {
	key    string // unescaped
	rawKey string
	raw    string
}

// object is the members of an object; no two have the same key.
type object []member

// find returns the value of a key as it stands in the text. Keys mostly stand where the
// columns do: it looks there first.
func (o object) find(key string, likely int) (raw string, found bool) {
	if likely < len(o) && o[likely].key == key {
		return o[likely].raw, true
	}
	for i := range o {
		if o[i].key == key {
			return o[i].raw, true
		}
	}
	return "", false
}

// from is the place of an item that is looked for, less than 0 when there is none. It
// begins at a place and comes around.
func from[T any](start int, list []T, is func(T) bool) int {
	for n := range list {
		if at := (start + n) % len(list); is(list[at]) {
			return at
		}
	}
	return -1
}

// members splits the text of a JSON object. It reads what the reference reads:
// JSON with NaN and Infinity, and with lone surrogates in escapes. Of a key that
// stands twice the last value counts, at the place of the first.
func members(text string) (object, error) { return split(text, make(object, 0, 32)) }

// split is members, into the room of a list that is not needed any more.
func split(text string, list object) (object, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("the JSON text is not valid UTF-8")
	}
	s := scanner{text: text}
	if s.space(); s.peek() != '{' {
		if err := s.skip(0); err != nil {
			return nil, err
		}
		return nil, errors.Join(errNotObject, s.end())
	}
	err := s.group('}', func() error {
		m, err := s.member(1)
		if err == nil {
			list = append(list, m)
		}
		return err
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, err
	}
	return lastWins(list), nil
}

// lastWins folds members with one key together.
func lastWins(list object) object {
	if len(list) <= manyMembers {
		return lastOfFew(list)
	}
	place := make(map[string]int, len(list))
	kept := list[:0]
	for _, m := range list {
		if i, twice := place[m.key]; twice {
			kept[i].raw = m.raw
			continue
		}
		place[m.key] = len(kept)
		kept = append(kept, m)
	}
	return kept
}

// manyMembers is above how many a map of them is faster than looking through them.
const manyMembers = 48

func lastOfFew(list object) object {
	kept := list[:0]
next:
	for i := range list {
		for k := range kept {
			if kept[k].key == list[i].key {
				kept[k].raw = list[i].raw
				continue next
			}
		}
		kept = append(kept, list[i])
	}
	return kept
}

// scanner walks over JSON text without building values.
type scanner struct {
	text string
	pos  int
}

func (s *scanner) fail(want string) error {
	return fmt.Errorf("the JSON text is broken at byte %d: expected %s", s.pos, want)
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

func (s *scanner) end() error {
	if s.space(); s.pos < len(s.text) {
		return s.fail("the end")
	}
	return nil
}

// group reads the bracket at pos and its items up to the closing bracket.
func (s *scanner) group(closing byte, item func() error) error {
	s.pos++
	if s.space(); s.peek() == closing {
		s.pos++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
		case closing:
			s.pos++
			return nil
		default:
			return s.fail(fmt.Sprintf("a comma or %q", closing))
		}
	}
}

// member reads one key with its value, at the given depth.
func (s *scanner) member(depth int) (member, error) {
	s.space()
	start := s.pos
	if s.peek() != '"' {
		return member{}, s.fail("a key in quotes")
	}
	if err := s.str(); err != nil {
		return member{}, err
	}
	m := member{rawKey: s.text[start:s.pos]}
	m.key = unquote(m.rawKey)
	if s.space(); s.peek() != ':' {
		return member{}, s.fail("a colon")
	}
	s.pos++
	s.space()
	start = s.pos
	if err := s.skip(depth); err != nil {
		return member{}, err
	}
	m.raw = s.text[start:s.pos]
	return m, nil
}

// skip reads one value of any kind.
func (s *scanner) skip(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("the JSON text is nested deeper than %d", maxDepth)
	}
	s.space()
	switch c := s.peek(); {
	case c == '{':
		return s.group('}', func() error {
			_, err := s.member(depth + 1)
			return err
		})
	case c == '[':
		return s.group(']', func() error { return s.skip(depth + 1) })
	case c == '"':
		return s.str()
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	}
	if word := words[s.peek()]; word != "" && strings.HasPrefix(s.text[s.pos:], word) {
		s.pos += len(word)
		return nil
	}
	return s.fail("a value")
}

// words are the values that are words, by how they begin.
var words = [256]string{'t': "true", 'f': "false", 'n': "null", 'N': "NaN", 'I': "Infinity"}

// str reads a string up to its closing quote.
func (s *scanner) str() error {
	for s.pos++; s.pos < len(s.text); s.pos++ {
		switch c := s.text[s.pos]; {
		case c >= ' ' && c != '"' && c != '\\':
		case c == '"':
			s.pos++
			return nil
		case c < ' ':
			return s.fail("no control character in a string")
		case c == '\\':
			if s.pos++; s.peek() == 'u' {
				if _, ok := hex4(s.text, s.pos+1); !ok {
					return s.fail("four hex digits")
				}
				s.pos += 4
			} else if strings.IndexByte(`"\/bfnrt`, s.peek()) < 0 {
				return s.fail("an escape")
			}
		}
	}
	return s.fail("the end of the string")
}

// number reads a number, or -Infinity.
func (s *scanner) number() error {
	if s.peek() == '-' {
		if s.pos++; strings.HasPrefix(s.text[s.pos:], "Infinity") {
			s.pos += len("Infinity")
			return nil
		}
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return s.fail("a digit")
	}
	if s.peek() == '.' {
		if s.pos++; !s.digits() {
			return s.fail("a digit")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.fail("a digit")
		}
	}
	return nil
}

// digits reads decimal digits and reports whether there was one.
func (s *scanner) digits() bool {
	start := s.pos
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}
