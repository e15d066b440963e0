package wire_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/wire"
)

// What is read is written and read again the same.
func FuzzParseBuffers(f *testing.F) {
	f.Add([]byte(goodRecord))
	f.Add([]byte(`[` + goodRecord + `,` + goodRecord + `]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		records, err := wire.ParseBuffers(bytes.NewReader(body), 10)
		if err != nil {
			return
		}
		if len(records) == 0 || len(records) > 10 {
			t.Fatalf("%d records", len(records))
		}
		again, err := wire.ParseBuffers(bytes.NewReader(mustMarshal(t, records)), 10)
		if err != nil {
			t.Fatal(err)
		}
		for i := range records { // a missing list and an empty one are the same
			if len(records[i].RMCBList) == 0 {
				records[i].RMCBList, again[i].RMCBList = nil, nil
			}
		}
		if diff := cmp.Diff(records, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzParseBufferPage(f *testing.F) {
	f.Add([]byte(`{"count": 1, "next": null, "previous": "x", "results": [` + goodRecord + `]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		page, err := wire.ParseBufferPage(bytes.NewReader(body), 10)
		if err != nil {
			return
		}
		if len(page.Results) > 10 || !json.Valid(body) {
			t.Fatalf("%d records out of %q", len(page.Results), body)
		}
		written := mustMarshal(t, page)
		again, err := wire.ParseBufferPage(bytes.NewReader(written), 10)
		if err != nil || !bytes.Equal(mustMarshal(t, again), written) {
			t.Fatalf("%s came back as %s: %v", written, mustMarshal(t, again), err)
		}
	})
}

func FuzzInflate(f *testing.F) {
	var zipped bytes.Buffer
	if err := wire.Deflate(&zipped, []byte(goodRecord)); err != nil {
		f.Fatal(err)
	}
	f.Add(zipped.Bytes())
	f.Fuzz(func(t *testing.T, body []byte) {
		plain, err := wire.Inflate(bytes.NewReader(body), 4096)
		if err != nil {
			return
		}
		text, err := io.ReadAll(plain)
		if len(text) > 4096 {
			t.Fatalf("%d bytes", len(text))
		}
		if err != nil {
			return
		}
		other, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatalf("no gzip for the standard library: %v", err)
		}
		if want, err := io.ReadAll(other); err != nil || !bytes.Equal(text, want) {
			t.Fatalf("%q, for the standard library %q: %v", text, want, err)
		}
	})
}

// No request body makes a parser fail otherwise than with an error for its sender.
func FuzzRequests(f *testing.F) {
	f.Add([]byte(`{"id":"467dd5c2b39c066bc3b73c9881f95430","filter":"f","push":true,"sync_session_id":"s","client_fsic":"{}"}`))
	f.Add([]byte(`{"records_total":3,"transfer_stage":"queuing"}`))
	f.Add([]byte(`"[{\"id\": 3}]"`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if r, err := wire.ParseTransferSessionRequest(body); err == nil && len(r.ID) != 32 {
			t.Fatalf("id %q", r.ID)
		}
		if u, err := wire.ParseTransferSessionUpdate(body); err == nil && u.RecordsTotal != nil && *u.RecordsTotal < 0 {
			t.Fatalf("total %d", *u.RecordsTotal)
		}
		_, errs := wire.ParseSyncSessionRequest(body)
		if _, err := wire.ParseCertificateRequest(body); err != nil && err.Error() == "" || errs != nil && errs.Error() == "" {
			t.Fatal("an error without a text")
		}
		if text, err := wire.ParseChainText(body); err == nil && !bytes.Contains(body, []byte(`"`)) {
			t.Fatalf("%q out of %q", text, body)
		}
		if id, err := wire.InstanceID(string(body)); err == nil && id != "" && len(id) != 32 {
			t.Fatalf("instance %q", id)
		}
	})
}

