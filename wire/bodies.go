package wire

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/morango-go/morango/cert"
)

// Info is the answer of morangoinfo: who this peer is and what it can.
type Info struct {
	InstanceHash string       `json:"instance_hash"` // proquint of the instance id's first 8 digits
	InstanceID   string       `json:"instance_id"`
	SystemOS     string       `json:"system_os"` // such as "Linux", "Windows", "Darwin"
	Version      string       `json:"version"`
	Capabilities []Capability `json:"capabilities"`
	// Nonce and Certificates answer HeaderGreeting, of a MoranGo server: what a client asks for
	// next. Certificates are those at or below the root named, as an endpoint of their own
	// lists them.
	Nonce        *Nonce         `json:"nonce,omitempty"`
	Certificates jsontext.Value `json:"certificates,omitempty"`
	// Extra is what the application says of itself; it never overrides the above.
	Extra map[string]jsontext.Value `json:",embed"`
}

// Instance is what a peer tells of its instance when a sync session begins. It
// travels as JSON text inside a string.
type Instance struct {
	ID         string `json:"id"`
	Platform   string `json:"platform"`
	Hostname   string `json:"hostname"`
	SysVersion string `json:"sysversion"`
	NodeID     string `json:"node_id"`
	Database   string `json:"database"`
	DBPath     string `json:"db_path"`
	SystemID   string `json:"system_id"`
	// Extra is what the application says of itself; it never overrides the above.
	Extra map[string]jsontext.Value `json:",embed"`
}

// PublicKey is one element of the answer of publickey: a key for which a client
// may issue a certificate to the server.
type PublicKey struct {
	PublicKey string `json:"public_key"`
}

// Nonce is the answer to a POST of nonces (201): a single-use text to be signed,
// good for a minute.
type Nonce struct {
	ID        string `json:"id"`
	Timestamp Time   `json:"timestamp"`
	IP        string `json:"ip"`
}

// Certificate is a certificate as the certificates endpoint shows it, and an
// element of a chain.
type Certificate = cert.Link

// CertificateRequest is the body of a POST of certificates, a request for a
// certificate under the parent, with HTTP Basic credentials. The answer is a
// Certificate (201).
type CertificateRequest struct {
	Parent          string `json:"parent"`
	Profile         string `json:"profile"`
	ScopeDefinition string `json:"scope_definition"`
	ScopeVersion    int    `json:"scope_version"`
	ScopeParams     string `json:"scope_params"`
	PublicKey       string `json:"public_key"`
}

// SyncSessionRequest is the body of a POST of syncsessions.
type SyncSessionRequest struct {
	ID                  string `json:"id"`
	ServerCertificateID string `json:"server_certificate_id"`
	ClientCertificateID string `json:"client_certificate_id"`
	Profile             string `json:"profile"`
	CertificateChain    string `json:"certificate_chain"` // JSON list as text, root first, the client's last
	ConnectionPath      string `json:"connection_path"`   // the server's base URL as the client knows it
	Instance            string `json:"instance"`          // Instance as text; "" when unknown
	Nonce               string `json:"nonce"`
	ClientIP            string `json:"client_ip"`
	ServerIP            string `json:"server_ip"`
	Signature           string `json:"signature"` // of nonce:id by the client's certificate
}

// SyncSessionAnswer is the answer to it (201).
type SyncSessionAnswer struct {
	Signature      string `json:"signature"`       // of the same message by the server's certificate
	ServerInstance string `json:"server_instance"` // Instance as text
}

// SyncSession is the answer to a GET of one sync session.
type SyncSession struct {
	ID                    string  `json:"id"`
	StartTimestamp        Time    `json:"start_timestamp"`
	LastActivityTimestamp Time    `json:"last_activity_timestamp"`
	Active                bool    `json:"active"`
	ClientCertificate     *string `json:"client_certificate"`
	ServerCertificate     *string `json:"server_certificate"`
	Profile               string  `json:"profile"`
	ConnectionKind        string  `json:"connection_kind"`
	ConnectionPath        string  `json:"connection_path"`
	ClientIP              string  `json:"client_ip"`
	ServerIP              string  `json:"server_ip"`
	ClientInstance        string  `json:"client_instance"` // Instance as text
	ServerInstance        string  `json:"server_instance"`
}

