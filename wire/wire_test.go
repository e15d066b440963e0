package wire_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/wire"
)

func TestCapabilities(t *testing.T) {
	theirs := wire.ParseHeader("  FSIC_V2_FORMAT ASYNC_OPERATIONS  SOMETHING_NEW ASYNC_OPERATIONS")
	if got := theirs.Header(); got != "ASYNC_OPERATIONS FSIC_V2_FORMAT" {
		t.Errorf("header %q", got)
	}
	both := theirs.Intersect(wire.SetOf(wire.FSICv2Format, wire.GzipBufferPost))
	if diff := cmp.Diff([]wire.Capability{wire.FSICv2Format}, both.List()); diff != "" {
		t.Error(diff)
	}
	if wire.ParseHeader("").Has("") || wire.All().Without(wire.MoranGo).Has(wire.MoranGo) {
		t.Error("a capability that is not there")
	}
	if text := string(mustMarshal(t, wire.Set{}.List())); text != "[]" {
		t.Errorf("empty list is %s", text)
	}
}

func TestTime(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-22T01:31:39.294708Z":      "2026-11-22T01:31:39.294708Z",
		"2026-11-22T01:31:39Z":             "2026-11-22T01:31:39Z",
		"2026-11-22T01:31:39.5+01:00":      "2026-11-22T00:31:39.500000Z",
		"2026-11-22T01:31:39.123456999Z":   "2026-11-22T01:31:39.123456Z",
		"2026-11-22T01:31:39.000000123Z":   "2026-11-22T01:31:39Z",
		"0001-01-01T00:00:00.000001+00:00": "0001-01-01T00:00:00.000001Z",
	} {
		var got wire.Time
		if err := got.UnmarshalText([]byte(text)); err != nil || got.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	if new(wire.Time).UnmarshalText([]byte("yesterday")) == nil {
		t.Error("yesterday is a time")
	}
	rapid.Check(t, func(t *rapid.T) {
		in := wire.Time{Time: time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "microseconds"))}
		var out wire.Time
		if err := out.UnmarshalText([]byte(in.String())); err != nil || !out.Equal(in.Time) {
			t.Fatalf("%s became %s, %v", in, out, err)
		}
	})
}

// A record is the same after it travelled, whatever its texts hold.
func TestRecordsTravel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		in := make([]record.Record, rapid.IntRange(1, 4).Draw(t, "records"))
		for i := range in {
			in[i] = record.Record{
				ID: text.Draw(t, "id"), Profile: text.Draw(t, "profile"), Model: text.Draw(t, "model"),
				Partition: text.Draw(t, "partition"), SourceID: text.Draw(t, "source id"),
				Serialized: text.Draw(t, "serialized"), Conflicting: text.Draw(t, "conflicting"), SelfRef: text.Draw(t, "self-reference"),
				Deleted: rapid.Bool().Draw(t, "deleted"), HardDeleted: rapid.Bool().Draw(t, "hard deleted"),
				Version: counter.Version{Instance: text.Draw(t, "instance"), Counter: rapid.Int64().Draw(t, "counter")},
				History: rapid.MapOf(text, rapid.Int64()).Draw(t, "history"),
			}
		}
		var zipped bytes.Buffer
		if err := wire.Deflate(&zipped, wire.AppendBuffers(nil, "session", in)); err != nil {
			t.Fatal(err)
		}
		plain, err := wire.Inflate(&zipped, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		back, err := wire.ParseBuffers(plain, len(in))
		if err != nil {
			t.Fatal(err)
		}
		out := make([]record.Record, len(back))
		for i, b := range back {
			out[i] = b.Record()
		}
		if diff := cmp.Diff(in, out); diff != "" {
			t.Fatal(diff)
		}
	})
}

const goodRecord = `{"serialized": "{}", "deleted": false, "last_saved_instance": "i", "last_saved_counter": 3,
	"hard_deleted": false, "partition": "p", "source_id": "s", "model_name": "m", "conflicting_serialized_data": "",
	"model_uuid": "u", "transfer_session": "t", "profile": "f", "rmcb_list": [{"transfer_session": "t",
	"model_uuid": "u", "instance_id": "i", "counter": 3}], "_self_ref_fk": ""}`

