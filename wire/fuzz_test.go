package wire_test

import (
	"bytes"
	"strings"
	"testing"

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
		if err == nil && len(page.Results) > 10 {
			t.Fatalf("%d records", len(page.Results))
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
		if text, err := wire.ReadAll(plain, 4096); err == nil && len(text) > 4096 {
			t.Fatalf("%d bytes", len(text))
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
		if strings.ContainsAny(wire.ErrorText(body), "\n\r\x1b") {
			t.Fatal("control characters")
		}
	})
}