// Questions and answers about digests hold only what their checks let through, and are
// written and read again the same.
func FuzzDigests(f *testing.F) {
	const id = "467dd5c2b39c066bc3b73c9881f95430"
	f.Add([]byte(`{"sync_session_id":"` + id + `","filter":"f","sums":[["` + id + `","` + id + `"]],"expect":[{"records":1,"sum":"` + id + `","last":"` + id + `"}],"brief":true}`))
	f.Add([]byte(`{"sync_session_id":"` + id + `","filter":"","kept":{"partitions":1,"records":2,"sum":"` + id + `","complete":true},"parts":[{"partition":"p","records":1,"sum":"` + id + `"}],"ranges":[["","a"],["a",""]],"parts_of":[["",""]],"whole":true}`))
	f.Add([]byte(`{"sums":[],"lists":[[{"id":"` + id + `","partition":"p","instance":"` + id + `","counter":1,"content":"` + id + `"}]],"claims":{"p":{"` + id + `":3}},"closed":false}`))
	f.Add([]byte(`{"sums":[],"lists":[],"kept":{"partitions":0,"records":0,"sum":"` + id + `"},"parts":[{"partition":"p","records":-1,"sum":"x"}],"ranges":[{"records":1,"sum":"` + id + `"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if q, err := wire.ParseDigestRequest(body); err == nil {
			for _, p := range q.Parts {
				if len(p.Sum) != 32 || p.Records < 0 {
					t.Fatalf("%+v", p)
				}
			}
			if len(q.SyncSessionID) != 32 || q.Lost < 0 || q.Damaged < 0 || q.Kept != nil && (len(q.Kept.Sum) != 32 || q.Kept.Partitions > q.Kept.Records) {
				t.Fatalf("%+v", q)
			}
			again, err := wire.ParseDigestRequest(mustMarshal(t, q))
			if err != nil || cmp.Diff(mustMarshal(t, q), mustMarshal(t, again)) != "" {
				t.Fatalf("%+v came back as %+v: %v", q, again, err)
			}
		}
		var a wire.DigestAnswer
		if wire.Read(bytes.NewReader(body), 1<<20, &a) == nil && a.Check() == nil {
			for _, s := range a.Ranges {
				if len(s.Sum) != 32 || s.Records < 0 {
					t.Fatalf("%+v", s)
				}
			}
			var again wire.DigestAnswer
			if err := wire.Read(bytes.NewReader(mustMarshal(t, a)), 1<<22, &again); err != nil || again.Check() != nil {
				t.Fatalf("%+v came back as %+v: %v", a, again, err)
			}
		}
	})
}

// What a peer says when it refuses is shown to people: it is short, and plain text.
func FuzzErrorText(f *testing.F) {
	for _, text := range []string{
		`{"detail":"Not found."}`, `["a", {"b": ["c"]}]`, `"\u001b[2J"`, `{"error_class":"X","error_message":"\u0085\u009b31m"}`,
		`[[[[["deep"]]]]]`, `<html>`, `"\u202e\u2028"`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		text := wire.ErrorText(body)
		if len(text) > 500 || !utf8.ValidString(text) {
			t.Fatalf("%d bytes: %q", len(text), text)
		}
		for _, r := range text {
			if unicode.IsControl(r) {
				t.Fatalf("control character %q in %q", r, text)
			}
		}
	})
}

// Every answer that a client reads is written and read again the same, and is JSON for
// the standard library too.
func FuzzAnswers(f *testing.F) {
	for _, text := range []string{
		`{"instance_id":"467dd5c2b39c066bc3b73c9881f95430","capabilities":["ASYNC_OPERATIONS","NEW"],"version":"0.8.2","own":[1,{"a":null}]}`,
		`{"id":"467dd5c2b39c066bc3b73c9881f95430","timestamp":"2026-11-22T01:31:39.294708Z","ip":"::1"}`,
		`[{"public_key":"x"}]`, `{"signature":"x","server_instance":"{}"}`,
		`{"id":"x","records_total":null,"records_transferred":3,"push":true,"start_timestamp":"2026-11-22T01:31:39+05:00","transfer_stage":"queuing"}`,
		`{"id":"x","active":true,"client_certificate":null,"server_certificate":"y","start_timestamp":"0001-01-01T00:00:00Z"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, make := range []func() any{
			func() any { return new(wire.Info) }, func() any { return new(wire.Instance) }, func() any { return new(wire.Nonce) },
			func() any { return new([]wire.PublicKey) }, func() any { return new(wire.SyncSession) },
			func() any { return new(wire.SyncSessionAnswer) }, func() any { return new(wire.DigestAnswer) }, func() any { return new(wire.TransferSession) },
		} {
			read := make()
			if err := wire.Read(bytes.NewReader(text), 1<<16, read); err != nil {
				continue
			}
			if len(text) > 1<<16 || !json.Valid(text) {
				t.Fatalf("%T out of %d bytes %q", read, len(text), text)
			}
			written, again := mustMarshal(t, read), make()
			if err := wire.Read(bytes.NewReader(written), 1<<20, again); err != nil {
				t.Fatalf("%s: %v", written, err)
			}
			if rewritten := mustMarshal(t, again); !bytes.Equal(written, rewritten) {
				t.Fatalf("%s came back as %s", written, rewritten)
			}
		}
	})
}

// The capabilities header is read to a set of known names; what is written reads the same.
func FuzzParseHeader(f *testing.F) {
	f.Add("FSIC_V2_FORMAT  ASYNC_OPERATIONS\tNEW")
	f.Add(wire.All().Header())
	f.Fuzz(func(t *testing.T, value string) {
		set := wire.ParseHeader(value)
		again := wire.ParseHeader(set.Header())
		if set.Header() != again.Header() || set.Intersect(wire.All()).Header() != set.Header() {
			t.Fatalf("%q reads as %q, that as %q", value, set.Header(), again.Header())
		}
		for _, name := range set.List() {
			if !set.Has(name) || !strings.Contains(value, string(name)) || set.Without(name).Has(name) {
				t.Fatalf("%s of %q", name, value)
			}
		}
	})
}

// A time reads as the standard library reads it, and what is written reads the same.
func FuzzTime(f *testing.F) {
	for _, text := range []string{"2026-11-22T01:31:39.294708Z", "0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999999-23:59", "2016-12-31T23:59:60Z"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got, again wire.Time
		if got.UnmarshalText([]byte(text)) != nil {
			return
		}
		var want time.Time
		if err := want.UnmarshalText([]byte(text)); err == nil && !want.Equal(got.Time) {
			t.Fatalf("%q reads as %v, not %v", text, got, want)
		}
		if year := got.Year(); year < 0 || year > 9999 {
			return // at the ends of time a zone can lead out of it
		}
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again.String() != got.String() {
			t.Fatalf("%q is written as %s, which reads as %s: %v", text, got, again, err)
		}
	})
}