func TestBadBuffers(t *testing.T) {
	with := func(old, now string) string {
		if !strings.Contains(goodRecord, old) {
			t.Fatalf("no %q in the record", old)
		}
		return strings.Replace(goodRecord, old, now, 1)
	}
	if _, err := wire.ParseBuffers(strings.NewReader(goodRecord), 1); err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{
		``:                       "JSON parse error - the text ends too early",
		`[`:                      "JSON parse error - the text ends too early",
		`[]`:                     "Invalid data. Expected at least one record.",
		`"x"`:                    "Invalid data. Expected a JSON object.",
		`{}`:                     "last_saved_instance: This field is required.",
		`[` + goodRecord + `] 1`: "JSON parse error - something follows after the end",
		`[` + goodRecord + `,` + goodRecord + `]`:                           "body is too large: more than 1 records",
		with(`"{}"`, `null`):                                                "serialized: This field may not be null.",
		with(`"{}"`, `{"a": 1}`):                                            "serialized: Not a valid string.",
		with(`"deleted": false`, `"deleted": 0`):                            "deleted: Must be a valid boolean.",
		with(`_counter": 3`, `_counter": "x"`):                              "last_saved_counter: A valid integer is required.",
		with(`_counter": 3`, `_counter": 3.5`):                              "last_saved_counter: A valid integer is required.",
		with(`_counter": 3`, `_counter": 9223372036854775808`):              "last_saved_counter: A valid integer is required.",
		with(`"model_uuid": "u", "transfer_session"`, `"transfer_session"`): "model_uuid: This field is required.",
		with(`"rmcb_list": [`, `"rmcb_list": [3, `):                         "rmcb_list: Expected a JSON object.",
		with(`"counter": 3}`, `"counter": null}`):                           "counter: This field may not be null.",
		with(`"p"`, `"p", "partition": "q"`):                                "duplicate",
		with(`"p"`, "\"\xff\""):                                             "JSON parse error",
		with(`"p"`, `"\ud800"`):                                             "JSON parse error",
	} {
		_, err := wire.ParseBuffers(strings.NewReader(body), 1)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", body, err, want)
		}
	}
}

func TestBadRequests(t *testing.T) {
	update := func(text string) error { _, err := wire.ParseTransferSessionUpdate([]byte(text)); return err }
	begin := func(text string) error { _, err := wire.ParseTransferSessionRequest([]byte(text)); return err }
	csr := func(text string) error { _, err := wire.ParseCertificateRequest([]byte(text)); return err }
	for _, c := range []struct {
		parse      func(string) error
		text, want string
	}{
		{update, `{"records_total": "abc"}`, "records_total: A valid integer is required."},
		{update, `{"records_total": -1}`, "records_total: Ensure this value is greater than or equal to 0."},
		{update, `{"records_total": 2147483648}`, "records_total: Ensure this value is less than or equal to 2147483647."},
		{update, `{"records_transferred": null}`, "records_transferred: This field may not be null."},
		{update, `{"transfer_stage": 3}`, "transfer_stage: Not a valid string."},
		{update, `[]`, "Invalid data. A list does not belong here."},
		{update, `null`, "Invalid data. Expected a JSON object, but got null."},
		{update, `{"a": 1, "a": 2}`, "duplicate"},
		{update, `{`, "JSON parse error"},
		{begin, `{"id": "zz", "filter": "", "push": true}`, `id: "zz" is not a valid UUID.`},
		{begin, `{"filter": 3, "push": 1}`, "id: This field is required."},
		{begin, `{"id": "zz", "filter": "f", "push": "yes"}`, "push: Must be a valid boolean."},
		{csr, `{}`, "profile: This field is required."},
		{csr, `{"parent":"p","profile":"f","scope_definition":"s","scope_version":"x","scope_params":"{}","public_key":"k"}`,
			"scope_version: A valid integer is required."},
	} {
		if err := c.parse(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.text, err, c.want)
		}
	}
	if err := update(`{"unknown": 1, "filter": "x", "active": false}`); err != nil {
		t.Errorf("fields that may not be changed: %v", err)
	}
}

