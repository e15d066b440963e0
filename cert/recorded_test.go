package cert_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/internal/conformance"
)

// recording is what is used here of a recorded exchange.
type recording struct {
	Exchanges []struct {
		Method   string
		Path     string
		Request  json.RawMessage `json:"request_json"`
		Response json.RawMessage `json:"response_json"`
	}
	Before map[string]map[string]struct {
		Columns []string
		Rows    [][]any
	}
}

func recorded(t *testing.T, name string) recording {
	t.Helper()
	var r recording
	decode(t, conformance.File(t, "wire/"+name+".json"), &r)
	return r
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%.100s: %v", text, err)
	}
}

// A chain goes out byte for byte as the reference writes it.
func TestChainAsRecorded(t *testing.T) {
	seen := 0
	for name, field := range map[string]string{"full-sync-session": "certificate_chain", "legacy-sync-session": "certificate_chain", "full-certificate-push": ""} {
		for _, exchange := range recorded(t, name).Exchanges {
			var text string
			var body map[string]any
			switch {
			case exchange.Method != "POST" || string(exchange.Request) == "null":
				continue
			case field == "":
				decode(t, exchange.Request, &text)
			default:
				decode(t, exchange.Request, &body)
				text, _ = body[field].(string)
			}
			chain, err := cert.ParseChain([]byte(text))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := cmp.Diff(text, cert.MarshalChain(chain)); diff != "" {
				t.Errorf("%s (-recorded +ours):\n%s", name, diff)
			}
			seen++
		}
	}
	if seen != 3 {
		t.Errorf("found %d chains, want 3", seen)
	}
}

// The reference's own key, request and salt give the reference's own certificate,
// signature and all.
func TestIssueAsRecorded(t *testing.T) {
	r := recorded(t, "full-csr")
	keys := map[string]string{} // private keys by certificate
	table := r.Before["server"]["morango_certificate"]
	for _, row := range table.Rows {
		columns := map[string]any{}
		for i, name := range table.Columns {
			columns[name] = row[i]
		}
		keys[columns["id"].(string)], _ = columns["private_key"].(string)
	}
	var listed []json.RawMessage
	decode(t, r.Exchanges[0].Response, &listed)
	parent, err := cert.ParseLink(listed[0])
	if err != nil {
		t.Fatal(err)
	}
	parent.PrivateKey = keys[parent.ID]
	last := r.Exchanges[len(r.Exchanges)-1]
	var asked cert.Link
	decode(t, last.Request, &asked)
	want, err := cert.ParseLink(last.Response)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parent.Issue(cert.Request{
		ParentID: *asked.Parent, Profile: asked.Profile, ScopeDefinition: asked.ScopeDefinition,
		ScopeVersion: asked.ScopeVersion, ScopeParams: asked.ScopeParams, PublicKey: asked.PublicKey,
	}, want.Salt, definitions(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("certificate (-recorded +ours):\n%s", diff)
	}
}
