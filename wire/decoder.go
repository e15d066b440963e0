package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// decoder reads records token by token: no reflection, no copy of the body, and a
// field that is missing or of the wrong type is told by name. After the first
// error, kept in err, it does nothing more.
type decoder struct {
	from   *source
	tokens *jsontext.Decoder
	err    error
	// What was read last: most names and many values come again, in each record.
	names map[string]string
	last  map[string]string // by field
}

// maxNames is how many names are remembered; the peer may send any.
const maxNames = 64

func newDecoder(r io.Reader) *decoder {
	from := &source{from: r}
	return &decoder{from: from, tokens: jsontext.NewDecoder(from), names: map[string]string{}, last: map[string]string{}}
}

// source notes why reading ended before its end, so that a connection that broke is
// not taken for a peer that sends nonsense.
type source struct {
	from io.Reader
	err  error // nil at the end, too
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// fail keeps the first error; errors of the reader below pass unchanged.
func (d *decoder) fail(err error) {
	if d.err != nil {
		return
	}
	var format *FormatError
	var fields FieldErrors
	switch {
	case d.from.err != nil:
		d.err = fmt.Errorf("read body: %w", d.from.err)
	case errors.Is(err, ErrTooLarge), errors.As(err, &fields):
		d.err = err
	case errors.As(err, &format):
		d.err = format
	default:
		d.err = explain(err)
	}
}

func (d *decoder) peek() jsontext.Kind {
	if d.err != nil {
		return 0
	}
	kind := d.tokens.PeekKind()
	if kind == jsontext.KindInvalid {
		_, err := d.tokens.ReadToken()
		d.fail(err)
	}
	return kind
}

// token reads the next token, which must be of one of the kinds.
func (d *decoder) token(field, reason string, kinds ...jsontext.Kind) (jsontext.Token, bool) {
	kind := d.peek()
	if d.err != nil {
		return jsontext.Token{}, false
	}
	for _, k := range kinds {
		if k != kind {
			continue
		}
		token, err := d.tokens.ReadToken()
		if err != nil {
			d.fail(err)
			return jsontext.Token{}, false
		}
		return token, true
	}
	if kind == 'n' {
		reason = textNull
	}
	if field == "" {
		d.fail(&FormatError{Reason: "Invalid data. " + reason})
	} else {
		d.fail(fieldError(field, reason))
	}
	return jsontext.Token{}, false
}

func (d *decoder) text(field string) string {
	if d.peek() != '"' {
		d.token(field, textString, '"') // says what is wrong
		return ""
	}
	text, plain, ok := d.quoted()
	switch last := d.last[field]; {
	case !ok:
		return ""
	case plain && string(text) == last:
		return last
	case len(text) > maxRepeated:
		return string(text)
	}
	d.last[field] = string(text)
	return d.last[field]
}

// maxRepeated is how long texts are that may come again.
const maxRepeated = 64

// quoted reads the string that comes next. The text is valid until more is read; plain
// says that it stands there without escapes.
func (d *decoder) quoted() (text []byte, plain, ok bool) {
	raw, err := d.tokens.ReadValue()
	if err == nil && bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], true, true
	}
	if err == nil {
		text, err = jsontext.AppendUnquote(nil, raw)
	}
	if err != nil {
		d.fail(err)
		return nil, false, false
	}
	return text, false, true
}

// name reads the name of a member.
func (d *decoder) name(of string) (name string, ok bool) {
	if d.peek() != '"' {
		_, ok = d.token(of, textString, '"')
		return "", ok
	}
	text, _, ok := d.quoted()
	if !ok {
		return "", false
	}
	if known, ok := d.names[string(text)]; ok {
		return known, true
	}
	name = string(text)
	if len(d.names) < maxNames && len(name) <= maxRepeated {
		d.names[name] = name
	}
	return name, true
}

func (d *decoder) optionalText(field string) *string {
	if d.peek() == 'n' {
		d.token(field, textString, 'n')
		return nil
	}
	text := d.text(field)
	return &text
}

func (d *decoder) boolean(field string) bool {
	token, ok := d.token(field, textBoolean, 't', 'f')
	return ok && token.Bool()
}

