// Package session keeps sync sessions, transfer sessions, certificates, scope
// definitions, nonces and shared keys in the database.
//
// It belongs to the tables layer. It imports the words layer and db. On a row's
// path it remembers who talks to whom, what may travel, and how far it came.
package session

import "time"

// Sync is one conversation between a client and a server, a row of
// morango_syncsession.
type Sync struct {
	ID                  string
	StartTime, LastTime time.Time
	Active              bool
	IsServer            bool
	ClientCertificateID string // "" when none
	ServerCertificateID string
	Profile             string
	ConnectionKind      string // "network"
	ConnectionPath      string // base URL of the server
	ClientIP, ServerIP  string
	ClientInstanceID    string // "" when unknown
	ClientInstanceJSON  string // "{}" when unknown
	ServerInstanceID    string
	ServerInstanceJSON  string
	ExtraFields         string // JSON object; "{}"
	ProcessID           int    // 0 when none
}

// Transfer is one direction of data within a sync session, a row of
// morango_transfersession.
type Transfer struct {
	ID                  string
	SyncSessionID       string
	Filter              string // wire text
	Push                bool   // client to server
	Active              bool
	RecordsTransferred  int64
	RecordsTotal        *int64 // nil until queuing is complete
	BytesSent           int64
	BytesReceived       int64
	StartTime, LastTime time.Time
	ClientFSIC          string // JSON text; "{}" until known
	ServerFSIC          string
	Stage               string // stage name on the wire; "" before initializing
	Status              string
	// Within is its sync session as it was when this was read; the zero value when that is gone.
	Within Within
}

// Within is what a transfer session has to know of its sync session, and is read with it.
type Within struct {
	Active, IsServer    bool
	LastTime            time.Time
	ClientCertificateID string
	ServerCertificateID string
	ExtraFields         string
}

// Within is what the session's transfer sessions have to know of it.
func (s Sync) Within() Within {
	return Within{Active: s.Active, IsServer: s.IsServer, LastTime: s.LastTime,
		ClientCertificateID: s.ClientCertificateID, ServerCertificateID: s.ServerCertificateID, ExtraFields: s.ExtraFields}
}
