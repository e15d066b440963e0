// Package wire holds everything that two peers must agree on to talk over HTTP:
// paths, headers, capability names, the JSON bodies of requests and answers with
// their exact field names and order, error bodies, and the bounded, strict
// decoding of what a peer sends.
//
// It belongs to the network layer. It imports the words layer only; client and
// server both build on it and never name a path or a field themselves. On a row's
// path it is the form in which a record crosses from one peer to the other.
package wire

// Base is the path under which every endpoint lies, below a server's base path.
const Base = "/api/morango/v1/"

// The endpoints. Every path ends in a slash; Item names one thing below a path.
const (
	PathInfo             = Base + "morangoinfo/"
	PathPublicKey        = Base + "publickey/"
	PathNonces           = Base + "nonces/"
	PathCertificates     = Base + "certificates/"
	PathCertificateChain = Base + "certificatechain/"
	PathSyncSessions     = Base + "syncsessions/"
	PathTransferSessions = Base + "transfersessions/"
	PathBuffers          = Base + "buffers/"
	PathStreams          = Base + "streams/" // of MoranGo only: an item is a transfer session's records as a stream
)

// InfoItem is the item under PathInfo that peers ask for. Any item gives the
// same answer.
const InfoItem = "1"

// Item is the path of one thing of a collection: Item(PathSyncSessions, id).
func Item(collection, id string) string { return collection + id + "/" }

// The query parameters that the endpoints know.
const (
	QueryPrimaryPartition = "primary_partition"   // certificates: those below this certificate that the server owns
	QueryAncestorsOf      = "ancestors_of"        // certificates: the chain of one that the server owns, root first
	QueryProfile          = "profile"             // certificates: of this profile only
	QueryTransferSession  = "transfer_session_id" // buffers: required
	QueryLimit            = "limit"               // buffers: page size; without it a plain list
	QueryOffset           = "offset"              // buffers: where the page starts, with limit only
	QueryAfter            = "after"               // streams: cursor after which the stream is to begin; with limit: of so many records
)

// The headers and content types.
const (
	HeaderCapabilities = "X-Morango-Capabilities"
	HeaderGreeting     = "X-Morango-Greeting" // a root's id: MoranGo's information comes with a nonce and the certificates under it
	ContentJSON        = "application/json"
	ContentStream      = "application/x-morango-stream" // frames within zstd; only streams, only with Stream1
	ContentGzip        = "application/gzip"             // JSON within gzip; only POST buffers, only with GzipBufferPost
)

// ReferenceVersion is the version of the reference whose protocol this is; it
// stands in morangoinfo, where peers of the reference look at it.
const ReferenceVersion = "0.8.2"

// DefaultChunk is the number of records that a peer sends or asks for in one
// request unless told otherwise.
const DefaultChunk = 500
