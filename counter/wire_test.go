package counter_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/partition"
)

const id = "c1473f710fc9d9603a897367515d414a"

func TestHostileTextIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "null": "null", "list": "[]", "string": `"{}"`, "half": `{"` + id + `": 1`, "rest": `{} x`, "two": "{}{}",
		"repeated instance":   `{"` + id + `": 1, "` + id + `": 2}`,
		"repeated sub":        `{"sub": {}, "super": {}, "sub": {}}`,
		"sub alone":           `{"sub": {}}`,
		"super alone":         `{"super": {}}`,
		"both forms":          `{"super": {}, "sub": {}, "` + id + `": 1}`,
		"null sub":            `{"super": {}, "sub": null}`,
		"no counters":         `{"super": {}, "sub": {"a": 1}}`,
		"no id":               `{"'; DROP TABLE morango_store; --": 1}`,
		"id in upper case":    `{"` + strings.ToUpper(id) + `": 1}`,
		"id with dashes":      `{"c1473f71-0fc9-d960-3a89-7367515d414a": 1}`,
		"negative":            `{"` + id + `": -1}`,
		"minus zero":          `{"` + id + `": -0}`,
		"too high":            `{"` + id + `": 2147483648}`,
		"far too high":        `{"` + id + `": 99999999999999999999}`,
		"fraction":            `{"` + id + `": 5.5}`,
		"exponent":            `{"` + id + `": 1e3}`,
		"text":                `{"` + id + `": "5"}`,
		"true":                `{"` + id + `": true}`,
		"nothing":             `{"` + id + `": null}`,
		"NUL in a partition":  `{"super": {}, "sub": {"a\u0000b": {}}}`,
		"invalid UTF-8":       "{\"super\": {}, \"sub\": {\"\xff\": {}}}",
		"lone surrogate":      `{"super": {}, "sub": {"\ud800": {}}}`,
		"long partition":      `{"super": {}, "sub": {"` + strings.Repeat("a", counter.MaxPartition+1) + `": {}}}`,
		"deep":                strings.Repeat(`{"sub":`, 100_000),
		"too many partitions": `{"super": {}, "sub": {` + many(counter.MaxCounters) + `}}`,
		"too long":            strings.Repeat(" ", counter.MaxText) + "{}",
	} {
		if f, err := counter.Parse([]byte(text)); !errors.Is(err, counter.ErrMalformed) || len(err.Error()) > 500 {
			t.Errorf("%s: read as %.100s, error %.600v", name, f, err)
		}
	}
}

// many returns n members of an object without their braces.
func many(n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf(`"%d": {}`, i)
	}
	return strings.Join(members, ",")
}

func TestLargeTextIsRead(t *testing.T) {
	f, err := counter.Parse([]byte(`{"super": {}, "sub": {` + many(counter.MaxCounters-2) + `}}`))
	if err != nil || len(f.Sub) != counter.MaxCounters-2 {
		t.Errorf("%d partitions, %v", len(f.Sub), err)
	}
	if expanded := f.Expand(partition.All()); len(expanded) != 0 {
		t.Errorf("expanded to %d partitions without a counter", len(expanded))
	}
}

func TestFormsOfNothing(t *testing.T) {
	for text, legacy := range map[string]bool{"{}": true, ` { } `: true, `{"sub": {}, "super": {}}`: false} {
		f, err := counter.Parse([]byte(text))
		if err != nil || f.IsLegacy() != legacy || len(f.Expand(partition.Of("a"))) != 0 {
			t.Errorf("%s: %v, legacy %v, error %v", text, f, f.IsLegacy(), err)
		}
	}
	if text := (counter.FSIC{}).String(); text != `{"super": {}, "sub": {}}` {
		t.Errorf("the zero FSIC travels as %s", text)
	}
}

func TestCheckNamesThePartition(t *testing.T) {
	f := counter.FSIC{Super: counter.ByPartition{"": {id: 1}}, Sub: counter.ByPartition{"a:b": {id: 1}, "c": {id: 1}}}
	if err := f.Check(partition.Of("a", "c")); err != nil {
		t.Error(err)
	}
	err := f.Check(partition.Of("a"))
	if !errors.Is(err, counter.ErrOutsideFilter) || !strings.Contains(err.Error(), `"c"`) {
		t.Errorf("error %v", err)
	}
}

// Every FSIC that a stock peer sent is read, and written back as the same value.
func TestRecordedExchanges(t *testing.T) {
	read := 0
	for name, file := range conformance.Files(t, "wire") {
		if strings.Contains(name, "error") || strings.HasPrefix(name, "sample") {
			continue // bad on purpose, or no exchange
		}
		var scenario struct {
			Exchanges []struct {
				Request  json.RawMessage `json:"request_json"`
				Response json.RawMessage `json:"response_json"`
			}
		}
		if err := json.Unmarshal(file, &scenario); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, e := range scenario.Exchanges {
			read += checkFSICs(t, name, e.Request) + checkFSICs(t, name, e.Response)
		}
	}
	if read < 100 {
		t.Errorf("only %d FSICs in the recorded exchanges", read)
	}
}

// checkFSICs reads the FSICs of a body, when it has some, and returns how many.
func checkFSICs(t *testing.T, name string, body json.RawMessage) (read int) {
	var fields struct {
		Client, Server *string
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil {
		return 0 // a list or nothing
	}
	for field, into := range map[string]**string{"client_fsic": &fields.Client, "server_fsic": &fields.Server} {
		if raw, ok := object[field]; ok && json.Unmarshal(raw, into) != nil {
			t.Errorf("%s: %s is no text: %s", name, field, raw)
		}
	}
	for _, text := range []*string{fields.Client, fields.Server} {
		if text == nil {
			continue
		}
		read++
		f, err := counter.Parse([]byte(*text))
		if err != nil {
			t.Errorf("%s: %s: %v", name, *text, err)
			continue
		}
		again, err := counter.Parse([]byte(f.String()))
		if err != nil || again.String() != f.String() {
			t.Errorf("%s: %s written back as %s: %v", name, *text, f, err)
		}
	}
	return read
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"` + id + `": 5}`, `{"super": {}, "sub": {}}`,
		`{"super": {"": {"` + id + `": 2147483647}}, "sub": {"a:É%": {"` + id + `": 0}, "": {}}}`,
		`{"sub": {"\ud83d\ude00": {}}, "super": {"\u0000": {}}}`, `{"sub":`, `[`, "\xef\xbb\xbf{}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		parsed, err := counter.Parse(text)
		if err != nil {
			if !errors.Is(err, counter.ErrMalformed) {
				t.Errorf("error %v", err)
			}
			return
		}
		again, err := counter.Parse([]byte(parsed.String()))
		if err != nil || again.String() != parsed.String() {
			t.Errorf("%q is written as %s, which reads as %s (%v)", text, parsed, again, err)
		}
		if err := parsed.Reduce().Check(partition.All()); err != nil {
			t.Error(err)
		}
		if expanded := counter.Expanded(parsed.Expand(partition.All())); expanded.IsLegacy() {
			t.Errorf("%q expands to %s", text, expanded)
		}
	})
}
