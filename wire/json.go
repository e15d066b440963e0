package wire

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrTooLarge is the error of everything that exceeds a limit of bytes or counts.
var ErrTooLarge = errors.New("body is too large")

// Marshal gives the JSON of a body, compact, fields in order. U+2028 and U+2029
// are escaped, as the reference does.
func Marshal(body any) ([]byte, error) {
	text, err := json.Marshal(body, json.Deterministic(true), jsontext.EscapeForJS(true))
	if err != nil {
		return nil, fmt.Errorf("write %T as JSON: %w", body, err)
	}
	return text, nil
}

// MarshalText is Marshal with a space after commas and colons: the form of JSON
// that stands inside a string, such as an instance in a sync session.
func MarshalText(body any) (string, error) {
	text, err := json.Marshal(body, json.Deterministic(true), jsontext.SpaceAfterColon(true), jsontext.SpaceAfterComma(true))
	if err != nil {
		return "", fmt.Errorf("write %T as JSON: %w", body, err)
	}
	return string(text), nil
}

// Read reads one JSON value of at most limit bytes into body. Unknown fields are
// passed over; wrong types, repeated names, invalid UTF-8 and anything after the
// value are errors: a *FormatError or FieldErrors, or ErrTooLarge.
func Read(r io.Reader, limit int64, body any) error {
	text, err := ReadAll(r, limit)
	if err != nil {
		return err
	}
	return unmarshal(text, body)
}

// ReadAll reads all of r, at most limit bytes: one more is ErrTooLarge.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return text, nil
}

func unmarshal(text []byte, body any) error {
	if err := json.Unmarshal(text, body); err != nil {
		return explain(err)
	}
	return nil
}

// explain turns an error of the decoder into one that a peer can read.
func explain(err error) error {
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		field, _, _ := strings.Cut(strings.TrimPrefix(string(semantic.JSONPointer), "/"), "/")
		if field == "" {
			return &FormatError{Reason: "Invalid data. A " + kindOf(semantic) + " does not belong here."}
		}
		return fieldError(field, wanted(semantic))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return &FormatError{Reason: "JSON parse error - the text ends too early"}
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return &FormatError{Reason: fmt.Sprintf("JSON parse error - %v at byte %d", cause(syntax), syntax.ByteOffset)}
	}
	return &FormatError{Reason: "JSON parse error - not a single JSON value of the right shape"}
}

// cause is the innermost reason of a syntax error, without quoting the text.
func cause(err *jsontext.SyntacticError) error {
	if err.Err != nil {
		return err.Err
	}
	return errors.New("unexpected character")
}

// kindOf names the JSON kind that was found.
func kindOf(err *json.SemanticError) string {
	switch err.JSONKind {
	case 'n':
		return "null"
	case 't', 'f':
		return "boolean"
	case '"':
		return "string"
	case '0':
		return "number"
	case '{':
		return "object"
	case '[':
		return "list"
	}
	return "value"
}

// wanted says what should have stood there, in the reference's words.
func wanted(err *json.SemanticError) string {
	if err.GoType != nil {
		switch err.GoType.Kind().String() {
		case "int", "int64":
			return textInteger
		case "bool":
			return textBoolean
		case "string":
			return textString
		}
	}
	return "Invalid value."
}

// The texts of field errors, as the reference has them.
const (
	textRequired = "This field is required."
	textNull     = "This field may not be null."
	textInteger  = "A valid integer is required."
	textBoolean  = "Must be a valid boolean."
	textString   = "Not a valid string."
	textUnknown  = "This field is not known."
)
