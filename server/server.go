// Package server answers other peers over HTTP: it is the http.Handler behind every
// endpoint of the protocol. One file holds one resource; all routes stand in one
// table (routes.go); handlers return errors, which one place turns into answers
// (errors.go) and one place logs (edge.go).
//
// It belongs to the network layer. It imports wire, engine and the layers below,
// never client. On a row's path it is the door: it lets in what the certificates of
// a session permit, and hands it to the engine.
package server

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/morango-go/morango/engine"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/wire"
)

// Config is what a server is made of. Engine must be set; the zero value of every
// other field is its default.
type Config struct {
	// Engine runs the transfer sessions, on the engine's database and profile.
	Engine *engine.Engine
	// Users checks the credentials of who asks for a certificate. Nil: nobody gets one.
	Users Authenticator
	// AllowCertificatePushing lets clients that hold a certificate issue one to this
	// server. Default: not allowed.
	AllowCertificatePushing bool
	// Hide lists capabilities that this server is not to use or announce, as an older
	// peer would not. Default: none.
	Hide []wire.Capability
	// BasePath is the path under which the server is reached behind a reverse proxy
	// that passes it on, such as "/sync". Default: none.
	BasePath string
	// TrustedProxies are the networks whose X-Forwarded-For and X-Forwarded-Proto
	// headers are believed. Default: none.
	TrustedProxies []netip.Prefix
	// Logger gets one line a request. Nil: nothing is logged.
	Logger *slog.Logger
	// Limits bounds what a request may bring and how long an answer may take.
	Limits Limits
	// Quota bounds what peers may use up.
	Quota Quota
}

// Limits bounds requests. The zero value of a field is its default.
type Limits struct {
	// Body is the greatest request body in bytes, except of buffers. Default 4 MiB.
	Body int64
	// Buffers is the greatest body of a POST of buffers in bytes, both as it comes and
	// after decompression. Default 64 MiB.
	Buffers int64
	// Records is the greatest number of records in one POST of buffers. Default 20,000.
	Records int
	// Wait is how long an answer waits for a stage when the client can ask again
	// (ASYNC_OPERATIONS). Default 2 s.
	Wait time.Duration
	// LongWait is how long it waits when the client cannot: as long as it takes, since
	// such a client takes the first answer for the end of the work, and would read a
	// buffer that is not filled yet. Default 10 min. A proxy in between needs as much.
	// Deadlines of the http.Server are put off for it.
	LongWait time.Duration
	// Read is how long a request's body may take to arrive, unless it is a stream. Default 5 min.
	Read time.Duration
	// Idle is how long a stream may stand still, in either direction. Default 1 min.
	Idle time.Duration
	// Stream is how long this server goes on sending one stream; a client asks for the rest.
	// Default engine.StreamTime.
	Stream time.Duration
	// StreamBytes is the greatest body of a POST of a stream in bytes, as it comes. A client
	// ends one after engine.StreamTime. Default 1 GiB.
	StreamBytes int64
	// Chunk is the greatest number of records of a stream that are merged in one
	// transaction. Default: as suits the database.
	Chunk int
}

// orDefault fills in the defaults.
func (l Limits) orDefault() Limits {
	if l.Body <= 0 {
		l.Body = 4 << 20
	}
	if l.Buffers <= 0 {
		l.Buffers = 64 << 20
	}
	if l.Records <= 0 {
		l.Records = 20_000
	}
	if l.Wait <= 0 {
		l.Wait = 2 * time.Second
	}
	if l.LongWait <= 0 {
		l.LongWait = 10 * time.Minute
	}
	if l.Read <= 0 {
		l.Read = 5 * time.Minute
	}
	if l.Idle <= 0 {
		l.Idle = time.Minute
	}
	if l.StreamBytes <= 0 {
		l.StreamBytes = 1 << 30
	}
	return l
}

// Server is the http.Handler. Make it with New; it is safe for concurrent use.
type Server struct {
	engine       *engine.Engine
	env          stage.Env
	users        Authenticator
	capabilities wire.Set
	base         string // without a slash at the end; "" for none
	proxies      []netip.Prefix
	log          *slog.Logger
	limits       Limits
	mux          *http.ServeMux
	keys         *pageKeys
	quota        Quota
	meter        *meter
	requests     *gate // of all requests
	large        *gate // of those with large bodies
	chunks       *gate // of chunks of records, one of a push at a time
	guesses      *guesses
	digests      *gate // of questions about digests
	briefDigests *gate
}

// New returns the handler of a peer. It errs when the configuration is no use.
func New(c Config) (*Server, error) {
	if c.Engine == nil {
		return nil, errors.New("make a server: no engine is given")
	}
	s := &Server{
		engine:       c.Engine,
		env:          c.Engine.Env(),
		users:        c.Users,
		capabilities: capabilities(c),
		base:         strings.TrimRight(c.BasePath, "/"),
		proxies:      c.TrustedProxies,
		log:          c.Logger,
		limits:       c.Limits.orDefault(),
		keys:         newPageKeys(),
		quota:        c.Quota.orDefault(),
		meter:        newMeter(),
		large:        newGate(largeBodies, largeBodiesOfAddress),
		digests:      newGate(digestsAtOnce, digestsOfAddress),
		briefDigests: newGate(briefDigestsAtOnce, briefOfAddress),
	}
	s.chunks = newGate(s.quota.Requests, 1)
	s.requests, s.guesses = newGate(s.quota.Requests, s.quota.RequestsOfAddress), &guesses{most: s.quota.Guesses}
	if s.base != "" && (!strings.HasPrefix(s.base, "/") || strings.ContainsAny(s.base, "{} ?#")) {
		return nil, errors.New(`make a server: base path ` + c.BasePath + ` is no path such as "/sync"`)
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.mux = s.routes()
	return s, nil
}

// capabilities is what the server announces and uses.
func capabilities(c Config) wire.Set {
	set := wire.All()
	if !c.AllowCertificatePushing {
		set = set.Without(wire.AllowCertificatePushing)
	}
	for _, hidden := range c.Hide {
		set = set.Without(hidden)
	}
	return set
}

// agreed is what both this server and the client of the request can.
func (s *Server) agreed(r *http.Request) wire.Set {
	return s.capabilities.Intersect(wire.ParseHeader(r.Header.Get(wire.HeaderCapabilities)))
}

// terms is what the two peers agree on for the stages of a transfer session.
func (s *Server) terms(r *http.Request) engine.Terms {
	both := s.agreed(r)
	return engine.TermsOf(both)
}
