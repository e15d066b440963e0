package server

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/morango-go/morango/wire"
)

// answer is what a handler gives: a status and a body, or a stream.
type answer struct {
	status int
	body   any                     // written as JSON; nil for no body
	stream func(w io.Writer) error // writes JSON when body is nil, or
	// content, as it is, without keeping anything back
	content string
}

// handler answers one method of one resource.
type handler func(r *http.Request) (answer, error)

// resource is a path and what its methods do.
type resource struct {
	path    string // below the base path, in the syntax of http.ServeMux
	methods []method
	others  handler // answers every other method; nil says that it is not allowed
}

type method struct {
	name string
	do   handler
}

// table holds all routes. The methods stand in the order of the Allow header.
func (s *Server) table() []resource {
	item := func(collection string) string { return wire.Item(collection, "{id}") }
	return []resource{
		{item(wire.PathInfo), []method{{http.MethodGet, s.getInfo}}, nil},
		{wire.PathPublicKey, []method{{http.MethodGet, s.listPublicKeys}}, nil},
		{item(wire.PathPublicKey), []method{{http.MethodGet, s.getPublicKey}}, nil},
		{wire.PathNonces, []method{{http.MethodPost, s.postNonce}}, nil},
		{wire.PathCertificates, []method{{http.MethodGet, s.listCertificates}, {http.MethodPost, s.postCertificate}}, nil},
		{item(wire.PathCertificates), []method{{http.MethodGet, s.getCertificate}}, nil},
		{wire.PathCertificateChain, []method{{http.MethodPost, s.postCertificateChain}}, nil},
		{wire.PathSyncSessions, []method{{http.MethodPost, s.postSyncSession}}, nil},
		{item(wire.PathSyncSessions), []method{{http.MethodGet, s.getSyncSession}, {http.MethodDelete, s.deleteSyncSession}}, nil},
		{wire.PathTransferSessions, []method{{http.MethodPost, s.postTransferSession}}, nil},
		{item(wire.PathTransferSessions), []method{
			{http.MethodGet, s.getTransferSession}, {http.MethodPut, s.putTransferSession},
			{http.MethodPatch, s.patchTransferSession}, {http.MethodDelete, s.deleteTransferSession},
		}, nil},
		{wire.PathBuffers, []method{{http.MethodGet, s.getBuffers}, {http.MethodPost, s.postBuffers}}, s.noBuffers},
		{item(wire.PathStreams), []method{{http.MethodGet, s.getStream}, {http.MethodPost, s.postStream}}, nil},
		{wire.PathDigests, []method{{http.MethodPost, s.postDigests}}, nil},
	}
}

// routes makes the multiplexer of the table.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, res := range s.table() {
		mux.HandleFunc(s.base+strings.TrimSuffix(res.path, "/"), s.addSlash)
		mux.HandleFunc(s.base+res.path+"{$}", func(w http.ResponseWriter, r *http.Request) { s.dispatch(w, r, res) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.write(w, r, answer{}, refuse(http.StatusNotFound, wire.Detail{Detail: wire.TextNotFound}))
	})
	return mux
}

// addSlash sends a client that forgot the slash at the end to where it wants to go.
func (s *Server) addSlash(w http.ResponseWriter, r *http.Request) {
	status := http.StatusMovedPermanently
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		status = http.StatusPermanentRedirect // keeps method and body
	}
	where := url.URL{Path: r.URL.Path + "/", RawQuery: r.URL.RawQuery}
	w.Header().Set("Location", where.String())
	s.write(w, r, answer{status: status}, nil)
}

// dispatch runs the handler of the request's method.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, res resource) {
	w.Header().Set("Allow", res.allow())
	w.Header().Set("Vary", "Accept")
	if r.Method == http.MethodOptions {
		s.write(w, r, answer{status: http.StatusOK, body: options{Renders: []string{wire.ContentJSON}, Parses: []string{wire.ContentJSON}}}, nil)
		return
	}
	r = withControl(w, r)
	for _, m := range res.methods {
		if r.Method == m.name || r.Method == http.MethodHead && m.name == http.MethodGet {
			a, err := m.do(r)
			s.write(w, r, a, err)
			return
		}
	}
	if res.others != nil {
		a, err := res.others(r)
		s.write(w, r, a, err)
		return
	}
	s.write(w, r, answer{}, refuse(http.StatusMethodNotAllowed, wire.Detail{Detail: `Method "` + r.Method + `" not allowed.`}))
}

// options is the answer to OPTIONS.
type options struct {
	Renders []string `json:"renders"`
	Parses  []string `json:"parses"`
}

// allow is the Allow header of a resource.
func (res resource) allow() string {
	var names []string
	head := false
	for _, m := range res.methods {
		names = append(names, m.name)
		head = head || m.name == http.MethodGet
	}
	if head {
		names = append(names, http.MethodHead)
	}
	return strings.Join(append(names, http.MethodOptions), ", ")
}
