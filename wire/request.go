package wire

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/morango-go/morango/ident"
)

// presence says which fields of an object must be there.
type presence struct {
	required []string // there and not null
	notNull  []string // not null when there
}

// parse reads a JSON object after checking that the fields are there.
func parse(text []byte, want presence, body any) error {
	var fields map[string]jsontext.Value
	if err := json.Unmarshal(text, &fields); err != nil {
		return explain(err)
	}
	if fields == nil {
		return &FormatError{Reason: "Invalid data. Expected a JSON object, but got null."}
	}
	problems := FieldErrors{}
	for _, name := range want.required {
		if value, there := fields[name]; !there {
			problems[name] = []string{textRequired}
		} else if value.Kind() == 'n' {
			problems[name] = []string{textNull}
		}
	}
	for _, name := range want.notNull {
		if value, there := fields[name]; there && value.Kind() == 'n' {
			problems[name] = []string{textNull}
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return unmarshal(text, body)
}

// canonical checks that the named ids are ids and puts them into canonical form.
func canonical(ids map[string]*string) error {
	problems := FieldErrors{}
	for name, id := range ids {
		parsed, err := ident.Parse(*id)
		if err != nil {
			problems[name] = []string{fmt.Sprintf("%.64q is not a valid UUID.", *id)}
			continue
		}
		*id = parsed
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// CertificateRequestFields is the number of fields that a CertificateRequest must
// have.
const CertificateRequestFields = 5

// ParseCertificateRequest reads the body of a POST of certificates. Parent is ""
// when it is missing or null.
func ParseCertificateRequest(text []byte) (CertificateRequest, error) {
	var body CertificateRequest
	err := parse(text, presence{
		required: []string{"profile", "scope_definition", "scope_version", "scope_params", "public_key"},
	}, &body)
	return body, err
}

// ParseSyncSessionRequest reads the body of a POST of syncsessions. Of its fields
// only the chain, the connection path, the instance and the signature must be there;
// others may be "", to be answered as an id that is unknown or a message that nobody signed.
// Ids are as the peer wrote them, because the signature covers that form.
func ParseSyncSessionRequest(text []byte) (SyncSessionRequest, error) {
	var body SyncSessionRequest
	err := parse(text, presence{required: []string{"certificate_chain", "connection_path", "instance", "signature"}}, &body)
	return body, err
}

// ParseTransferSessionRequest reads the body of a POST of transfersessions. A
// missing FSIC is "{}"; a missing sync session id is "", to be answered as an
// unknown one.
func ParseTransferSessionRequest(text []byte) (TransferSessionRequest, error) {
	var body TransferSessionRequest
	if err := parse(text, presence{required: []string{"id", "filter", "push"}}, &body); err != nil {
		return body, err
	}
	if body.ClientFSIC == "" {
		body.ClientFSIC = "{}"
	}
	if err := counts(map[string]*int64{"records_total": body.RecordsTotal}); err != nil {
		return body, err
	}
	return body, canonical(map[string]*string{"id": &body.ID})
}

// ParseTransferSessionUpdate reads the body of a PATCH of a transfer session.
// Fields that may not be changed so are passed over.
func ParseTransferSessionUpdate(text []byte) (TransferSessionUpdate, error) {
	var body TransferSessionUpdate
	err := parse(text, presence{
		notNull: []string{"client_fsic", "transfer_stage", "records_transferred", "bytes_received", "bytes_sent"},
	}, &body)
	if err != nil {
		return body, err
	}
	if o := body.LeftOut; o != nil {
		if err := o.Unsent.check("unsent"); err != nil {
			return body, err
		}
		if err := o.Refused.check("refused"); err != nil {
			return body, err
		}
	}
	return body, counts(map[string]*int64{
		"records_total": body.RecordsTotal, "records_transferred": body.RecordsTransferred,
		"bytes_received": body.BytesReceived, "bytes_sent": body.BytesSent,
	})
}

// maxCount is the greatest count of records that the tables hold.
const maxCount = 1<<31 - 1

// counts checks numbers of records or bytes.
func counts(numbers map[string]*int64) error {
	problems := FieldErrors{}
	for name, number := range numbers {
		switch {
		case number == nil:
		case *number < 0:
			problems[name] = []string{"Ensure this value is greater than or equal to 0."}
		case strings.HasPrefix(name, "records_") && *number > maxCount:
			problems[name] = []string{fmt.Sprintf("Ensure this value is less than or equal to %d.", maxCount)}
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// InstanceID reads the id out of an instance's JSON text; "" when the text is
// empty or holds none.
func InstanceID(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	var instance struct {
		ID string `json:"id"`
	}
	if err := parse([]byte(text), presence{}, &instance); err != nil {
		return "", fmt.Errorf("instance: %w", err)
	}
	if instance.ID == "" {
		return "", nil
	}
	id, err := ident.Parse(instance.ID)
	if err != nil {
		return "", &FormatError{Reason: fmt.Sprintf("instance: id %.64q is not a valid UUID.", instance.ID)}
	}
	return id, nil
}

// ParseChainText reads the body of a POST of certificatechain: a JSON string that
// holds the chain as JSON text.
func ParseChainText(text []byte) (string, error) {
	var inner *string
	if err := unmarshal(text, &inner); err != nil {
		return "", err
	}
	if inner == nil {
		return "", &FormatError{Reason: "Invalid data. Expected a string that holds a list of certificates."}
	}
	return *inner, nil
}
