package partition

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrParams says that a text is not the JSON object of a scope's parameters.
// Errors of BuildJSON and NewScopeJSON wrap it.
var ErrParams = errors.New("not a JSON object of scope parameters")

// Bounds of parameters that come from a peer.
const (
	maxParams = 64 << 10 // bytes of the text
	maxDepth  = 32       // of lists and objects in each other
	maxDigits = 4300     // of a number: Python reads no longer ones
)

// member is one name and value of an object, in the order as written.
type member struct {
	name  string
	value any
}

// number is a JSON number by its digits.
type number string

// parseParams returns the parameters of a JSON object, each in its text form.
func parseParams(text string) (map[string]string, error) {
	if len(text) > maxParams {
		return nil, fmt.Errorf("%d bytes where %d is the limit: %w", len(text), maxParams, ErrParams)
	}
	decoder := jsontext.NewDecoder(strings.NewReader(text))
	value, err := readValue(decoder, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrParams, err)
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("more follows after the value: %w", ErrParams)
	}
	object, ok := value.([]member)
	if !ok {
		return nil, fmt.Errorf("the value is no object: %w", ErrParams)
	}
	texts := make(map[string]string, len(object))
	for _, m := range object {
		texts[m.name] = pythonText(m.value)
	}
	return texts, nil
}

// readValue reads one JSON value as nil, bool, string, number, []any or []member.
func readValue(decoder *jsontext.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("more than %d lists and objects in each other", maxDepth)
	}
	token, err := decoder.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case '[':
		list := []any{}
		for decoder.PeekKind() != ']' {
			element, err := readValue(decoder, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, element)
		}
		_, err := decoder.ReadToken()
		return list, err
	case '{':
		object := []member{}
		for decoder.PeekKind() != '}' {
			name, err := decoder.ReadToken()
			if err != nil {
				return nil, err
			}
			m := member{name: name.String()}
			if m.value, err = readValue(decoder, depth+1); err != nil {
				return nil, err
			}
			object = append(object, m)
		}
		_, err := decoder.ReadToken()
		return object, err
	default:
		return scalar(token)
	}
}

func scalar(token jsontext.Token) (any, error) {
	switch token.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return token.Bool(), nil
	case '"':
		return token.String(), nil
	default:
		digits := token.String()
		if len(digits) > maxDigits {
			return nil, fmt.Errorf("a number of %d characters", len(digits))
		}
		return number(digits), nil
	}
}

// textsOf returns parameters given as Go values in their text form.
func textsOf(params map[string]any) map[string]string {
	texts := make(map[string]string, len(params))
	for name, value := range params {
		texts[name] = pythonText(value)
	}
	return texts
}

// objectOf returns a map as an object in sorted order.
func objectOf(values map[string]any) []member {
	object := make([]member, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		object = append(object, member{name, values[name]})
	}
	return object
}

// text returns the number as Python writes what it read: integers by their digits,
// others as a float.
func (n number) text() string {
	digits := string(n)
	if !strings.ContainsAny(digits, ".eE") {
		if digits == "-0" {
			return "0"
		}
		return digits
	}
	float, err := strconv.ParseFloat(digits, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // beyond the range it is infinite
		return digits
	}
	return pythonFloat(float)
}
