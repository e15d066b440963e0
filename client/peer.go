package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/wire"
)

// The bounds of what a peer may answer, in bytes after decompression.
const (
	maxSmall   = 4 << 20  // one object: information, a session, an error
	maxCerts   = 32 << 20 // a list of certificates
	maxBuffers = 64 << 20 // a page of records
)

// requestTimeout ends a request that the peer never answers. It is long because a
// peer without ASYNC_OPERATIONS does a stage's work within the request.
const requestTimeout = 15 * time.Minute

// Peer is another node, reached over HTTP: one method for each thing that can be
// asked of it. Make it with NewPeer. It is safe for use by many goroutines.
type Peer struct {
	BaseURL      string       // without the slash at the end, such as https://hub.example.org
	HTTP         *http.Client // nil means a client with the default transport
	Capabilities wire.Set     // what this node can

	theirs         atomic.Pointer[wire.Set] // what the peer can, once Info has told
	sent, received atomic.Int64
}

// NewPeer prepares to talk to the peer at an http or https URL. Nothing is sent yet.
func NewPeer(baseURL string, client *http.Client, own wire.Set) (*Peer, error) {
	base := strings.TrimRight(baseURL, "/")
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no address of a peer: give one such as https://hub.example.org", baseURL)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the address of a peer at %q takes no user, query or fragment", u.Host)
	}
	return &Peer{BaseURL: base, HTTP: client, Capabilities: own}, nil
}

// Bytes returns how much went over the wire so far, each way: bodies as they
// travelled, and headers as HTTP/1.1 writes them.
func (p *Peer) Bytes() (sent, received int64) { return p.sent.Load(), p.received.Load() }

// Shared is what both nodes can, once Info has been asked; before, it is empty.
func (p *Peer) Shared() wire.Set {
	theirs := p.theirs.Load()
	if theirs == nil {
		return wire.Set{}
	}
	return p.Capabilities.Intersect(*theirs)
}

// Info asks who the peer is and what it can. The error is ErrUnreachable or
// ErrNotMorango when nobody of ours is there.
func (p *Peer) Info(ctx context.Context) (wire.Info, error) { return p.info(ctx, "") }

// Greet is Info, and a MoranGo peer's answer also has what is asked for next: a nonce, and
// the peer's certificates under a root.
func (p *Peer) Greet(ctx context.Context, root string) (wire.Info, error) {
	return p.info(ctx, root)
}

func (p *Peer) info(ctx context.Context, root string) (wire.Info, error) {
	var info wire.Info
	r := request{method: http.MethodGet, path: wire.Item(wire.PathInfo, wire.InfoItem), greeting: root}
	err := p.do(ctx, r, maxSmall, jsonInto(&info))
	if err == nil && info.InstanceID == "" {
		err = fmt.Errorf("%s tells no instance id: %w", p.BaseURL, ErrNotMorango)
	}
	if err != nil {
		return wire.Info{}, err
	}
	theirs := wire.SetOf(info.Capabilities...)
	p.theirs.Store(&theirs)
	return info, nil
}

// PublicKeys lists the keys for which the peer takes pushed certificates; often none.
func (p *Peer) PublicKeys(ctx context.Context) ([]wire.PublicKey, error) {
	var keys []wire.PublicKey
	return keys, p.get(ctx, wire.PathPublicKey, &keys)
}

// Nonce asks for a single-use text to be signed within a minute.
func (p *Peer) Nonce(ctx context.Context) (wire.Nonce, error) {
	var nonce wire.Nonce
	return nonce, p.send(ctx, http.MethodPost, wire.PathNonces, nil, &nonce)
}

// Certificates lists the certificates that the peer owns at or below the root
// named. They are not checked yet.
func (p *Peer) Certificates(ctx context.Context, root string) ([]*cert.Certificate, error) {
	return p.certificates(ctx, wire.QueryPrimaryPartition, root)
}

// CertificatesOf lists the certificates that the peer owns in a profile. They are
// not checked yet.
func (p *Peer) CertificatesOf(ctx context.Context, profile string) ([]*cert.Certificate, error) {
	return p.certificates(ctx, wire.QueryProfile, profile)
}

// CertificateChain fetches the chain of a certificate that the peer owns, root
// first. It is not checked yet; an unknown id gives an empty chain.
func (p *Peer) CertificateChain(ctx context.Context, id string) ([]*cert.Certificate, error) {
	return p.certificates(ctx, wire.QueryAncestorsOf, id)
}

func (p *Peer) certificates(ctx context.Context, parameter, value string) ([]*cert.Certificate, error) {
	var list []*cert.Certificate
	query := url.Values{parameter: {value}}
	err := p.do(ctx, request{method: http.MethodGet, path: wire.PathCertificates, query: query},
		maxCerts, func(body io.Reader) error {
			text, err := wire.ReadAll(body, maxCerts)
			if err == nil {
				list, err = cert.ParseList(text)
			}
			return err
		})
	return list, err
}

// RequestCertificate asks for a certificate under one that the peer owns, with
// HTTP Basic credentials. The answer is not checked yet.
func (p *Peer) RequestCertificate(ctx context.Context, body wire.CertificateRequest, user, password string) (*cert.Certificate, error) {
	text, err := wire.Marshal(body)
	if err != nil {
		return nil, err
	}
	r := request{method: http.MethodPost, path: wire.PathCertificates, body: text, user: user, password: password}
	var c *cert.Certificate
	err = p.do(ctx, r, maxSmall, func(body io.Reader) error {
		text, err := wire.ReadAll(body, maxSmall)
		if err == nil {
			c, err = cert.ParseLink(text)
		}
		return err
	})
	return c, err
}