// TransferSessionRequest is the body of a POST of transfersessions. The answer is
// a TransferSession: 201, or 202 when the work asked for still goes on.
type TransferSessionRequest struct {
	ID            string `json:"id"`
	Filter        string `json:"filter"` // prefixes, one a line
	Push          bool   `json:"push"`
	SyncSessionID string `json:"sync_session_id"`
	ClientFSIC    string `json:"client_fsic"`             // FSIC as text; "{}" with ASYNC_OPERATIONS, where it comes with serializing
	RecordsTotal  *int64 `json:"records_total,omitempty"` // of a push without ASYNC_OPERATIONS
	// TransferStage asks for work up to and including this stage: of a server that streams.
	TransferStage *string `json:"transfer_stage,omitempty"`
}

// TransferSessionUpdate is the body of a PATCH of one transfer session: any of
// its fields, nil where not given.
type TransferSessionUpdate struct {
	ClientFSIC         *string `json:"client_fsic,omitempty"`
	RecordsTotal       *int64  `json:"records_total,omitempty"`
	TransferStage      *string `json:"transfer_stage,omitempty"` // work up to and including this stage is asked for
	RecordsTransferred *int64  `json:"records_transferred,omitempty"`
	BytesReceived      *int64  `json:"bytes_received,omitempty"`
	BytesSent          *int64  `json:"bytes_sent,omitempty"`
	// LeftOut is what the client knows of records that did not travel.
	LeftOut *Omissions `json:"left_out,omitempty"`
}

// TransferSession is a transfer session as the server sees it: the answer to
// POST, GET and PATCH of transfersessions.
type TransferSession struct {
	ID                    string `json:"id"`
	StartTimestamp        Time   `json:"start_timestamp"`
	LastActivityTimestamp Time   `json:"last_activity_timestamp"`
	Active                bool   `json:"active"`
	Filter                string `json:"filter"`
	Push                  bool   `json:"push"`
	RecordsTransferred    int64  `json:"records_transferred"`
	RecordsTotal          *int64 `json:"records_total"` // nil until queuing is complete
	BytesReceived         int64  `json:"bytes_received"`
	BytesSent             int64  `json:"bytes_sent"`
	SyncSession           string `json:"sync_session"`
	ServerFSIC            string `json:"server_fsic"` // FSIC as text; "{}" until serializing is complete
	ClientFSIC            string `json:"client_fsic"`
	TransferStage         string `json:"transfer_stage"`
	TransferStageStatus   string `json:"transfer_stage_status"`
	// StreamCursor is the cursor up to which the records have come that travel as a
	// stream, "" at the beginning. Nil, and not there, where none does.
	StreamCursor *string `json:"stream_cursor,omitempty"`
	// LeftOut is what the server knows of records that did not travel.
	LeftOut *Omissions `json:"left_out,omitempty"`
}

// BufferPage is the answer to a GET of buffers with a limit. Without one it is a
// plain list of BufferRecord.
type BufferPage struct {
	Count    int64          `json:"count"`    // of the whole session
	Next     *string        `json:"next"`     // URL of the next page; nil at the end
	Previous *string        `json:"previous"` // URL of the page before; nil at the start
	Results  []BufferRecord `json:"results"`
}

// BufferRecord is one record as it travels: an element of a buffer page and of
// the list in a POST of buffers.
type BufferRecord struct {
	Serialized        string          `json:"serialized"`
	Deleted           bool            `json:"deleted"`
	LastSavedInstance string          `json:"last_saved_instance"`
	LastSavedCounter  int64           `json:"last_saved_counter"`
	HardDeleted       bool            `json:"hard_deleted"`
	Partition         string          `json:"partition"`
	SourceID          string          `json:"source_id"`
	ModelName         string          `json:"model_name"`
	Conflicting       string          `json:"conflicting_serialized_data"`
	ModelUUID         string          `json:"model_uuid"`
	TransferSession   string          `json:"transfer_session"`
	Profile           string          `json:"profile"`
	RMCBList          []BufferCounter `json:"rmcb_list"`
	SelfRef           string          `json:"_self_ref_fk"`
}

// BufferCounter is one entry of a record's history (its record max counters).
type BufferCounter struct {
	TransferSession string `json:"transfer_session"`
	ModelUUID       string `json:"model_uuid"`
	InstanceID      string `json:"instance_id"`
	Counter         int64  `json:"counter"`
}