// integer reads a whole number, refusing 1.0, 1e3 and what exceeds 64 bits.
func (d *decoder) integer(field string) int64 {
	token, ok := d.token(field, textInteger, '0')
	if !ok {
		return 0
	}
	number, err := strconv.ParseInt(token.String(), 10, 64)
	if err != nil {
		d.fail(fieldError(field, textInteger))
	}
	return number
}

// object reads an object. value is called for each name and reads its value, or
// returns false to have it passed over. All names of required must appear.
func (d *decoder) object(field string, value func(name string) bool, required ...string) {
	if _, ok := d.token(field, "Expected a JSON object.", '{'); !ok {
		return
	}
	var seen uint64 // of required
	for d.peek() != '}' {
		name, ok := d.name(field)
		if !ok {
			return
		}
		if i := slices.Index(required, name); i >= 0 {
			seen |= 1 << i
		}
		if !value(name) {
			if err := d.tokens.SkipValue(); err != nil {
				d.fail(err)
			}
		}
		if d.err != nil {
			return
		}
	}
	d.token(field, "", '}')
	for i, name := range required {
		if seen&(1<<i) == 0 {
			d.fail(fieldError(name, textRequired))
		}
	}
}

// shortened is a name of the peer's that is put into an answer.
func shortened(name string) string { return fmt.Sprintf("%.64s", name) }

// list reads a list, at most limit elements.
func (d *decoder) list(field string, limit int, element func()) {
	if _, ok := d.token(field, "Expected a list.", '['); !ok {
		return
	}
	for n := 0; d.peek() != ']'; n++ {
		if d.err != nil {
			return
		}
		if n == limit {
			d.fail(fmt.Errorf("%w: more than %d records", ErrTooLarge, limit))
			return
		}
		element()
	}
	d.token(field, "", ']')
}

// end checks that nothing follows.
func (d *decoder) end() {
	if d.err != nil {
		return
	}
	if _, err := d.tokens.ReadToken(); err == nil {
		d.fail(&FormatError{Reason: "JSON parse error - something follows after the end"})
	} else if !errors.Is(err, io.EOF) {
		d.fail(err)
	}
}

func (d *decoder) records(limit int) []BufferRecord {
	records := []BufferRecord{}
	d.list("results", limit, func() { records = append(records, d.record()) })
	return records
}

// record reads one record. Fields that the reference gives a default may be
// missing; one that is not known is an error, for what it says would get lost.
func (d *decoder) record() BufferRecord {
	var b BufferRecord
	d.object("", func(name string) bool {
		switch name {
		case "serialized":
			b.Serialized = d.text(name)
		case "deleted":
			b.Deleted = d.boolean(name)
		case "last_saved_instance":
			b.LastSavedInstance = d.text(name)
		case "last_saved_counter":
			b.LastSavedCounter = d.integer(name)
		case "hard_deleted":
			b.HardDeleted = d.boolean(name)
		case "partition":
			b.Partition = d.text(name)
		case "source_id":
			b.SourceID = d.text(name)
		case "model_name":
			b.ModelName = d.text(name)
		case "conflicting_serialized_data":
			b.Conflicting = d.text(name)
		case "model_uuid":
			b.ModelUUID = d.text(name)
		case "transfer_session":
			b.TransferSession = d.text(name)
		case "profile":
			b.Profile = d.text(name)
		case "rmcb_list":
			b.RMCBList = d.counters()
		case "_self_ref_fk":
			b.SelfRef = d.text(name)
		default:
			d.fail(fieldError(shortened(name), textUnknown))
		}
		return true
	}, "last_saved_instance", "last_saved_counter", "partition", "source_id", "model_name", "model_uuid", "transfer_session", "rmcb_list")
	return b
}

// maxHistory bounds the instances that one record's history may name.
const maxHistory = 100_000

func (d *decoder) counters() []BufferCounter {
	var counters []BufferCounter
	d.list("rmcb_list", maxHistory, func() {
		var c BufferCounter
		d.object("rmcb_list", func(name string) bool {
			switch name {
			case "transfer_session":
				c.TransferSession = d.text(name)
			case "model_uuid":
				c.ModelUUID = d.text(name)
			case "instance_id":
				c.InstanceID = d.text(name)
			case "counter":
				c.Counter = d.integer(name)
			default:
				d.fail(fieldError("rmcb_list."+shortened(name), textUnknown))
			}
			return true
		}, "transfer_session", "model_uuid", "instance_id", "counter")
		counters = append(counters, c)
	})
	return counters
}