// PushCertificateChain hands a chain over whose last certificate is for one of the
// peer's public keys.
func (p *Peer) PushCertificateChain(ctx context.Context, chain []*cert.Certificate) error {
	return p.send(ctx, http.MethodPost, wire.PathCertificateChain, cert.MarshalChain(chain), nil)
}

// CreateSyncSession opens a sync session on the peer.
func (p *Peer) CreateSyncSession(ctx context.Context, body wire.SyncSessionRequest) (wire.SyncSessionAnswer, error) {
	var answer wire.SyncSessionAnswer
	return answer, p.send(ctx, http.MethodPost, wire.PathSyncSessions, body, &answer)
}

// SyncSession reads an active sync session as the peer keeps it.
func (p *Peer) SyncSession(ctx context.Context, id string) (wire.SyncSession, error) {
	var s wire.SyncSession
	return s, p.get(ctx, wire.Item(wire.PathSyncSessions, id), &s)
}

// CloseSyncSession ends a sync session on the peer.
func (p *Peer) CloseSyncSession(ctx context.Context, id string) error {
	return p.send(ctx, http.MethodDelete, wire.Item(wire.PathSyncSessions, id), nil, nil)
}

// CreateTransferSession opens a transfer session on the peer. The peer may answer
// with another session that is in the way.
func (p *Peer) CreateTransferSession(ctx context.Context, body wire.TransferSessionRequest) (wire.TransferSession, error) {
	var t wire.TransferSession
	return t, p.send(ctx, http.MethodPost, wire.PathTransferSessions, body, &t)
}

// TransferSession reads an active transfer session as the peer keeps it.
func (p *Peer) TransferSession(ctx context.Context, id string) (wire.TransferSession, error) {
	var t wire.TransferSession
	return t, p.get(ctx, wire.Item(wire.PathTransferSessions, id), &t)
}

// UpdateTransferSession tells the peer what is new, and asks it to go on to a stage.
func (p *Peer) UpdateTransferSession(ctx context.Context, id string, body wire.TransferSessionUpdate) (wire.TransferSession, error) {
	var t wire.TransferSession
	return t, p.send(ctx, http.MethodPatch, wire.Item(wire.PathTransferSessions, id), body, &t)
}

// CloseTransferSession ends a transfer session on the peer.
func (p *Peer) CloseTransferSession(ctx context.Context, id string) error {
	return p.send(ctx, http.MethodDelete, wire.Item(wire.PathTransferSessions, id), nil, nil)
}

// PushBuffers hands a chunk of records over, compressed when the peer takes that.
func (p *Peer) PushBuffers(ctx context.Context, transferID string, records []record.Record) error {
	r := request{method: http.MethodPost, path: wire.PathBuffers, body: wire.AppendBuffers(nil, transferID, records)}
	if p.Shared().Has(wire.GzipBufferPost) {
		var zipped bytes.Buffer
		if err := wire.Deflate(&zipped, r.body); err != nil {
			return err
		}
		r.body, r.content = zipped.Bytes(), wire.ContentGzip
	}
	return p.do(ctx, r, maxSmall, nil)
}

// PullBuffers reads a page of up to limit records of a pull, in the peer's order.
func (p *Peer) PullBuffers(ctx context.Context, transferID string, offset int64, limit int) ([]record.Record, error) {
	query := url.Values{
		wire.QueryTransferSession: {transferID},
		wire.QueryLimit:           {strconv.Itoa(limit)},
		wire.QueryOffset:          {strconv.FormatInt(offset, 10)},
	}
	var page wire.BufferPage
	err := p.do(ctx, request{method: http.MethodGet, path: wire.PathBuffers, query: query},
		maxBuffers, func(body io.Reader) (err error) {
			page, err = wire.ParseBufferPage(body, limit)
			return err
		})
	if err != nil {
		return nil, err
	}
	records := make([]record.Record, len(page.Results))
	for i, r := range page.Results {
		if r.TransferSession != transferID {
			return nil, fmt.Errorf("the peer answered with a record of transfer session %.40q instead of %s", r.TransferSession, transferID)
		}
		records[i] = r.Record()
	}
	return records, nil
}

func (p *Peer) get(ctx context.Context, path string, answer any) error {
	return p.do(ctx, request{method: http.MethodGet, path: path}, maxSmall, jsonInto(answer))
}

// send sends body as JSON, or nothing when it is nil.
func (p *Peer) send(ctx context.Context, method, path string, body, answer any) error {
	r := request{method: method, path: path}
	if body != nil {
		text, err := wire.Marshal(body)
		if err != nil {
			return err
		}
		r.body = text
	}
	return p.do(ctx, r, maxSmall, jsonInto(answer))
}

// jsonInto reads a JSON answer; nil reads none.
func jsonInto(answer any) func(io.Reader) error {
	if answer == nil {
		return nil
	}
	return func(body io.Reader) error { return wire.Read(body, maxSmall, answer) }
}

// isFormat says whether err comes from an answer of the wrong shape, rather than
// from a connection that broke.
func isFormat(err error) bool {
	var format *wire.FormatError
	var fields wire.FieldErrors
	var certificate *cert.Error
	return errors.As(err, &format) || errors.As(err, &fields) || errors.As(err, &certificate)
}
