package counter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/morango-go/morango/ident"
)

// Bounds of an FSIC that comes from a peer. Databases with 100,000 counters have
// been seen.
const (
	MaxText      = 16 << 20 // bytes
	MaxCounters  = 250_000  // partitions and instances together
	MaxPartition = 1024     // bytes of a partition
)

// ErrMalformed says that a text is no FSIC. Errors of Parse wrap it.
var ErrMalformed = errors.New("malformed FSIC")

// Parse reads an FSIC from the wire: v2 when it has "super" or "sub", and then it
// needs both; else v1. "{}" is a v1 without counters, which is also what peers send
// while there is none. Parse trusts nothing: names that are no ids, counters out of
// range, repeated names, NUL in partitions and more than the bounds are refused.
// The error wraps ErrMalformed and says what is wrong.
func Parse(text []byte) (FSIC, error) {
	if len(text) > MaxText {
		return FSIC{}, fmt.Errorf("%d bytes where %d is the limit: %w", len(text), MaxText, ErrMalformed)
	}
	r := reader{json: jsontext.NewDecoder(bytes.NewReader(text))}
	f, err := r.fsic()
	if err != nil {
		return FSIC{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return f, nil
}

// reader reads the parts of an FSIC and counts them.
type reader struct {
	json *jsontext.Decoder
	read int
}

func (r *reader) fsic() (FSIC, error) {
	f := FSIC{}
	err := r.object("an FSIC", func(name string) (err error) {
		switch name {
		case "super":
			f.Super, err = r.partitions()
		case "sub":
			f.Sub, err = r.partitions()
		default:
			if f.Legacy == nil {
				f.Legacy = Counters{}
			}
			err = r.counter(f.Legacy, name)
		}
		return err
	})
	if err != nil {
		return FSIC{}, err
	}
	if _, err := r.json.ReadToken(); !errors.Is(err, io.EOF) {
		return FSIC{}, errors.New("more follows after the object")
	}
	switch v2 := f.Super != nil || f.Sub != nil; {
	case !v2 && f.Legacy == nil:
		f.Legacy = Counters{}
	case v2 && f.Legacy != nil:
		return FSIC{}, errors.New(`counters beside "super" and "sub"`)
	case v2 && (f.Super == nil || f.Sub == nil):
		return FSIC{}, errors.New(`one of "super" and "sub" without the other`)
	}
	return f, nil
}

func (r *reader) partitions() (ByPartition, error) {
	b := ByPartition{}
	err := r.object("a set of partitions", func(prefix string) error {
		if len(prefix) > MaxPartition || strings.ContainsRune(prefix, 0) {
			return fmt.Errorf("partition %.40q is longer than %d bytes or holds NUL", prefix, MaxPartition)
		}
		counters := Counters{}
		b[prefix] = counters
		return r.object("a set of counters", func(instance string) error {
			return r.counter(counters, instance)
		})
	})
	return b, err
}

// counter reads the counter of an instance into counters.
func (r *reader) counter(counters Counters, instance string) error {
	if !ident.Valid(instance) {
		return fmt.Errorf("instance %.40q is no id", instance)
	}
	token, err := r.json.ReadToken()
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(token.String(), 10, 31)
	if token.Kind() != '0' || err != nil {
		return fmt.Errorf("counter %.40s of instance %s is no integer from 0 to %d", token, instance, Greatest)
	}
	counters[instance] = int64(n)
	return nil
}

// object reads a JSON object; member reads the value of each name.
func (r *reader) object(what string, member func(name string) error) error {
	open, err := r.json.ReadToken()
	if err != nil {
		return err
	}
	if open.Kind() != '{' {
		return fmt.Errorf("%s is no object", what)
	}
	for r.json.PeekKind() != '}' {
		name, err := r.json.ReadToken()
		if err != nil {
			return err
		}
		if r.read++; r.read > MaxCounters {
			return fmt.Errorf("more than %d partitions and instances", MaxCounters)
		}
		if err := member(name.String()); err != nil {
			return err
		}
	}
	_, err = r.json.ReadToken()
	return err
}

// MarshalJSON returns the wire text, with keys in sorted order.
func (f FSIC) MarshalJSON() ([]byte, error) { return []byte(f.String()), nil }

// String returns the wire text: a JSON object with sorted keys, spaced as Python
// spaces it.
func (f FSIC) String() string {
	var text []byte
	if f.IsLegacy() {
		return string(f.Legacy.appendTo(text))
	}
	text = append(text, `{"super": `...)
	text = f.Super.appendTo(text)
	text = append(text, `, "sub": `...)
	text = f.Sub.appendTo(text)
	return string(append(text, '}'))
}

func (b ByPartition) appendTo(text []byte) []byte {
	text = append(text, '{')
	for i, prefix := range slices.Sorted(maps.Keys(b)) {
		text = appendName(text, i, prefix)
		text = b[prefix].appendTo(text)
	}
	return append(text, '}')
}

func (c Counters) appendTo(text []byte) []byte {
	text = append(text, '{')
	for i, instance := range slices.Sorted(maps.Keys(c)) {
		text = appendName(text, i, instance)
		text = strconv.AppendInt(text, c[instance], 10)
	}
	return append(text, '}')
}

// appendName writes the name of an object's member, and the comma before it.
func appendName(text []byte, position int, name string) []byte {
	if position > 0 {
		text = append(text, ", "...)
	}
	// Only invalid UTF-8 is an error here. It never came from a peer (see Parse).
	text, _ = jsontext.AppendQuote(text, strings.ToValidUTF8(name, "\ufffd"))
	return append(text, ": "...)
}