// A few bytes of gzip that hold very many are stopped at the limit.
func TestGzipBomb(t *testing.T) {
	var zipped bytes.Buffer
	if err := wire.Deflate(&zipped, make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	if zipped.Len() > 32<<10 {
		t.Fatalf("%d bytes are no bomb", zipped.Len())
	}
	plain, err := wire.Inflate(bytes.NewReader(zipped.Bytes()), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, plain)
	if !errors.Is(err, wire.ErrTooLarge) || n > 1<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	exact, err := wire.Inflate(bytes.NewReader(zipped.Bytes()), 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, exact); n != 8<<20 || err != nil {
		t.Errorf("%d bytes at the limit, %v", n, err)
	}
	damaged := bytes.Clone(zipped.Bytes())
	damaged[len(damaged)-3] ^= 1
	broken, err := wire.Inflate(bytes.NewReader(damaged), 16<<20)
	if err == nil {
		_, err = io.Copy(io.Discard, broken)
	}
	var format *wire.FormatError
	if !errors.As(err, &format) {
		t.Errorf("damaged gzip: %v", err)
	}
	if _, err := wire.Inflate(strings.NewReader("no gzip"), 10); !errors.As(err, &format) {
		t.Errorf("no gzip: %v", err)
	}
}

func TestErrorText(t *testing.T) {
	for body, want := range map[string]string{
		`"Nonce is not valid"`:                "Nonce is not valid",
		`{"detail": "Not found."}`:            "Not found.",
		`["one", "two"]`:                      "one; two",
		`{"b": ["two", "three"], "a": "one"}`: "a: one; b: two three",
		`{"error_class": "CertificateScopeNotSubset", "error_message": ""}`: "CertificateScopeNotSubset",
		`{"error_class": "C", "error_message": "because"}`:                  "C; because",
		"<html>500</html>":    "",
		`"line\nbreak\u001b"`: "line break ",
		``:                    "",
	} {
		if got := wire.ErrorText([]byte(body)); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	if got := wire.ErrorText([]byte(`"` + strings.Repeat("é", 1000) + `"`)); len(got) > 500 {
		t.Errorf("%d bytes", len(got))
	}
}

func TestInstanceID(t *testing.T) {
	const id = "467dd5c2b39c066bc3b73c9881f95430"
	for text, want := range map[string]string{
		"": "", `{}`: "", `{"id": "` + id + `", "x": [1]}`: id, `{"id": "467DD5C2-b39c-066b-c3b7-3c9881f95430"}`: id,
	} {
		if got, err := wire.InstanceID(text); got != want || err != nil {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{`[]`, `{"id": "x"}`, `{"id": 3}`, `null`, `x`} {
		if got, err := wire.InstanceID(text); err == nil {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// broken is a body whose connection breaks.
type broken struct{ from io.Reader }

var errBroken = errors.New("the cable was pulled")

func (b broken) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if err == io.EOF {
		err = errBroken
	}
	return n, err
}

// A connection that breaks is no nonsense of the peer's: whoever asked may try again.
func TestBrokenConnection(t *testing.T) {
	var zipped bytes.Buffer
	if err := wire.Deflate(&zipped, []byte("["+goodRecord+"]")); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"plain": "[" + goodRecord, "before anything": "", "zipped": zipped.String()[:zipped.Len()-9], "zip's head": zipped.String()[:5]} {
		var body io.Reader = broken{strings.NewReader(from)}
		var err error
		if strings.Contains(name, "zip") {
			body, err = wire.Inflate(body, 1<<20)
		}
		if err == nil {
			_, err = wire.ParseBuffers(body, 10)
		}
		if !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
